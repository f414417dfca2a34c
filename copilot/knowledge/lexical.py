"""BM25 over the documents in memory: names and symptoms weigh more than the text below them.

Why these numbers: docs/decisions/retrieval.md.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from copilot.knowledge.glossary import as_tokens, glossary_words
from copilot.knowledge.words import Word, alert_names_apart, chinese_pieces, is_cjk, query, terms
from knowledge_base import Document, Section

ADDED_WEIGHT = 0.4
"""Of what a word counts that was said itself."""


K1 = 1.2
LENGTH = 0.6
"""How much a long field is held against a match in it (BM25's b)."""

FIELDS = ("head", "body")
WEIGHTS = {"head": 2.5, "body": 1.0}
SAID = 1.0
BIGRAM = 0.5
"""What a Chinese bigram counts as evidence: a word of three characters has two of them."""

SAID_WHOLE = 1.0
"""What a symptom said as the document has it counts more, of the evidence of its words."""

SHORTEST_CODE = 3
"""Digits of a number that names something (an HTTP status, an exit code); shorter ones count."""

SHORTEST_SYMPTOM = 2
"""Tokens, a Chinese character each: one is said by chance."""

MOST_CHARS = 4_000
"""Of a question that are read; what is wrong stands at its beginning."""

RUNBOOK_FIRST = 1.15
"""A runbook is written to be followed; what happened elsewhere once is read after it."""

PART = 0.4
"""What a part of an unknown name counts: `campaign` in `utm_campaign` tells little."""


@dataclass(frozen=True, slots=True)
class Match:
    """A document that shares words with a question.

    `score` is BM25F. `evidence` is the inverse document frequency, summed over the words that its
    title and symptoms share with the question, and over identifiers found whole anywhere;
    `coverage` is the share of what was said that this is. Unknown names say nothing either way.
    `pieces` is the Chinese of the question; see `whole_words`.
    """

    document: Document
    score: float
    evidence: float
    coverage: float
    matched: tuple[Word, ...]
    pieces: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The terms of the index that were matched; no words for a reader."""
        return tuple(word.text for word in self.matched)


class LexicalIndex:
    """BM25F, Robertson & Zaragoza 2009, over `head` (title, symptoms, causes) and `body`.

    With tf' the sum over fields of `weight * tf / (1 - b + b * length / mean length)`, a term adds
    `idf * tf' * (k1 + 1) / (tf' + k1)`, and `idf = ln(1 + (N - n + 0.5) / (n + 0.5))`.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)
        counted = [_fields(document) for document in self.documents]
        self._heads = [frozenset(one["head"]) for one in counted]
        self._symptoms = [tuple(_symptoms(document)) for document in self.documents]
        for field in FIELDS:
            mean = sum(one[field].total() for one in counted) / max(len(counted), 1) or 1.0
            for position, one in enumerate(counted):
                norm = 1 - LENGTH + LENGTH * one[field].total() / mean
                for term, count in one[field].items():
                    row = self._weights[term]
                    row[position] = row.get(position, 0.0) + WEIGHTS[field] * count / norm

    def match(self, question: str) -> list[Match]:
        """Every document that shares a word with the question, best first."""
        question = alert_names_apart(question[:MOST_CHARS], self._weights.__contains__)
        said = query(question)
        added = glossary_words(question, said)
        weighted = [*((word, SAID) for word in said), *((word, ADDED_WEIGHT) for word in added)]
        scores: dict[int, float] = defaultdict(float)
        evidence: dict[int, float] = defaultdict(float)
        covered: dict[int, float] = defaultdict(float)
        matched: dict[int, list[Word]] = defaultdict(list)
        for word, weight in weighted:
            for position, gain in self._gains(word).items():
                scores[position] += weight * gain
                shown = self._evidence(word, position)
                evidence[position] += weight * shown
                covered[position] += weight * shown
                matched[position].append(word)
        for position, more in self._said_whole(question).items():
            scores[position] += more
            evidence[position] += more
        explained = {term for word in added for term in terms(word.said)}
        asked = (
            sum(self._asked(word) for word in said if not self._explained(word, explained)) or 1.0
        )
        pieces = tuple(chinese_pieces(question))
        found = [
            Match(
                document=document,
                score=score * (RUNBOOK_FIRST if document.kind == "runbook" else 1.0),
                evidence=evidence[at],
                coverage=covered[at] / asked,
                matched=tuple(matched[at]),
                pieces=pieces,
            )
            for at, score in scores.items()
            for document in (self.documents[at],)
        ]
        return sorted(found, key=lambda match: (-match.score, match.document.id))

    def passage(self, document: Document, words: Sequence[str]) -> Section:
        """The section of a document that says most of these words; the first on a tie."""
        wanted = set(words)

        def says(section: Section) -> float:
            counted = _counted(f"{section.heading} {section.text}")
            return sum(
                self._idf(term) * counted[term] / (counted[term] + K1)
                for term in wanted
                if counted[term]
            )

        return max(document.sections, key=says)

    def _said_whole(self, question: str) -> dict[int, float]:
        """What each document gains by the longest of its symptoms that the question has whole."""
        text = as_tokens(_QUOTED.sub(" ", question))
        return {
            position: SAID_WHOLE * max(said)
            for position, symptoms in enumerate(self._symptoms)
            if (
                said := [
                    sum(self._evidence(word, position) for word in words)
                    for tokens, words in symptoms
                    if tokens in text
                ]
            )
        }

    def _gains(self, word: Word) -> dict[int, float]:
        """What a word adds to each document: its whole and its parts, each where it occurs."""
        gains: dict[int, float] = defaultdict(float)
        for term in word.terms:
            if _counts(term):
                continue
            for position, weight in self._weights.get(term, {}).items():
                gains[position] += self._idf(term) * weight * (K1 + 1) / (weight + K1)
        return gains

    def _asked(self, word: Word) -> float:
        """The most evidence a word can give; nothing where it is an unknown name."""
        known = [self._idf(term) for term in word.terms if term in self._weights]
        if word.named and not any(term in self._weights for term in word.names or word.terms):
            return 0.0
        return max(known, default=self._idf("")) * (BIGRAM if is_cjk(word.text) else 1.0)

    def _explained(self, word: Word, explained: set[str]) -> bool:
        """Whether a word that no document has is part of a phrase that the glossary explains."""
        return word.text in explained and word.text not in self._weights

    def _evidence(self, word: Word, position: int) -> float:
        whole = [self._idf(term) for term in word.names if position in self._weights.get(term, {})]
        if whole:
            return max(whole)
        head = self._heads[position]
        known = [self._idf(term) for term in word.terms if term in head and not _counts(term)]
        part = PART if word.names else BIGRAM if is_cjk(word.text) else 1.0
        return max(known, default=0.0) * part

    def _idf(self, term: str) -> float:
        having = len(self._weights.get(term, ()))
        return math.log1p((len(self.documents) - having + 0.5) / (having + 0.5))


@lru_cache(maxsize=2048)  # each incident is shown passages of the same documents
def _counted(text: str) -> Counter[str]:
    return Counter(terms(text))


def _counts(term: str) -> bool:
    """Whether a term is a number of things, or a part of an address."""
    return term.isdigit() and len(term) < SHORTEST_CODE


_CLAUSE = re.compile(r"[,;:，；：、。]")
_QUOTED = re.compile(r"\"[^\"]{1,200}\"|'[^']{1,200}'|“[^”]{1,200}”|`[^`]{1,200}`")
"""What a message puts in quotation marks is a name that changes; the words around it stay."""


def _symptoms(document: Document) -> Iterator[tuple[str, tuple[Word, ...]]]:
    """The symptoms of a document in both languages, each as tokens and as words."""
    title, symptoms = document.title, document.symptoms
    for text in (title.en, title.zh, symptoms.en, symptoms.zh):
        for clause in _CLAUSE.split(text):
            tokens = as_tokens(clause)
            if len(tokens.split()) >= SHORTEST_SYMPTOM:
                yield tokens, tuple(query(clause))


def _fields(document: Document) -> dict[str, Counter[str]]:
    title, symptoms = document.title, document.symptoms
    head = [title.en, title.zh, symptoms.en, symptoms.zh, document.id]
    head += [*document.fault_kinds, *document.services]
    body = [f"{section.heading}\n{section.text}" for section in document.sections]
    return {
        "head": Counter(terms("\n".join(head))),
        "body": Counter(terms("\n".join(body))),
    }
