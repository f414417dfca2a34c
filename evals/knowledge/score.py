"""Scores of a search: where the first right document stands, and whether silence was right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from tools.types import FrozenModel

QUERIES = Path(__file__).parent.parent / "knowledge_queries.yaml"


class KnowledgeQuery(FrozenModel):
    """One question; any of `documents` answers it, and none answers it where there is none."""

    text: str
    form: Literal["english", "chinese", "identifier"]
    split: Literal["tuned", "held_out"]
    documents: tuple[str, ...]


class QueriesError(Exception):
    """The file of queries cannot be read, or names a document that does not exist."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search said to one question: ids of documents, best first; empty is no answer."""

    query: KnowledgeQuery
    found: tuple[str, ...]

    @property
    def rank(self) -> int | None:
        """Place of the first right document, from 1; None where it is not among them."""
        places = [at for at, one in enumerate(self.found, 1) if one in self.query.documents]
        return places[0] if places else None


def read_queries(path: Path, known: frozenset[str]) -> tuple[KnowledgeQuery, ...]:
    """The queries of a file, each checked against the documents there are."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["queries"]
        queries = tuple(KnowledgeQuery.model_validate(row) for row in rows)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise QueriesError(f"{path}: {error}") from error
    missing = sorted({one for query in queries for one in query.documents} - known)
    if missing:
        raise QueriesError(f"{path}: no such documents: {', '.join(missing)}")
    return queries


def recall(answers: Sequence[SearchResult], at: int) -> float:
    """Share of the questions that have an answer and find one among the first `at`."""
    asked = [one for one in answers if one.query.documents]
    if not asked:
        return float("nan")
    return sum(one.rank is not None and one.rank <= at for one in asked) / len(asked)


def mrr(answers: Sequence[SearchResult]) -> float:
    """Mean of 1/rank over the questions that have an answer; 0 where none was found."""
    asked = [one for one in answers if one.query.documents]
    if not asked:
        return float("nan")
    return sum(1 / one.rank for one in asked if one.rank is not None) / len(asked)


def no_answer_precision(answers: Sequence[SearchResult]) -> float:
    """Of the questions that got no answer, the share that has none; NaN if all were answered."""
    silent = [one for one in answers if not one.found]
    if not silent:
        return float("nan")
    return sum(not one.query.documents for one in silent) / len(silent)


def no_answer_recall(answers: Sequence[SearchResult]) -> float:
    """Of the questions that have no answer, the share that got none."""
    unanswerable = [one for one in answers if not one.query.documents]
    if not unanswerable:
        return float("nan")
    return sum(not one.found for one in unanswerable) / len(unanswerable)
