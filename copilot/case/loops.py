"""Loops: threads that outlive whatever they meet, and say how they are."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from copilot.types.errors import OperatorError

Role = Literal["intake", "work", "watch"]
EVERY_ROLE: frozenset[Role] = frozenset(("intake", "work", "watch"))
"""What one process does alone; on PostgreSQL each may be a process of its own."""

log = logging.getLogger(__name__)

PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
"""Before the next try after a failure: doubled each time up to the longest, less up to a half by
chance, so that threads that failed together do not come back together."""

_JITTER = random.Random()
"""Of its own: a thread must not draw from the generator that others seed."""


class Loop:
    """Does one piece of work again and again until `stopping`; an error makes it pause, not end.

    `failures` counts since the start, `failing` those since it last worked, `error` is the last;
    `worked_at` is when it last worked, or began, in Unix seconds. It rests `rest_s`
    after work that succeeded, and `first_s` before the first; work that takes long, or does not
    return at all, says by `works` that all is well. Where it is not `vital`, alerts are taken and
    worked on without it, so that its failures take no process out of rotation.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        stopping: threading.Event,
        longest_pause_s: float = LONGEST_PAUSE_S,
        chance: Callable[[], float] = _JITTER.random,
        *,
        rest_s: float = 0.0,
        first_s: float = 0.0,
        vital: bool = True,
    ) -> None:
        self.name = name
        self.failures = self.failing = 0
        self.error = ""
        self.worked_at = 0.0
        self.rest_s, self._first_s, self._vital = rest_s, first_s, vital
        self._work = work
        self._stopping = stopping
        self._longest_pause_s = longest_pause_s
        self._chance = chance
        self._since = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self.worked_at = time.time()
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait until the work in hand is done; False where time ran out."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def problem(self) -> str:
        """What keeps it from working, for a person; empty where nothing does."""
        if not self._thread.is_alive():
            return "not running"
        if not (self.failing and self._vital):
            return ""
        lasts = time.monotonic() - self._since
        again = f"tried again at least every {self._longest_pause_s:.0f} s"
        return f"{self.name} failing for {lasts:.0f} s ({again}): {self.error}"

    def _run(self) -> None:
        wait = self._first_s
        while not self._stopping.wait(wait):
            try:
                self._work()
            # Rust's panics and a library's sys.exit are no `Exception`, and must not end it either.
            except BaseException as error:  # noqa: BLE001 - `_failed` logs it
                self._failed(error)
                wait = self._pause_s()
            else:
                self.works()
                wait = self.rest_s

    def _failed(self, error: BaseException) -> None:
        if not self.failing:
            self._since = time.monotonic()
        self.failures += 1
        self.failing += 1
        self.error = f"{type(error).__name__}: {error}"
        # Once whole, then at each doubling: an outage of an hour must not fill the disk.
        if self.failing == 1:
            trace = None if isinstance(error, OperatorError) else error
            log.error("%s failed and goes on: %s", self.name, self.error, exc_info=trace)
        elif self.failing & (self.failing - 1) == 0:
            log.warning("%s failed %d times in a row: %s", self.name, self.failing, self.error)

    def works(self) -> None:
        """Note that the work succeeds, as returning from it does."""
        self.worked_at = time.time()
        if self.failing:
            lasted = time.monotonic() - self._since
            log.warning("%s works again after %.0f s", self.name, lasted)
            self.failing, self.error = 0, ""

    def _pause_s(self) -> float:
        longest = min(PAUSE_S * 2.0 ** min(self.failing - 1, 30), self._longest_pause_s)
        return longest * (1.0 - 0.5 * self._chance())


def problem_of(loops: Sequence[Loop]) -> str:
    """What keeps work from being done; of several loops of one name, one that works is enough."""
    named: dict[str, list[str]] = {}
    for loop in loops:
        named.setdefault(loop.name, []).append(loop.problem)
    stuck = [problems[0] for problems in named.values() if all(problems)]
    return "; ".join(dict.fromkeys(stuck)) if loops else "not running"
