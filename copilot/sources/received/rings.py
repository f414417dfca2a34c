"""One ring of records per service, all of them together bounded in bytes and in time."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tools.types import Timestamp, Window

ItemT = TypeVar("ItemT")

ROOM = 0.95
"""Where place has to be made, this share is kept: making it one record at a time would be slow."""

MOST_SERVICES = 2000
REST = "(other services)"
"""Where records of yet another service go; a sender that invents names fills one ring only."""


@dataclass(frozen=True, slots=True)
class RingEntry(Generic[ItemT]):
    """A record, the moment it is about, and roughly what it takes."""

    at: Timestamp
    service: str
    item: ItemT
    bytes: int


@dataclass(frozen=True, slots=True)
class RingUsage:
    """What rings hold and what they let go since they were made."""

    records: int
    bytes: int
    taken: int
    evicted: int
    expired: int


class Rings(Generic[ItemT]):
    """Takes records in any order; the service that takes most room makes place for the others."""

    def __init__(self, most_bytes: int, keep_s: float) -> None:
        self._most = most_bytes
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._rings: dict[str, deque[RingEntry[ItemT]]] = {}
        self._sizes: dict[str, int] = {}
        self._taken = self._evicted = self._expired = 0
        self._evicted_until: dict[str, Timestamp] = {}

    def take(self, entries: Iterable[RingEntry[ItemT]], now: Timestamp) -> None:
        """Hold the records; what is too old or too much is let go."""
        with self._lock:
            for entry in entries:
                known = entry.service in self._rings or len(self._rings) < MOST_SERVICES
                name = entry.service if known else REST
                self._rings.setdefault(name, deque()).append(entry)
                self._sizes[name] = self._sizes.get(name, 0) + entry.bytes
                self._taken += 1
            self._expire(now)
            self._make_place()

    def between(self, window: Window) -> tuple[ItemT, ...]:
        """The records of a time, in order of it."""
        with self._lock:
            found = [
                entry
                for ring in self._rings.values()
                for entry in ring
                if window.start <= entry.at <= window.end
            ]
        found.sort(key=lambda entry: entry.at)
        return tuple(entry.item for entry in found)

    def evicted_until(self) -> dict[str, Timestamp]:
        """Return, of services whose records made place for others, the newest that is gone."""
        with self._lock:
            return dict(self._evicted_until)

    def held(self) -> RingUsage:
        """What is held now."""
        with self._lock:
            records = sum(map(len, self._rings.values()))
            return RingUsage(
                records, sum(self._sizes.values()), self._taken, self._evicted, self._expired
            )

    def _expire(self, now: Timestamp) -> None:
        for name, ring in list(self._rings.items()):
            while ring and now - ring[0].at > self._keep_s:
                self._sizes[name] -= ring.popleft().bytes
                self._expired += 1
            if not ring:
                del self._rings[name], self._sizes[name]
                self._evicted_until.pop(name, None)

    def _make_place(self) -> None:
        total = sum(self._sizes.values())
        if total <= self._most:
            return
        room = int(ROOM * self._most)
        while total > room:
            fullest = max(self._sizes, key=lambda name: self._sizes[name])
            ring = self._rings[fullest]
            # Down to what a fair share would be, or as far as is needed.
            fair = max(room // len(self._rings), self._sizes[fullest] - (total - room))
            while ring and self._sizes[fullest] > fair:
                gone = ring.popleft()
                self._sizes[fullest] -= gone.bytes
                total -= gone.bytes
                self._evicted += 1
                until = self._evicted_until.get(fullest, gone.at)
                self._evicted_until[fullest] = max(until, gone.at)
