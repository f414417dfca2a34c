"""A server that keeps failing is left alone for a while: models and telemetry sources alike."""

import threading
from collections.abc import Callable

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
