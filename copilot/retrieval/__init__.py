"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.retrieval.library import Library, LibraryError
from copilot.retrieval.search import Agreement, Cause, Hit, Knowledge, Recalled

__all__ = [
    "Agreement",
    "Cause",
    "Hit",
    "Knowledge",
    "Library",
    "LibraryError",
    "Recalled",
]
