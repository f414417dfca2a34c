"""Counters told from gauges while they stream in, so that their pace is judged, not their level.

A series is a counter from its 24th value on if none was negative, three steps in ten rose, and
every fall was a reset (to half or less) of which there was at most one and two in a hundred steps
more. The first value that breaks this makes it a gauge again, for good. A wrap of 32 or 64 bits is
a reset like another: the pace over it is not known.
"""

from dataclasses import dataclass

import numpy as np

from tools.detector.clean import COUNTED, MOVING, RESET, RESETS, RESETS_PER_STEP
from tools.detector.judge import ColumnScores, Judge, RowIndices
from tools.detector.model import ArmSetting
from tools.normal import BoolArray
from tools.types import FloatArray, Timestamp


def paced(
    times: FloatArray, values: FloatArray, resumed: int = 0
) -> tuple[BoolArray, FloatArray] | None:
    """Return where the series is a counter, by the points up to each, and its increase per second.

    None for a gauge. No step is taken between the points `resumed - 1` and `resumed`, which need
    not follow each other.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < COUNTED:
        return None
    v, t = values[known], times[known]
    step = np.diff(v, prepend=v[0])
    stepped = np.ones(len(v), dtype=np.bool_)
    first = int(np.searchsorted(known, resumed))
    stepped[0], stepped[first : first + 1] = False, False
    fall = stepped & (step < 0)
    reset = np.append(True, v[1:] <= RESET * v[:-1])
    falls, steps, rises = np.cumsum(fall), np.cumsum(stepped), np.cumsum(stepped & (step > 0))
    broken = (v < 0) | (fall & ~reset) | (falls > RESETS + RESETS_PER_STEP * steps)
    broken[COUNTED - 1] |= rises[COUNTED - 1] < MOVING * steps[COUNTED - 1]
    end = int(np.argmax(broken)) if broken.any() else len(v)
    if end < COUNTED:
        return None
    counter = np.zeros(len(values), dtype=np.bool_)
    counter[known[COUNTED - 1] : known[end] if end < len(v) else len(values)] = True
    pace = np.full(len(values), np.nan)
    rising = stepped & (step >= 0)
    pace[known[rising]] = step[rising] / np.diff(t, prepend=t[0])[rising]
    return counter, pace


@dataclass(frozen=True, slots=True)
class CounterRates:
    """The series of one column that are counters, with their rates per second and their scores."""

    at: RowIndices
    values: FloatArray
    judged: ColumnScores
    judge: Judge
    rows: RowIndices
    """Their places in the judge."""

    def band(self, which: RowIndices) -> tuple[FloatArray, FloatArray]:
        """Middle and half width of the paces expected of some of them."""
        return self.judge.band(self.rows[which], self.judged.level[which])


class CounterTracker:
    """Those of the series of a stream that may be counters, and their judge.

    The others cost nothing: most gauges show within a few points that they are none.
    """

    def __init__(self, arm: ArmSetting) -> None:
        self.at: RowIndices = np.empty(0, dtype=np.int64)
        self._judge = Judge(arm, 0)
        self._value = np.empty(0)
        self._time = np.empty(0)
        self._known = np.empty(0)
        self._rises = np.empty(0)
        self._falls = np.empty(0)

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes."""
        own = sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))
        return own + self._judge.state_bytes

    def extend(self, first: int, n: int) -> None:
        """Take in `n` more series, numbered from `first`."""
        self.at = np.append(self.at, np.arange(first, first + n))
        self._judge.extend(n)
        unknown, nothing = np.full(n, np.nan), np.zeros(n)
        self._value = np.append(self._value, unknown)
        self._time = np.append(self._time, unknown)
        self._known = np.append(self._known, nothing)
        self._rises = np.append(self._rises, nothing)
        self._falls = np.append(self._falls, nothing)

    def step(self, t: Timestamp, values: FloatArray) -> "CounterRates | None":
        """Take one value of every series of the stream (NaN: none); None while there is none."""
        if len(self.at) == 0:
            return None
        own = values[self.at]
        there = np.isfinite(own)
        step = own - self._value
        self._known += there
        self._rises += step > 0
        fall = step < 0
        self._falls += fall
        broken = (own < 0) | (fall & (own > RESET * self._value))
        steps = np.maximum(self._known - 1.0, 0.0)
        broken |= self._falls > RESETS + RESETS_PER_STEP * steps
        broken |= there & (self._known == COUNTED) & (self._rises < MOVING * steps)
        pace = np.where(step >= 0, step, np.nan) / (t - self._time)
        self._value = np.where(there, own, self._value)
        self._time = np.where(there, t, self._time)
        if broken.any():
            self._keep(~broken)
            pace = pace[~broken]
        moves = np.isfinite(pace)
        judged = self._judge.step(np.nan_to_num(pace), None if moves.all() else moves)
        rows = np.flatnonzero(self._known >= COUNTED)
        if len(rows) == 0:
            return None
        return CounterRates(self.at[rows], pace[rows], judged.some(rows), self._judge, rows)

    def _keep(self, which: BoolArray) -> None:
        self.at = self.at[which]
        self._judge.keep(which)
        self._value, self._time = self._value[which], self._time[which]
        self._known = self._known[which]
        self._rises, self._falls = self._rises[which], self._falls[which]
