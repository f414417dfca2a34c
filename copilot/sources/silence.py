"""Services that used to speak and no longer do, while others like them go on.

Only what a process has while nobody calls it counts (processor, memory, disk, what is pooled), for
calls may well stop. Nothing at once is a lost scrape, a name that comes as another goes a rename.
"""

import re
from collections.abc import Container, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tools.normal import BoolArray
from tools.topology_walker.signals import MetricCategory, read
from tools.types import Anomaly, FloatArray, Owner, Series, Timestamp

HELD: frozenset[MetricCategory] = frozenset({"cpu", "memory", "disk", "saturation"})
USED = 120
"""Samples after which a series is one that used to speak."""

SILENT_S, SILENT = 60.0, 4
"""Seconds and samples without a value, and twice the longest that a series had before: a scrape or
two may be lost."""

OTHERS = 2
"""Others that have to speak on, and half of all that did within `LOST_S`."""

RENAMED_S = 300.0
"""A new name within this long of the silence may be the same thing, as in a rollout, where both
have a word in common: pods are named after their workload (Kubernetes, Object Names and IDs)."""

_WORD = re.compile(r"[^\W_]{2,}")

LOST_S = 3600.0
"""After which silence is how it is now: somebody removed it."""

Counts = NDArray[np.int32]


class SilentServices:
    """How long each series has said nothing, and which owners are silent for it.

    State: 16 bytes a series.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._least = max(SILENT, ceil(SILENT_S / interval_s))
        self._owners: dict[str, int] = {}
        self._first: list[Timestamp] = []
        self._of: Counts = np.empty(0, dtype=np.int32)
        self._gap, self._longest, self._spoke = self._of, self._of, self._of
        self._heard = 0
        self._told: frozenset[str] = frozenset()
        self.silent: frozenset[str] = frozenset()

    @property
    def state_bytes(self) -> int:
        """Memory of the state."""
        return 4 * self._of.nbytes

    def extend(self, new: Sequence[Series]) -> None:
        """Take up series; their values follow the present ones in the columns."""
        self._of = np.append(self._of, np.array([self._place(one) for one in new], dtype=np.int32))
        more = (0, len(new))
        self._gap, self._longest = np.pad(self._gap, more), np.pad(self._longest, more)
        self._spoke = np.pad(self._spoke, more)

    def _place(self, one: Series) -> int:
        """The number of its owner; -1 where its silence says nothing."""
        if read(one.metric).family not in HELD or Owner.parse(one.owner).kind not in _SPEAKERS:
            return -1
        owner = self._owners.setdefault(one.owner, len(self._owners))
        if owner == len(self._first):
            self._first.append(float(one.times[0]))
        return owner

    def step(self, at: Timestamp, values: FloatArray, *, learning: bool) -> list[Anomaly]:
        """Take one value of every series, NaN where none came; which owners fall silent?"""
        there = np.isfinite(values)
        np.maximum(self._longest, self._gap, out=self._longest, where=there)
        self._gap += 1
        self._gap[there] = 0
        self._spoke += there
        used = (self._of >= 0) & (self._spoke >= USED)
        quiet = used & (self._gap >= np.maximum(self._least, 2 * self._longest + 1))
        fallen = self._fallen(used, quiet) if quiet.any() else {}
        lost = LOST_S / self._interval_s
        self.silent = frozenset(owner for owner, gap in fallen.items() if gap < lost)
        # What was silent before the start was told by who watched then, or is how it is now.
        self._told = self.silent if learning else self._told & self.silent
        speaking = np.unique(self._of[used]).size - len(fallen)
        others = speaking >= max(OTHERS, (speaking + len(self.silent) - 1) / 2)
        # What comes back after all were silent comes back within the time a silence takes.
        self._heard = self._heard + 1 if others else 0
        if learning or not fallen or self._heard < self._least:
            return []
        new = [
            owner
            for owner in sorted(self.silent - self._told)
            if not self._moved(owner, at - fallen[owner] * self._interval_s, fallen)
        ]
        self._told |= frozenset(new)
        return [self._anomaly(owner, at, fallen[owner], speaking) for owner in new]

    def _fallen(self, used: BoolArray, quiet: BoolArray) -> dict[str, int]:
        """The owners of which everything that used to speak is quiet, and for how many samples."""
        n = len(self._owners)
        whole = np.bincount(self._of[used], minlength=n) == np.bincount(
            self._of[quiet], minlength=n
        )
        whole[np.setdiff1d(np.arange(n), self._of[used])] = False
        gaps = np.full(n, np.iinfo(np.int32).max, dtype=np.int32)
        np.minimum.at(gaps, self._of[quiet], self._gap[quiet])
        return {
            name: gap
            for name, gap, fell in zip(self._owners, gaps.tolist(), whole, strict=True)
            if fell
        }

    def _moved(self, owner: str, since: Timestamp, fallen: Container[str]) -> bool:
        """Whether it goes on under another name: a new one like it, or another version of it."""
        service, words = Owner.parse(owner).service, set(_WORD.findall(owner))
        return any(
            (first >= since - RENAMED_S and words & set(_WORD.findall(name)))
            or (Owner.parse(name).service == service and name not in fallen)
            for name, first in zip(self._owners, self._first, strict=True)
        )

    def _anomaly(self, owner: str, at: Timestamp, gap: int, speaking: int) -> Anomaly:
        return Anomaly(
            owner=owner,
            metric="up",
            onset=at,
            end=None,
            direction="down",
            kind="missing",
            score=0.0,
            observed=0.0,
            low=1.0,
            high=1.0,
            reason=f"nothing heard of it for {gap * self._interval_s:.0f} s, while {speaking} "
            "others speak",
        )


_SPEAKERS = ("service", "version")
