"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.retrieval.dense import Dense, Indexed
from copilot.retrieval.embedders import Chosen, choose
from copilot.retrieval.library import Library, LibraryError
from copilot.retrieval.memory import Memory
from copilot.retrieval.search import Cause, Hit, Knowledge, Recalled

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
