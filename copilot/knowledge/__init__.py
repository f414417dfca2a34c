"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.knowledge.dense import DenseIndex, IndexingResult
from copilot.knowledge.embedders import EmbedderChoice, choose
from copilot.knowledge.library import Library, LibraryError
from copilot.knowledge.memory import Memory
from copilot.knowledge.search import Cause, DocumentHit, Knowledge, RecallHit

__all__ = [
    "Cause",
    "EmbedderChoice",
    "DenseIndex",
    "DocumentHit",
    "IndexingResult",
    "Knowledge",
    "Library",
    "LibraryError",
    "Memory",
    "RecallHit",
    "choose",
]
