"""Fakes of the two ports of search by meaning: an embedder of words, and an index in memory."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from copilot.knowledge.words import terms
from copilot.ports import SourceError
from tools.types import FloatArray


@dataclass(slots=True)
class WordEmbedder:
    """Vectors by hashed words: texts that share words are near. Counts what it embedded.

    `fails_after` texts it breaks off, like a server that goes away; -1 is never. What holds a word
    of `unread` it cannot read.
    """

    model: str = "words"
    dimension: int = 256
    embedded: int = 0
    fails_after: int = -1
    unread: frozenset[str] = frozenset()

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """One row of unit length per text."""
        if 0 <= self.fails_after < self.embedded + len(texts):
            raise SourceError("word embedder", "went away", recoverable=True)
        self.embedded += len(texts)
        return np.asarray([self.question(text) for text in texts])

    def question(self, text: str) -> FloatArray:
        """The vector of a text, of unit length."""
        row = np.zeros(self.dimension)
        for term in terms(text):
            row[zlib.crc32(term.encode()) % self.dimension] += 1.0
        norm = float(np.linalg.norm(row))
        return row / norm if norm else row

    def reads(self, text: str) -> bool:
        """Whether it holds no word of `unread`."""
        return not self.unread & set(terms(text))


@dataclass(slots=True)
class MemoryIndex:
    """Vectors in a dict, compared one by one."""

    rows: dict[str, tuple[str, FloatArray]] = field(default_factory=dict)

    def stored(self) -> Mapping[str, str]:
        """Digests by id."""
        return {id_: digest for id_, (digest, _) in self.rows.items()}

    def put(self, digests: Mapping[str, str], vectors: FloatArray) -> None:
        """Write texts, replacing those of the same id."""
        for (id_, digest), vector in zip(digests.items(), vectors, strict=True):
            self.rows[id_] = (digest, vector)

    def remove(self, ids: Sequence[str]) -> None:
        """Take texts out."""
        for id_ in ids:
            del self.rows[id_]

    def nearest(self, vector: FloatArray, limit: int) -> Sequence[tuple[str, float]]:
        """Ids with their cosine, nearest first."""
        near = [(id_, float(row @ vector)) for id_, (_, row) in self.rows.items()]
        return sorted(near, key=lambda one: -one[1])[:limit]


@dataclass(slots=True)
class WordReranker:
    """Prefers passages that hold a word; keeps what it was asked to read."""

    word: str
    model: str = "words"
    read: list[str] = field(default_factory=list)

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        """1 for a passage that holds the word, else 0."""
        self.read = list(passages)
        return [float(self.word in passage) for passage in passages]
