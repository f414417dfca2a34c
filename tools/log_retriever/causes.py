"""The catalogue of log signatures: what a line says of its cause, and whom it names.

The rows stand in `causes.yaml`. A line of each template is matched, not every line, and no more
than the first 8,192 characters of it, so that the cost is bounded by how many templates there are.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml
from pydantic import Field

from tools.types import FaultKind, FrozenModel

_MOST, _QUOTED, _KEPT = 8192, 2048, 4096
"""Characters of a record that are read (a trace of eighty frames), and of an excerpt; texts of
which the signature is remembered. Source: limits of work and memory, none of accuracy.
"""

_BEFORE = 0.5
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
    return tuple(
        LogSignature.model_validate(row) for row in yaml.load(text, Loader=yaml.CSafeLoader)
    )


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


@lru_cache(maxsize=_KEPT)
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
    return f"… {text[start : found[1].start() + int((1.0 - _BEFORE) * limit)]}"


# A name as in RFC 1123: labels of letters, digits and hyphens, here without capitals, so that
# `OrderService.java:41` is none; a source file is none either.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,62})"
_NAME = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}"
_MENTIONED = re.compile(
    rf"[a-z][a-z0-9+.-]{{1,20}}://(?:[^\s/@\"']{{1,256}}@)?(?P<url>{_NAME})(?P<path>/docs)?"
    r"|\b(?:lookup|host(?: ?name)?|(?:[Cc]onnection to )?server at|resolve"
    r"|ENOTFOUND|EAI_AGAIN|UnknownHostException:)"
    rf"[ =]{{1,2}}\\{{0,2}}[\"'(]?(?P<told>{_NAME})"
    rf"|(?P<port>{_NAME})(?:/[0-9.]{{7,15}})?:\d{{2,5}}\b"
    rf"|[Cc]onnection to (?P<to>{_NAME})\b"
)
_FILE = re.compile(r"\.(?:java|kt|scala|py|go|js|ts|rb|rs|c|cc|cpp|cs|php|ex|erl)$")
_LED_BY = 24
_READING = re.compile(
    r"(?:see|visit|go to|more about|information|details|error at|limits)\W{1,3}$", re.I
)
_MANUAL = re.compile(r"(?:docs?|support|help|learn|wiki)\.")
"""What leads to a page to read, and the first label of such pages."""

_ADDRESS = re.compile(r"[0-9.]+$")
_WORDS = frozenset({"host", "name", "port", "server", "node", "localhost", "at", "failed", "for"})

_ORDINAL = re.compile(r"-\d{1,4}$")
_POD = re.compile(r"-[0-9a-f]{6,10}-[0-9a-z]{5}$")
"""What a StatefulSet and a Deployment add to their names to name a pod."""


def hosts(text: str) -> tuple[str, ...]:
    """The hosts that a text names, in order; addresses and documentation are left out.

    >>> hosts('Post "https://auth.internal:8443/token": see https://docs.example.com/tls')
    ('auth.internal',)
    """
    return tuple(dict.fromkeys(_hosts(text[:_QUOTED])))


def _hosts(text: str) -> Iterator[str]:
    for match in _MENTIONED.finditer(text):
        name = next(part for part in match.group("url", "told", "port", "to") if part)
        before = text[max(0, match.start() - _LED_BY) : match.start()]
        if match["path"] or _FILE.search(name) or _READING.search(before) or _MANUAL.match(name):
            continue
        if not _ADDRESS.fullmatch(name) and name not in _WORDS:
            yield name


def component_of(host: str, known: Collection[str]) -> str:
    """The known component that a host belongs to, `""` if none does.

    >>> component_of("kafka-2.kafka-headless", {"kafka"})
    'kafka'
    """
    label = host.partition(".")[0]
    for name in (host, label, _ORDINAL.sub("", label), _POD.sub("", label)):
        if name in known:
            return name
    return ""


def named(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The known components that a text names as words of their own, in order.

    >>> named("rabbit@jobs-mq-0 is down", ("jobs-mq", "jobs"))
    ('jobs-mq',)
    """
    found = []
    for name in known:
        match = re.search(rf"(?<![\w-]){re.escape(name)}(?:-\d{{1,4}})?(?![\w-])", text[:_QUOTED])
        if match:
            found.append((match.start(), name))
    return tuple(name for _, name in sorted(found))
