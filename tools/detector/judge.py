"""Values of many series against their memories and their own thresholds, one column at a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.detector.calibration import Calibration
from tools.detector.model import ArmSetting
from tools.detector.residuals import FLOOR, TINY, Residuals
from tools.normal import BoolArray
from tools.types import FloatArray

RowIndices = NDArray[np.int64]


class ColumnScores(NamedTuple):
    """A column as it was judged before it was learned from; `age` may stand for all series."""

    size: FloatArray
    ratio: FloatArray
    fires: BoolArray
    signed: FloatArray
    level: FloatArray
    gamma: FloatArray
    age: FloatArray

    def some(self, rows: RowIndices) -> "ColumnScores":
        """The same of some of the series."""
        age = self.age[rows] if len(self.age) > 1 else self.age
        size, ratio, fires = self.size[rows], self.ratio[rows], self.fires[rows]
        return ColumnScores(
            size, ratio, fires, self.signed[rows], self.level[rows], self.gamma[rows], age
        )


class Judge:
    """Judges columns of values of `n` series by their residuals and calibrated levels."""

    def __init__(self, arm: ArmSetting, n: int) -> None:
        self._arm = arm
        self._residuals = Residuals(arm.alphas, n)
        self._tail = Calibration(n, arm.block)
        self._recent = [np.zeros(n), np.zeros(n), np.zeros(n)]
        self._fix()

    def extend(self, n: int) -> None:
        """Add `n` series that have shown nothing yet."""
        self._residuals.extend(n)
        self._tail.extend(n)
        self._recent = [np.append(one, np.zeros(n)) for one in self._recent]
        self._fix()

    def keep(self, which: BoolArray) -> None:
        """Keep the state of the series that `which` marks and drop the others."""
        self._residuals.keep(which)
        self._tail.keep(which)
        self._recent = [one[which] for one in self._recent]

    def _fix(self) -> None:
        if not self._arm.calibrated:
            self._tail.level[:] = self._arm.fixed

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes."""
        held = [value for part in (self._residuals, self._tail) for value in vars(part).values()]
        held += [*self._recent, *self._residuals.before]
        return sum(value.nbytes for value in held if isinstance(value, np.ndarray))

    def step(self, values: FloatArray, there: BoolArray | None) -> ColumnScores:
        """Judge one value per series, then learn from it; `there` None means all are finite."""
        age = self._residuals.age.copy()
        signed = self._residuals.step(values, there).sum(axis=0)
        size, fires = self._rising(signed, there)
        level, gamma = self._tail.level.copy(), self._tail.gamma.copy()
        ratio = self._tail.step(size, there) if self._arm.calibrated else size / level
        return ColumnScores(size, ratio, fires, signed, level, gamma, age)

    def _rising(self, signed: FloatArray, there: BoolArray | None) -> tuple[FloatArray, BoolArray]:
        """Sizes of the departures, and which are larger than at the three points before."""
        size = np.abs(signed)
        size *= 0.5
        oldest, older, old = self._recent
        fires = size > np.maximum(np.maximum(older, old), oldest)
        if there is None:
            self._recent = [older, old, size]
            return size, fires
        self._recent = [
            np.where(there, later, now)
            for later, now in ((older, oldest), (old, older), (size, old))
        ]
        return size, fires & there

    def band(self, at: RowIndices, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Middle and half width of what was expected of these series, by the levels `tail`."""
        level, scale = (part[:, at] for part in self._residuals.before)
        unit = scale + FLOOR * np.abs(level) + TINY
        weight = (1.0 / unit).sum(axis=0)
        return (level / unit).sum(axis=0) / weight, 2.0 * tail / weight
