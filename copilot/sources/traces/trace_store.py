"""What a store of traces is asked and answers, whichever it is."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError
from tools.types import Span, Timestamp, Window

MOST_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer: Tempo's own limit of a trace is 5 MB, JSON makes three times that of it."""


@dataclass(frozen=True, slots=True)
class TraceQuestion:
    """At most `limit` traces with a span in `window`: of `service`, failed, or slower than so."""

    window: Window
    limit: int
    service: str = ""
    failed: bool = False
    slower_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace as it was read; `lacking` says what of it could not be, in a sentence."""

    id: str
    spans: tuple[Span, ...] = ()
    peers: frozenset[tuple[str, str]] = frozenset()
    rejected: int = 0
    lacking: str = ""


class TraceStore(Protocol):
    """What a store of traces has to answer; every method may raise SourceError."""

    source: str

    @property
    def any_service(self) -> bool:
        """Whether a question may name no service."""
        ...

    @property
    def counted(self) -> str:
        """Which services those are that it lists, in words."""
        ...

    def services(self, window: Window) -> Sequence[str]:
        """Services that sent spans in the window, or ever, where the store knows no times."""
        ...

    def edges(self, window: Window) -> Sequence[tuple[str, str]]:
        """(caller, callee) as the store itself has derived them; empty where it does not."""
        ...

    def find(
        self, question: TraceQuestion, known: Collection[str], now: Timestamp
    ) -> Iterator[StoredTrace]:
        """Traces that answer the question, without those that are known."""
        ...


def misdirected(error: SourceError, hint: str) -> SourceError:
    """The same error with the hint where the address may be wrong; where it is not, as it was."""
    status = error.status if isinstance(error, AnswerError) else 0
    if status in (401, 403, 429) or status >= 500:
        return error
    problem = f"{error.problem.removesuffix('; is this the right address?')}; {hint}"
    return SourceError(error.source, problem, recoverable=error.recoverable)
