"""The table in `forms.toml`: files and languages, the words of harms, and the forms of diffs."""

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from pydantic import Field

from tools.types import FrozenModel

FormReader = Literal["setting", "choice", "gone", "new", "call in loop"]


class FileRow(FrozenModel):
    """Files of which no line is held against a commit: documents and the like, or lock files."""

    kind: Literal["harmless", "lockfile"]
    what: str
    pattern: str
    source: str


class LanguageRow(FrozenModel):
    """A family of languages: what begins a comment; `traced`: stack traces name its files."""

    name: str
    suffixes: tuple[str, ...]
    comment: str
    traced: bool = False
    source: str


class FormRow(FrozenModel):
    """A row of the table as it is written; `diff` and `evidence` are an example that convicts."""

    name: str
    zh: str
    source: str
    reader: FormReader
    pattern: str = ""
    worse: Literal["", "up", "down"] = ""
    values: str = ""
    but: str = ""
    says: str
    diff: str
    evidence: str


class FormTable(FrozenModel):
    """The whole table; the last language is that of every other file."""

    file: tuple[FileRow, ...] = Field(min_length=1)
    language: tuple[LanguageRow, ...] = Field(min_length=1)
    words: dict[str, str]
    form: tuple[FormRow, ...] = Field(min_length=1)


@cache
def table() -> FormTable:
    """Read the shipped table."""
    text = (files("tools.change_inspector") / "forms.toml").read_text(encoding="utf-8")
    return FormTable.model_validate(tomllib.loads(text))


@lru_cache
def file_kind(path: str) -> Literal["harmless", "lockfile", ""]:
    """What the table says of a file; empty for code and configuration.

    >>> file_kind("docs/pool.md"), file_kind("go.sum"), file_kind("pool.go")
    ('harmless', 'lockfile', '')
    """
    rows = table().file
    return next((one.kind for one in rows if re.search(one.pattern, path, re.IGNORECASE)), "")


@lru_cache
def comment(suffix: str) -> re.Pattern[str]:
    """What a line of a file of that suffix begins with where it is a comment."""
    known = table().language
    row = next((one for one in known if suffix.lower() in one.suffixes), known[-1])
    return re.compile(rf"^\s*(?:{row.comment})")


@cache
def traced() -> re.Pattern[str]:
    """A source file as stack traces name it."""
    suffixes = [suffix for row in table().language if row.traced for suffix in row.suffixes]
    shown = "|".join(sorted(suffixes, key=lambda one: (-len(one), one)))
    return re.compile(rf"\b([\w\-]+\.(?:{shown}))\b")
