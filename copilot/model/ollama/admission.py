"""When a request may go to a server: when its turn comes, unless the server keeps failing."""

import threading
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Generic, TypeVar

from copilot.ports import ModelError
from copilot.types.model_io import Priority

Slot = TypeVar("Slot")
_RANK: dict[Priority, int] = {"chat": 0, "responder": 1, "eval": 2}


class Admission(Generic[Slot]):
    """Slots given out to whoever is first in line; `best` picks among the free ones, or none.

    At most `line` wait of each priority, so that a flood of evals keeps no person out.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        best: Callable[[Sequence[Slot]], Slot | None],
        line: int = 64,
    ) -> None:
        self._free = list(slots)
        self._best = best
        self._line = line
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._waiting)

    @contextmanager
    def turn(self, priority: Priority, wait_s: float) -> Iterator[Slot]:
        """Wait for a slot and hold it; raises `ModelError` `busy` where the line is too long."""
        slot = self._taken(_RANK[priority], wait_s)
        try:
            yield slot
        finally:
            with self._changed:
                self._free.append(slot)
                self._changed.notify_all()

    def _taken(self, rank: int, wait_s: float) -> Slot:
        with self._changed:
            ahead = sum(other <= rank for other, _ in self._waiting)
            if sum(other == rank for other, _ in self._waiting) >= self._line:
                raise ModelError("busy", f"{ahead} requests wait already; ask later")
            ticket = (rank, next(self._numbers))
            insort(self._waiting, ticket)
            try:
                if not self._changed.wait_for(lambda: self._may(ticket), wait_s):
                    raise ModelError(
                        "busy", f"waited {wait_s:g} s for a turn, behind {ahead} others"
                    )
                slot = self._best(self._free)
                assert slot is not None  # `_may` saw it under this same lock
                self._free.remove(slot)
                return slot
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _may(self, ticket: tuple[int, int]) -> bool:
        return self._waiting[0] == ticket and self._best(self._free) is not None


SLOWEST_LOOK_S = 600.0
"""Longest pause before a server that keeps failing is tried again."""


class Breaker:
    """Opens after `failures` in a row; after `cool_down_s` one caller at a time may look again.

    A server that is seen to be back and fails at once is left alone twice as long, and so on.
    """

    def __init__(
        self, now: Callable[[], float], failures: int = 5, cool_down_s: float = 30.0
    ) -> None:
        self._now = now
        self._most = failures
        self._cool_down_s = cool_down_s
        self._lock = threading.Lock()
        self._failures = 0
        self._look_at: float | None = None
        self._problem = ""
        self._pause_s = cool_down_s

    @property
    def failures(self) -> int:
        """How many in a row."""
        return self._failures

    @property
    def problem(self) -> str:
        """What it opened for; empty while it is closed."""
        return self._problem

    @property
    def is_open(self) -> bool:
        """Whether the server is not asked now."""
        return self._look_at is not None

    def due(self) -> bool:
        """Whether the caller, and no other for a while, should look if the server is back."""
        with self._lock:
            if self._look_at is None or self._now() < self._look_at:
                return False
            self._look_at = self._now() + self._cool_down_s
            return True

    def failed(self, problem: str, weight: int = 1) -> None:
        """One more failure, which counts for `weight`; the last one opens it."""
        with self._lock:
            self._failures += weight
            if self._failures >= self._most:
                self._look_at, self._problem = self._now() + self._pause_s, problem
                self._pause_s = min(2 * self._pause_s, SLOWEST_LOOK_S)

    def trip(self, problem: str) -> None:
        """Open at once, for a server that is known to be away."""
        with self._lock:
            self._look_at, self._problem = self._now() + self._cool_down_s, problem

    def back(self) -> None:
        """Close on trial: the server is there and has yet to answer."""
        with self._lock:
            self._failures = min(self._failures, self._most - 1)
            self._look_at, self._problem = None, ""

    def succeeded(self) -> None:
        """Close, and forget the failures and the longer pauses."""
        with self._lock:
            self._failures, self._look_at, self._problem = 0, None, ""
            self._pause_s = self._cool_down_s
