"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.knowledge.dense import Dense, Indexed
from copilot.knowledge.embedders import Chosen, choose
from copilot.knowledge.library import Library, LibraryError
from copilot.knowledge.memory import Memory
from copilot.knowledge.search import Cause, Hit, Knowledge, Recalled

__all__ = [
    "Cause",
    "Chosen",
    "Dense",
    "Hit",
    "Indexed",
    "Knowledge",
    "Library",
    "LibraryError",
    "Memory",
    "Recalled",
    "choose",
]
