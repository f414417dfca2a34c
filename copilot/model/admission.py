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
