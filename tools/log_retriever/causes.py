"""The catalogue of log signatures: what a line says of its cause, and whom it accuses.

The rows stand in `causes.yaml`. A line of each template is matched, not every line, and no more
than the first 8,192 characters of it, so that the cost is bounded by how many templates there are.
"""

import re
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml
from pydantic import Field

from tools.types import FaultKind, FrozenModel

_MOST = 8192
"""Characters of a record that are read: a stack trace of some eighty frames."""

_BEFORE, _AFTER = 0.4, 0.6
"""Of an excerpt, the part before the words that matched: peers stand on either side of them."""

Accused = Literal["writer", "peer", "client"]


class LogSignature(FrozenModel):
    """One row: what it says (one of several), the kind of fault it tells of, and who is accused."""

    name: str
    family: str
    kind: FaultKind
    outside: FaultKind | None = None
    accused: Accused
    sure: float = Field(gt=0, le=1)
    says: tuple[str, ...] = Field(min_length=1)
    spelled: tuple[str, ...] = ()
    example: str
    source: str

    def kind_at(self, outside: bool) -> FaultKind:
        """The kind of fault of the accused, who may be no part of this system."""
        return self.outside or self.kind if outside else self.kind


@lru_cache(maxsize=1)
def catalogue() -> tuple[LogSignature, ...]:
    """Every row, in the order in which they are tried."""
    text = (files("tools.log_retriever") / "causes.yaml").read_text(encoding="utf-8")
    return tuple(LogSignature.model_validate(row) for row in yaml.safe_load(text))


class _Patterns(NamedTuple):
    row: LogSignature
    lowered: re.Pattern[str]
    spelled: re.Pattern[str] | None


@lru_cache(maxsize=1)
def _patterns() -> tuple[_Patterns, ...]:
    """The rows compiled: small letters are sought in lowered text, four times as fast as any."""
    return tuple(
        _Patterns(
            row,
            re.compile("|".join(map(_lowered, row.says))),
            re.compile("|".join(row.spelled)) if row.spelled else None,
        )
        for row in catalogue()
    )


_LETTER = re.compile(r"\\.|[A-Z]")


def _lowered(pattern: str) -> str:
    """The pattern in small letters but for its escapes, of which the case tells them apart."""
    return _LETTER.sub(lambda one: one[0] if len(one[0]) > 1 else one[0].lower(), pattern)


@lru_cache(maxsize=4096)
def signature_of(text: str) -> LogSignature | None:
    """The first row that matches; None where the text names no cause.

    >>> signature_of("dial tcp: lookup orders-db: no such host").kind
    'dns_failure'
    >>> signature_of("order 71045 accepted, max_connections=200") is None
    True
    """
    found = _match(text)
    return found[0] if found else None


def _match(text: str) -> tuple[LogSignature, re.Match[str]] | None:
    head = text[:_MOST]
    low = head.lower()
    for row, lowered, spelled in _patterns():
        match = lowered.search(low) or (spelled.search(head) if spelled else None)
        if match:
            return row, match
    return None


def telling(text: str, limit: int) -> str:
    """The text, or of a longer one the part about the words that name its cause.

    The root of a Java exception stands at its end, behind what an excerpt has room for.
    """
    if len(text) <= limit:
        return text
    found = _match(text)
    if found is None or found[1].end() <= limit:
        return text
    start = max(0, found[1].start() - int(_BEFORE * limit))
    return f"… {text[start : found[1].start() + int(_AFTER * limit)]}"
