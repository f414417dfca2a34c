"""How fast calls that fail burn an error budget: many shares at once, one column per interval.

The burn rate is the share that fails divided by the share that may (1 - objective). Of two windows
both have to burn: the long one says that it matters, the short one that it still goes on (Google,
The Site Reliability Workbook (2018), ch. 5, "Multiwindow, Multi-Burn-Rate Alerts", table 5-8).
"""

from math import ceil
from typing import NamedTuple

import numpy as np

from tools.normal import BoolArray
from tools.types import FloatArray

BUDGET = 0.001
"""Share of calls that may fail where nobody declares one, an objective of 99.9 %.
source: the example of the chapter above."""

RAISED, LASTING_S = 4.0, 3600.0
"""Times its budget that a share gets which burns in its past, again for each such stretch.
source: docs/decisions/watch.md, measured by `python -m evals run detection`."""

BUCKET_S = 300.0
"""The shortest window. source: table 5-8 of the chapter above."""


class BurnWindow(NamedTuple):
    """Both windows in seconds, and the burn rate at which they page."""

    long_s: float
    short_s: float
    rate: float


SUDDEN = BurnWindow(300.0, 300.0, 14.4)
"""The short window of the first row alone: with the hour's, a fault that fails 4 % of the calls is
told of after 22 minutes. What keeps it quiet is the past, in which no share burned under the budget
it has learned. source: table 5-8 of the chapter above; docs/decisions/watch.md."""

WINDOWS = (SUDDEN, BurnWindow(3600.0, 300.0, 14.4), BurnWindow(21_600.0, 1800.0, 6.0))
"""source: the rows of table 5-8 that page, after our own."""

FAILING_LEAST, SUDDEN_LEAST = 2, 4
"""Samples of the short window in which calls fail, for one may be a single call of a few; and
samples without which the short window says nothing by itself: it would be one reading.
source: docs/decisions/watch.md, normal operation by `python -m evals run detection`."""


class ErrorBudgets:
    """Burn rates of `n` shares of calls that fail, sampled every `interval_s`.

    `step` returns which of them begin to burn, `burning` has those that do. While a share is
    learned from, every burn, and every hour of one, has its budget fourfold; `settle` ends the
    learning, and what burns then is as usual. A share that would need a budget of which no failing
    is too much has none. No value counts as no call that failed. State: 4 bytes for each sample of
    five minutes and for each five minutes of the longest window.

    >>> budgets = ErrorBudgets(1, 60.0)
    >>> [bool(budgets.step(np.array([share]))[0]) for share in (0.0, 0.04, 0.04, 0.04)]
    [False, False, True, False]
    """

    def __init__(self, n: int, interval_s: float) -> None:
        rows = max(FAILING_LEAST, ceil(BUCKET_S / interval_s))
        self._recent = np.zeros((rows, n), dtype=np.float32)
        longest = max(one.long_s for one in WINDOWS)
        self._buckets = np.zeros((int(longest / BUCKET_S), n), dtype=np.float32)
        self.budget = np.full(n, BUDGET)
        self.burning = np.zeros(n, dtype=np.bool_)
        self._burnt = np.zeros(n, dtype=np.float32)
        self._interval_s = interval_s
        self._steps = 0

    def extend(self, n: int) -> None:
        """Add `n` shares that have not failed yet."""
        self._recent = np.pad(self._recent, ((0, 0), (0, n)))
        self._buckets = np.pad(self._buckets, ((0, 0), (0, n)))
        self.budget = np.append(self.budget, np.full(n, BUDGET))
        self.burning = np.append(self.burning, np.zeros(n, dtype=np.bool_))
        self._burnt = np.append(self._burnt, np.zeros(n, dtype=np.float32))

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes."""
        return sum(one.nbytes for one in vars(self).values() if isinstance(one, np.ndarray))

    @property
    def recent(self) -> FloatArray:
        """The share that failed over the last five minutes."""
        return np.asarray(self._recent.mean(axis=0), dtype=np.float64)

    def step(self, failing: FloatArray, *, learning: bool = False) -> BoolArray:
        """Take the share of each that fails now, from 0 to 1; which of them begin to burn?"""
        place = self._steps % len(self._recent)
        self._recent[place] = np.nan_to_num(failing)
        self._steps += 1
        if place == len(self._recent) - 1:
            bucket = self._steps // len(self._recent) % len(self._buckets)
            self._buckets[bucket] = self.recent
        recent = self.recent
        several = (self._recent > self.budget).sum(axis=0) >= min(FAILING_LEAST, len(self._recent))
        burns = several & self._burns(recent)
        began: BoolArray = burns & ~self.burning
        if learning:
            self._learn(began, burns)
        self.burning = burns
        return began

    def _learn(self, began: BoolArray, burns: BoolArray) -> None:
        usual = began | (self._burnt >= LASTING_S)
        self.budget[usual] *= RAISED
        self._burnt[usual] = 0.0
        self._burnt[burns] += self._interval_s

    def settle(self) -> None:
        """End the learning: what burns now gets a budget in which it does not."""
        while self.burning.any():
            self.budget[self.burning] *= RAISED
            self.burning &= self._burns(self.recent) & (self.budget < 1.0 / SUDDEN.rate)

    def _burns(self, recent: FloatArray) -> BoolArray:
        """Where both windows of one row burn fast enough."""
        burns = np.zeros(len(self.budget), dtype=np.bool_)
        for window in WINDOWS[len(self._recent) < SUDDEN_LEAST :]:
            limit = window.rate * self.budget
            soon = self._over(window.short_s) if window.short_s > BUCKET_S else recent
            both = soon >= limit
            if window.long_s > BUCKET_S and both.any():
                both &= self._over(window.long_s) >= limit
            burns |= both
        return burns

    def _over(self, seconds: float) -> FloatArray:
        """The share that failed over the last `seconds`, in steps of five minutes."""
        now = self._steps // len(self._recent)
        rows = (now - np.arange(int(seconds / BUCKET_S))) % len(self._buckets)
        return np.asarray(self._buckets[rows].mean(axis=0), dtype=np.float64)
