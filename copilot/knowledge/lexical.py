"""BM25 over the documents in memory: names and symptoms weigh more than the text below them.

Why these numbers: docs/decisions/retrieval.md.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from copilot.knowledge.words import Word, alert_names_apart, is_cjk, query, spoken, terms
from knowledge_base import Document, Section
from tools.types import FrozenModel

ADDED_WEIGHT = 0.4
"""Of what a word counts that was said itself."""


class GlossaryEntry(FrozenModel):
    """Phrases people use, or the form of a name, and the words they stand for."""

    say: tuple[str, ...] = ()
    like: re.Pattern[str] | None = None
    mean: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    phrases: tuple[str, ...]
    like: re.Pattern[str] | None
    words: tuple[Word, ...]


def glossary_words(question: str, words: list[Word]) -> list[Word]:
    """Return the words that phrases of `question` stand for, without those it has itself."""
    said = {term for word in words for term in word.terms}
    text = _as_tokens(question)
    found: dict[str, Word] = {}
    for entry in _glossary():
        form = entry.like is not None and entry.like.search(question)
        if form or any(phrase in text for phrase in entry.phrases):
            for word in entry.words:
                if word.text not in said:
                    found.setdefault(word.text, word)
    return list(found.values())


@cache
def _glossary() -> tuple[_Prepared, ...]:
    path = files("copilot.knowledge").joinpath("glossary.yaml")
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = [GlossaryEntry.model_validate(row) for row in rows]
    return tuple(
        _Prepared(
            tuple(phrase for phrase in map(_as_tokens, entry.say) if phrase.strip()),
            entry.like,
            tuple(query(entry.mean)),
        )
        for entry in entries
    )


def _as_tokens(text: str) -> str:
    """Tokens between blanks, so that a phrase is a substring and never part of an identifier."""
    return f" {' '.join(spoken(text))} "


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

SHORTEST_SYMPTOM = 3
"""Tokens, Chinese characters among them: two are said by chance."""

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
    """

    document: Document
    score: float
    evidence: float
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
        weighted = [(word, SAID) for word in said]
        weighted += [(word, ADDED_WEIGHT) for word in glossary_words(question, said)]
        scores: dict[int, float] = defaultdict(float)
        evidence: dict[int, float] = defaultdict(float)
        covered: dict[int, float] = defaultdict(float)
        matched: dict[int, list[str]] = defaultdict(list)
        for word, weight in weighted:
            for position, gain in self._gains(word).items():
                scores[position] += weight * gain
                shown = self._evidence(word, position)
                evidence[position] += weight * shown
                covered[position] += shown if weight == SAID else 0.0
                matched[position].append(word.text)
        for position, more in self._said_whole(question).items():
            scores[position] += more
            evidence[position] += more
        asked = sum(map(self._asked, said)) or 1.0
        found = [
            Match(document, score * first, evidence[at], covered[at] / asked, tuple(matched[at]))
            for at, score in scores.items()
            for document in (self.documents[at],)
            for first in (RUNBOOK_FIRST if document.kind == "runbook" else 1.0,)
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

    def _said_whole(self, question: str) -> dict[int, float]:
        """What each document gains by the longest of its symptoms that the question has whole."""
        text = _as_tokens(_QUOTED.sub(" ", question))
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
            tokens = _as_tokens(clause)
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
