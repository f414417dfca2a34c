"""Shares of calls among the watched series: of how many calls they are, the budgets they burn."""

import re
from collections.abc import Sequence

import numpy as np

from tools.error_budget import SUDDEN, ErrorBudgets
from tools.impact import whole
from tools.topology_walker.signals import read
from tools.types import Anomaly, FloatArray, Series, Timestamp

_CALLS = re.compile(r"request|call|rps|qps")
_PER_SECOND = re.compile(r"rate|rps|qps|per_s|/s$")
SEVERAL = 1.5
"""Calls that fail more than usual, two but for rounding: one of fourteen fails by itself."""


class CallCounts:
    """How many calls each sample of an owner is of, where a source tells it."""

    def __init__(self, series: Sequence[Series], interval_s: float) -> None:
        self._told: dict[str, list[Series]] = {}
        self._interval_s = interval_s
        for one in series:
            if read(one.metric).family == "traffic" and _CALLS.search(one.metric.lower()):
                self._told.setdefault(one.owner, []).append(one)

    def several(self, found: Anomaly) -> bool:
        """Whether more calls than one make the departure of a share, as far as anybody knows."""
        if read(found.metric).family not in ("errors", "success"):
            return True
        edge = found.low if found.direction == "down" else found.high
        of = whole(found.metric, "", max(found.observed, edge))
        calls = [self._calls(one, found.onset) for one in self._told.get(found.owner, ())]
        if of == 0.0 or not calls:
            return True
        return not max(calls) * abs(found.observed - edge) / of < SEVERAL

    def _calls(self, one: Series, at: Timestamp) -> float:
        place = int(np.searchsorted(one.times, at))
        if place == one.times.size or one.times[place] >= at + self._interval_s:
            return float("inf")
        per_second = _PER_SECOND.search(f"{one.metric.lower()} {one.unit}")
        return float(one.values[place]) * (self._interval_s if per_second else 1.0)


class CallShares:
    """The series that are shares of calls, and the error budgets they burn."""

    def __init__(self, interval_s: float) -> None:
        self._budgets = ErrorBudgets(0, interval_s)
        self._names: list[tuple[str, str]] = []
        self._places: list[int] = []
        self._whole: list[float] = []
        self._succeed: list[bool] = []

    @property
    def state_bytes(self) -> int:
        """Memory of the budgets."""
        return self._budgets.state_bytes

    @property
    def burning(self) -> list[str]:
        """The owners whose budgets burn."""
        return [self._names[i][0] for i in np.flatnonzero(self._budgets.burning)]

    def add(self, one: Series, place: int) -> None:
        """Take up a series that is told of at `place`, if it is a share of calls."""
        family, usual = read(one.metric).family, float(np.fmax.reduce(one.values, initial=0.0))
        of = whole(one.metric, one.unit, usual) if family in ("errors", "success") else 0.0
        if of > 0.0:
            self._names.append((one.owner, one.metric))
            self._places.append(place)
            self._whole.append(of)
            self._succeed.append(family == "success")
            self._budgets.extend(1)

    def settle(self) -> None:
        """Take for usual what burns at the end of the past."""
        self._budgets.settle()

    def step(self, at: Timestamp, column: FloatArray, *, learning: bool) -> list[Anomaly]:
        """The budgets that begin to burn; certain, for it is no chance but what was agreed."""
        values = column[self._places] / np.array(self._whole)
        failing = np.where(self._succeed, 1.0 - values, values).clip(0.0, 1.0)
        began = np.flatnonzero(self._budgets.step(failing, learning=learning))
        return [] if learning else [self._anomaly(at, i) for i in began.tolist()]

    def _anomaly(self, at: Timestamp, i: int) -> Anomaly:
        owner, metric = self._names[i]
        share, budget = float(self._budgets.recent[i]), float(self._budgets.budget[i])
        allowed = min(SUDDEN.rate * budget, 1.0)
        up, of = not self._succeed[i], self._whole[i]
        return Anomaly(
            owner=owner,
            metric=metric,
            onset=at,
            end=None,
            direction="up" if up else "down",
            kind="level_shift",
            score=0.0,
            observed=of * (share if up else 1.0 - share),
            low=0.0 if up else of * (1.0 - allowed),
            high=of * allowed if up else of,
            reason=(
                f"{share:.2g} of the calls of 5 min failed, {share / budget:.0f} times what an "
                f"objective of {1 - budget:.4g} allows"
            ),
        )
