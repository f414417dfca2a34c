"""What an incident is held against: the documents, read once per process, when first needed."""

import logging
import threading
from collections.abc import Callable, Sequence

from copilot.knowledge.search import Cause, Knowledge, RecallHit
from knowledge_base import Document, DocumentError, documents

log = logging.getLogger(__name__)


class Memory:
    """Recalls by words alone: no start and no brief waits for an embedder.

    Built at the first question, once, from whatever thread asks. Where a document of the operator's
    own cannot be read, those that ship answer alone, and the log says which one it is.
    """

    def __init__(self, read: Callable[[], Sequence[Document]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._knowledge: Knowledge | None = None

    def recall(self, symptoms: str, cause: Cause, limit: int = 4) -> tuple[RecallHit, ...]:
        """What is known of such symptoms and of this cause; see `Knowledge.recall`."""
        return self._built().recall(symptoms, cause, limit)

    def _built(self) -> Knowledge:
        with self._lock:
            if self._knowledge is None:
                self._knowledge = Knowledge(self._documents(), why="recall needs no embedder")
            return self._knowledge

    def _documents(self) -> Sequence[Document]:
        try:
            return self._read()
        except DocumentError as error:
            log.warning("the knowledge base is without its own documents: %s", error)
            return documents()
