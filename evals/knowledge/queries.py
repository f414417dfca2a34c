"""What is asked of a search, each with the documents that answer it, read and checked."""

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import ValidationError

from tools.types import FrozenModel

Split = Literal["tuned", "held_out"]


class AskedText(FrozenModel):
    """One question; any of `documents` answers it, and none answers it where there is none."""

    text: str
    documents: tuple[str, ...]


class KnowledgeQuery(AskedText):
    """What an engineer types at night."""

    form: Literal["english", "chinese", "identifier"]
    split: Split


class FieldQuery(AskedText):
    """What the pager shows, a program logs, or is typed below it in a few words."""

    form: Literal["alert", "log", "question"]
    language: Literal["en", "zh"]

    @property
    def split(self) -> Split:
        """The half it belongs to, by a hash of its text, so that nobody chose it."""
        odd = hashlib.sha256(self.text.encode()).digest()[0] % 2
        return "held_out" if odd else "tuned"


class QueriesError(Exception):
    """The file of queries cannot be read, or names a document that does not exist."""


RowT = TypeVar("RowT", bound=AskedText)


def read_queries(path: Path, known: frozenset[str], row: type[RowT]) -> tuple[RowT, ...]:
    """The queries of a file, each checked against the documents there are."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["queries"]
        queries = tuple(row.model_validate(one) for one in rows)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise QueriesError(f"{path}: {error}") from error
    missing = sorted({one for query in queries for one in query.documents} - known)
    if missing:
        raise QueriesError(f"{path}: no such documents: {', '.join(missing)}")
    return queries
