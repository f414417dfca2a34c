"""Retrieval: `Knowledge.search` by symptom, `Knowledge.recall` by symptom and located cause."""

from copilot.knowledge.dense import DenseIndex, EmbedderChoice, IndexingResult, choose_embedder
from copilot.knowledge.library import Library, LibraryError, Memory
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
    "choose_embedder",
]
