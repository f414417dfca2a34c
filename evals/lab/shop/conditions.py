"""Conditions: what is wrong with an instance, as its file says, brought about by real means.

A condition may be bound to a release (`version`) or to one life of one process (`only`): then a
roll-back or a restart is what ends it.
"""

import gc
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.lab.shop.outbound import Pool

_NICE = 5
_GREEDY = re.compile(r"(a+)+$")
_MISMATCH = "a" * 20 + "b"  # some 60 ms of backtracking, during which nothing else runs
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LEAKED_BYTES = 330.0  # of one leaked entry
_THRASHES = 0.75  # of the limit, from which the collector is called again and again
_MEGABYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class Life:
    """One life of one process: a restart begins another."""

    incarnation: str
    version: str

    def touched(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition is about this life."""
        only, version = condition.get("only"), condition.get("version")
        return (only is None or self.incarnation in only) and version in (None, self.version)

    def value(self, conditions: Mapping[str, Any], name: str) -> float:
        """The size of a condition for this life; 0 where it is not there."""
        condition = conditions.get(name)
        return float(condition["value"]) if condition and self.touched(condition) else 0.0


class Burner:
    """A thread that backtracks through a hopeless pattern: a core's worth of CPU, niced."""

    def __init__(self) -> None:
        self._stop: threading.Event | None = None

    def set(self, burning: bool) -> None:
        """Begin or end."""
        if burning and self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=_burn, args=(self._stop,), daemon=True).start()
        elif not burning and self._stop is not None:
            self._stop.set()
            self._stop = None


def _burn(stop: threading.Event) -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    while not stop.is_set():
        _GREEDY.match(_MISMATCH)


class Leak:
    """Entries that nobody will ask for again, up to the memory limit and no further."""

    def __init__(self, limit_mb: int) -> None:
        self._limit = limit_mb * _MEGABYTE
        self._kept: list[dict[str, int]] = []

    def grow(self, megabytes: float) -> None:
        """Keep this much more; with 0 forget all of it."""
        if megabytes <= 0:
            self._kept.clear()
            return
        if resident() < self._limit:
            first = len(self._kept)
            more = int(megabytes * _MEGABYTE / _LEAKED_BYTES)
            self._kept.extend({f"session-{n}": n} for n in range(first, first + more))

    def collect(self) -> None:
        """Near the limit every request pays for a full collection, which frees nothing."""
        if self._kept and resident() > _THRASHES * self._limit:
            gc.collect()


class HeldConnections:
    """Connections taken from a pool and not given back, as a lost transaction does."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._count = 0

    async def hold(self, count: int) -> None:
        """Hold so many; what is too much is given back."""
        while self._count > count:
            self._count -= 1
            self._pool.release()
        while self._count < count:
            try:
                await self._pool.acquire(1.0)
            except TimeoutError:
                return
            self._count += 1


def resident() -> int:
    """Bytes of memory in use."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - at every request
        return int(file.read().split()[1]) * _PAGE


def crash(reason: str) -> None:
    """End the process at once, as an unhandled error at start does."""
    sys.stderr.write(f"fatal: {reason}\n")
    sys.stderr.flush()
    os._exit(3)
