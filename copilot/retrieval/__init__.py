"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.retrieval.dense import Dense, Indexed
from copilot.retrieval.embedders import Chosen, choose
from copilot.retrieval.library import Library, LibraryError
from copilot.retrieval.search import Agreement, Cause, Hit, Knowledge, Recalled

__all__ = [
    "Agreement",
    "Cause",
    "Chosen",
    "Dense",
    "Hit",
    "Indexed",
    "Knowledge",
    "Library",
    "LibraryError",
    "Recalled",
    "choose",
]
