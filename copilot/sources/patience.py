"""Sources asked side by side, within one deadline, and left alone while they do not answer."""

import logging
import math
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from copilot.ports import SourceError, Spans, no_spans
from copilot.types.breaker import Breaker

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

FAILURES = 3
"""Failures in a row after which a source is not asked for a while. Source: as for the model's
servers, `copilot/types/breaker.py`; `docs/decisions/budgets.md`."""

COOL_DOWN_S = 30.0
"""How long it is then left alone before one question tries it again."""


BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the histogram of answers, in seconds: those of Prometheus' clients from 50 ms on;
the last is the limit of all questions of an incident by default."""


@dataclass(slots=True)
class SourceTally:
    """How the questions to one source ended, and how long they took.

    `outcomes`: `answered`, `failed`, `late` (given up), `left_alone` (not asked for a while).
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceQuestion:
    """What is asked, of which source; `name` is what the brief calls it.

    `known` is the answer, or the `SourceError`, where that needs no asking; no thread is begun.
    """

    name: str
    source: object
    ask: Callable[[], Any]
    known: Callable[[], tuple[Any, ...]] = tuple


class Patience:
    """Waits `seconds` for all questions together; with no limit they are asked one by one.

    A question that is not answered then is given up: its thread ends with the time limit of its
    own connection, and until it has ended its source is asked nothing more, so that no more than
    one thread per source and caller waits. A source that fails again and again is not asked at all,
    but for one question now and then.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        now: Callable[[], float] = time.monotonic,
        span: Spans = no_spans,
    ) -> None:
        self.seconds = seconds
        self._span = span
        self._now = now
        self._guard = threading.Lock()
        self._breakers: dict[int, Breaker] = {}
        self._overdue: dict[int, int] = {}
        self.tallies: dict[str, SourceTally] = {}

    def together(
        self, questions: Mapping[str, SourceQuestion], within_s: float | None = None
    ) -> dict[str, Any]:
        """The answer to each question, or the `SourceError` why there is none; raises any other."""
        if math.isinf(self.seconds):
            return {key: self._tried(one) for key, one in questions.items()}
        answers: dict[str, Any] = {}
        told: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        asked = {}
        for key, one in questions.items():
            if problem := self._not_now(one):
                self._count(one.name, "left_alone")
                answers[key] = SourceError(one.name, problem, recoverable=True)
            elif known := one.known():
                (answers[key],) = known
                failed = isinstance(answers[key], SourceError)
                self._count(one.name, "failed" if failed else "answered", 0.0)
            else:
                asked[key] = self._begun(key, one, told)
        limit = min(self.seconds, within_s or math.inf)
        deadline = self._now() + limit
        while len(answers) < len(questions):
            try:
                key, answer = told.get(timeout=max(deadline - self._now(), 0.0))
            except Empty:
                break
            if isinstance(answer, Exception) and not isinstance(answer, SourceError):
                raise answer
            answers[key] = answer
        for key in asked.keys() - answers.keys():
            asked[key].set()
            one = questions[key]
            self._count(one.name, "late", limit)
            self._breaker(one.source).failed(f"no answer within {limit:g} s")
            problem = f"no answer within {limit:g} s"
            answers[key] = SourceError(one.name, problem, recoverable=True)
        return answers

    def ask(self, question: SourceQuestion, within_s: float | None = None) -> Any:
        """The answer to one question; raises `SourceError`."""
        answer = self.together({question.name: question}, within_s)[question.name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _count(self, name: str, outcome: str, seconds: float | None = None) -> None:
        with self._guard:
            tally = self.tallies.setdefault(name, SourceTally())
            tally.outcomes[outcome] += 1
            if seconds is not None:
                tally.buckets[bisect_left(BUCKETS_S, seconds)] += 1
                tally.total_s += seconds

    def _tried(self, question: SourceQuestion) -> Any:
        try:
            with self._span("ask", source=question.name):
                return question.ask()
        except SourceError as error:
            return error

    def _breaker(self, source: object) -> Breaker:
        with self._guard:
            return self._breakers.setdefault(id(source), Breaker(self._now, FAILURES, COOL_DOWN_S))

    def _not_now(self, question: SourceQuestion) -> str:
        """Why the source is not asked now; empty where it is."""
        with self._guard:
            if self._overdue.get(id(question.source)):
                return "not asked: it has not answered the question before"
        breaker = self._breaker(question.source)
        if breaker.is_open and not breaker.due():
            return f"not asked for a while: {breaker.problem}"
        return ""

    def _begun(
        self, key: str, question: SourceQuestion, told: SimpleQueue[tuple[str, Any]]
    ) -> "_Abandonment":
        given_up = _Abandonment(self._overdue, self._guard, id(question.source))

        around = copy_context()  # so that what is traced there is of whom asked

        def work() -> None:
            began = self._now()
            try:
                answer = around.run(self._tried, question)
            except Exception as error:  # noqa: BLE001 - whoever asked raises it, whatever it is
                answer = error
            if given_up.ended():
                if isinstance(answer, Exception) and not isinstance(answer, SourceError):
                    log.error("%s failed when nobody waited", question.name, exc_info=answer)
                return
            outcome = "failed" if isinstance(answer, Exception) else "answered"
            self._count(question.name, outcome, self._now() - began)
            breaker = self._breaker(question.source)
            if not isinstance(answer, Exception):
                breaker.succeeded()
            elif isinstance(answer, SourceError) and answer.recoverable:
                breaker.failed(answer.problem)
            told.put((key, answer))

        # Not of a pool: at exit nobody waits for a thread that waits for a server.
        threading.Thread(target=work, name=f"ask {question.name}", daemon=True).start()
        return given_up


SHARED_S = 5.0
"""An answer this old serves another incident: scrapes come every 15 to 60 s (Prometheus' default
`scrape_interval` is 1m), so that it lacks a point of each series at most."""


class _SharedAnswer:
    """What one asker gets for all who ask the same meanwhile."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.done = threading.Event()
        self.told: list[Any] = []
        self.problem: Exception | None = None


class SharedAnswers:
    """Lets incidents that are looked at together share the answers of their sources.

    The first asks; who asks the same before it is answered waits for it, and within `SHARED_S`
    nobody asks again. An error is told to those who waited, and kept for nobody.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _SharedAnswer] = {}

    def ask(self, key: Hashable, question: Callable[[], AnswerT]) -> AnswerT:
        """The answer to a question of this key, asked by us or by another."""
        self.forget()
        with self._lock:
            shared = self._kept.get(key)
            ours = shared is None
            if shared is None:
                shared = self._kept[key] = _SharedAnswer(self._now())
        if ours:
            self._ask(key, shared, question)
        shared.done.wait()
        if shared.problem is not None:
            raise shared.problem
        answer: AnswerT = shared.told[0]
        return answer

    def _ask(self, key: Hashable, shared: _SharedAnswer, question: Callable[[], Any]) -> None:
        try:
            shared.told.append(question())
        except Exception as problem:  # noqa: BLE001 - all who wait for it raise it, whatever it is
            shared.problem = problem
            with self._lock:
                self._kept.pop(key, None)
        finally:
            shared.done.set()

    def known(self, key: Hashable) -> tuple[Any, ...]:
        """The answer to a question of this key, where it was told already; else nothing."""
        self.forget()
        with self._lock:
            shared = self._kept.get(key)
        return () if shared is None else tuple(shared.told)

    def forget(self) -> None:
        """Keep nothing that is too old to serve anybody."""
        oldest = self._now() - SHARED_S
        with self._lock:
            for key in [k for k, one in self._kept.items() if one.asked_at < oldest]:
                del self._kept[key]


class _Abandonment:
    """Whether the asker still waits for a thread; while one is given up its source is overdue."""

    def __init__(self, overdue: dict[int, int], guard: threading.Lock, source: int) -> None:
        self._overdue = overdue
        self._guard = guard
        self._source = source
        self._over = False
        self._given_up = False

    def set(self) -> None:
        """The asker goes on without the answer."""
        with self._guard:
            if not self._over:
                self._given_up = True
                self._overdue[self._source] = self._overdue.get(self._source, 0) + 1

    def ended(self) -> bool:
        """The thread is done; returns whether nobody waits for it any more."""
        with self._guard:
            self._over = True
            if self._given_up:
                self._overdue[self._source] -= 1
            return self._given_up
