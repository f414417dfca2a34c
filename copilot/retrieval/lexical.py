"""BM25 over the documents in memory: names and symptoms weigh more than the text below them."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from copilot.retrieval.words import Word, query, terms
from knowledge_base import Document, Section

K1 = 1.2
LENGTH = 0.6
"""How much a long field is held against a match in it (BM25's b)."""

FIELDS = ("head", "body")
WEIGHTS = {"head": 2.5, "body": 1.0}
NAME_WEIGHT = 0.3
"""What an unknown name in a question counts: `pay-7f` says little of what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Match:
    """A document a question fits: BM25 score, the share of the question it covers, the words."""

    document: Document
    score: float
    coverage: float
    words: tuple[str, ...]


class LexicalIndex:
    """BM25F, Robertson & Zaragoza 2009, over `head` (title, symptoms, causes) and `body`.

    With tf' the sum over fields of `weight * tf / (1 - b + b * length / mean length)`, a term adds
    `idf * tf' * (k1 + 1) / (tf' + k1)`, and `idf = ln(1 + (N - n + 0.5) / (n + 0.5))`.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)
        counted = [_fields(document) for document in self.documents]
        for field in FIELDS:
            mean = sum(one[field].total() for one in counted) / max(len(counted), 1) or 1.0
            for position, one in enumerate(counted):
                norm = 1 - LENGTH + LENGTH * one[field].total() / mean
                for term, count in one[field].items():
                    row = self._weights[term]
                    row[position] = row.get(position, 0.0) + WEIGHTS[field] * count / norm

    def match(self, question: str) -> list[Match]:
        """Every document that shares a word with the question, best first."""
        words = query(question)
        total = sum(map(self._asked, words)) or 1.0
        scores: dict[int, float] = defaultdict(float)
        covered: dict[int, float] = defaultdict(float)
        matched: dict[int, list[str]] = defaultdict(list)
        for word in words:
            asked = self._asked(word)
            for position, gain in self._gains(word).items():
                scores[position] += gain
                covered[position] += min(asked, self._best_idf(word, position))
                matched[position].append(word.text)
        found = [
            Match(self.documents[at], score, covered[at] / total, tuple(matched[at]))
            for at, score in scores.items()
        ]
        return sorted(found, key=lambda match: (-match.score, match.document.id))

    def passage(self, document: Document, words: Sequence[str]) -> Section:
        """The section of a document that says most of these words; the first on a tie."""
        wanted = set(words)

        def says(section: Section) -> float:
            counted = Counter(terms(f"{section.heading} {section.text}"))
            return sum(
                self._idf(term) * counted[term] / (counted[term] + K1)
                for term in wanted
                if counted[term]
            )

        return max(document.sections, key=says)

    def _gains(self, word: Word) -> dict[int, float]:
        """What a word adds to each document: by its whole where that is known, else by parts."""
        gains: dict[int, float] = defaultdict(float)
        for term in word.terms:
            for position, weight in self._weights.get(term, {}).items():
                gains[position] += self._idf(term) * weight * (K1 + 1) / (weight + K1)
        return gains

    def _asked(self, word: Word) -> float:
        known = [self._idf(term) for term in word.terms if term in self._weights]
        if known:
            return max(known)
        return self._idf("") * (NAME_WEIGHT if word.name else 1.0)

    def _best_idf(self, word: Word, position: int) -> float:
        return max(
            self._idf(term) for term in word.terms if position in self._weights.get(term, {})
        )

    def _idf(self, term: str) -> float:
        having = len(self._weights.get(term, ()))
        return math.log1p((len(self.documents) - having + 0.5) / (having + 0.5))


def _fields(document: Document) -> dict[str, Counter[str]]:
    title, symptoms = document.title, document.symptoms
    head = [title.en, title.zh, symptoms.en, symptoms.zh, document.id]
    head += [*document.fault_kinds, *document.services]
    body = [f"{section.heading}\n{section.text}" for section in document.sections]
    return {
        "head": Counter(terms("\n".join(head))),
        "body": Counter(terms("\n".join(body))),
    }
