"""Knowledge: runbooks and postmortems, found by symptom or recalled by symptom and cause.

`Knowledge.search` and `Knowledge.recall` take text and return documents with the reason they were
found. It stands on the ports; embedders and the vector index are seams that wiring imports.
"""

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
