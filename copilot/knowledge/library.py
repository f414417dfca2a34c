"""The documents there are, and what incidents are held against: read once per process."""

import difflib
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from copilot.knowledge.search import Cause, Knowledge, RecallHit
from copilot.types.errors import OperatorError
from knowledge_base import Document, DocumentError, documents, read_document, read_folder, read_text

MOST_OF_ID = 80
"""Characters of an id; see `Document.id`."""

NEAREST = 3
"""Ids that are offered for one that is not known."""


_FolderState = tuple[tuple[str, int, int], ...]


def _state(folder: Path) -> _FolderState:
    """Name, time of change and size of each document's file."""
    try:
        seen = {one.name: one.stat() for one in sorted(folder.glob("*.md"))}
    except OSError as error:
        raise DocumentError(Path(error.filename).name, f"cannot be read: {error}") from error
    return tuple((name, one.st_mtime_ns, one.st_size) for name, one in seen.items())


class LibraryError(OperatorError):
    """A document cannot be added or removed; the message says why and what to do."""


class Library:
    """What ships, and what was added: one file `<id>.md` each, in a folder of the data folder.

    A document of our own stands in for a shipped one of the same id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[_FolderState, tuple[Document, ...]] = ((), ())

    def documents(self) -> tuple[Document, ...]:
        """Every document, shipped ones first; `DocumentError` names the file that is wrong."""
        by_id = {document.id: document for document in documents()}
        by_id |= {document.id: document for document in self.own()}
        return tuple(by_id.values())

    def own(self) -> tuple[Document, ...]:
        """The documents that were added here."""
        # Asked for at every recall and every page: read again where a file has changed.
        state = _state(self.folder)
        if state != self._read[0]:
            self._read = (state, read_folder(self.folder))
        return self._read[1]

    def text(self, document_id: str) -> str | None:
        """The file of a document of our own, as it was taken in; None where there is none."""
        if document_id not in {one.id for one in self.own()}:
            return None
        return (self.folder / f"{document_id}.md").read_text(encoding="utf-8")

    def document(self, document_id: str) -> Document:
        """One document by its id; `LibraryError` names the nearest ids where there is none."""
        known = {document.id: document for document in self.documents()}
        asked = document_id.strip().lower().removesuffix(".md")
        if asked in known:
            return known[asked]
        asked = asked[:MOST_OF_ID]
        within = [one for one in known if asked and asked in one]
        near = (within or difflib.get_close_matches(asked, known, NEAREST))[:NEAREST]
        said = f"; nearest: {', '.join(near)}" if near else ""
        raise LibraryError(f"no document {document_id[:MOST_OF_ID]!r}{said}; see: copilot kb list")

    def add(self, path: Path, *, replace: bool = False) -> Document:
        """Check a file and keep a copy of it; an existing document is only replaced if asked."""
        document = read_document(path)
        self._keep(document, path.read_text(encoding="utf-8"), replace=replace)
        return document

    def take(self, text: str, name: str, *, replace: bool = False) -> Document:
        """Check a text of ours, such as an accepted postmortem, and keep it."""
        document = read_text(text, name)
        self._keep(document, text, replace=replace)
        return document

    def _keep(self, document: Document, text: str, *, replace: bool) -> None:
        kept = self.folder / f"{document.id}.md"
        if not replace and document.id in {known.id for known in self.documents()}:
            raise LibraryError(f"document {document.id!r} exists; replace it with --replace")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Written beside and renamed, so that a reader never meets half a document.
            beside = kept.with_suffix(".part")
            beside.write_text(text, encoding="utf-8")
            beside.replace(kept)
        except OSError as error:
            raise LibraryError(f"{str(kept)!r} cannot be written: {error.strerror}") from error

    def remove(self, document_id: str) -> None:
        """Delete a document that was added here; shipped ones stay."""
        if document_id not in {document.id for document in self.own()}:
            shipped = any(document.id == document_id for document in documents())
            said = "ships with the project and stays" if shipped else "is not in the knowledge base"
            raise LibraryError(f"document {document_id!r} {said}; see: copilot kb list")
        (self.folder / f"{document_id}.md").unlink()


log = logging.getLogger(__name__)


class Memory:
    """Recalls by words alone: no start, no brief and no question waits for an embedder.

    Built at the first question, from whatever thread asks, and again where the documents changed:
    what was accepted a minute ago is recalled. Where a document of the operator's own cannot be
    read, those that ship answer alone, and the log says which one it is.
    """

    def __init__(self, read: Callable[[], Sequence[Document]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._knowledge: Knowledge | None = None

    def recall(self, symptoms: str, cause: Cause, limit: int = 4) -> tuple[RecallHit, ...]:
        """What is known of such symptoms and of this cause; see `Knowledge.recall`."""
        return self.knowledge().recall(symptoms, cause, limit)

    def knowledge(self) -> Knowledge:
        """The documents as they are now, with their index."""
        with self._lock:
            known = tuple(self._documents())
            if self._knowledge is None or self._knowledge.documents != known:
                self._knowledge = Knowledge(known, why="recall needs no embedder")
            return self._knowledge

    def _documents(self) -> Sequence[Document]:
        try:
            return self._read()
        except DocumentError as error:
            log.warning("the knowledge base is without its own documents: %s", error)
            return documents()
