"""Streaming detection: columns of many series at once, bounded state."""

from collections.abc import Sequence

import numpy as np

from tools.detector.arms import SETTINGS
from tools.detector.calibration import Calibration
from tools.detector.episodes import Episode, Point, threshold
from tools.detector.model import DEFAULT, DetectorConfig
from tools.detector.residuals import FLOOR, TINY, BoolArray, Residuals
from tools.detector.silence import Silence
from tools.types import Anomaly, FloatArray, Timestamp


class Stream:
    """Detects in many series at once, one column of values per evaluation interval.

    `update_columns` returns what opened (`end` None) and what closed at this step; owner, metric
    and onset name the episode. NaN means no value arrived. Every step costs the same and the
    state does not grow with time (`state_bytes`).

    >>> stream = Stream([("web", "latency"), ("web", "errors")])
    >>> for t in range(100):
    ...     assert not stream.update_columns(60.0 * t, np.array([5.0 + t % 3, 1.0 + t % 2]))
    >>> [(a.metric, a.direction) for a in stream.update_columns(6000.0, np.array([90.0, 1.0]))]
    [('latency', 'up')]
    """

    def __init__(
        self,
        names: Sequence[tuple[str, str]] = (("", ""),),
        config: DetectorConfig = DEFAULT,
    ) -> None:
        self.config = config
        self.names = list(names)
        self._arm = SETTINGS[config.arm]
        n = len(self.names)
        self._residuals = Residuals(self._arm.alphas, n)
        self._tail = Calibration(n)
        if not self._arm.calibrated:
            self._tail.level[:] = self._arm.fixed
        self._recent = np.zeros((3, n))
        self._silence = Silence(n, config)
        self._open: dict[int, Episode] = {}
        self._missing: dict[int, Anomaly] = {}
        self._flat: dict[int, Anomaly] = {}

    def extend(self, names: Sequence[tuple[str, str]]) -> None:
        """Add series; their values follow the present ones in the columns."""
        n = len(names)
        self.names.extend(names)
        self._residuals.extend(n)
        self._tail.extend(n)
        if not self._arm.calibrated:
            self._tail.level[:] = self._arm.fixed
        self._recent = np.pad(self._recent, ((0, 0), (0, n)))
        self._silence.extend(n)

    @property
    def open(self) -> tuple[Anomaly, ...]:
        """The episodes that have not ended."""
        departures = tuple(one.anomaly(None) for one in self._open.values())
        return departures + tuple(self._missing.values()) + tuple(self._flat.values())

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes, episodes that are open aside."""
        parts = (self._residuals, self._tail, self._silence, self)
        values = [value for part in parts for value in vars(part).values()]
        return sum(value.nbytes for value in values if isinstance(value, np.ndarray))

    def update(self, t: Timestamp, v: float) -> tuple[Anomaly, ...]:
        """Take one point of the only series."""
        return self.update_columns(t, np.array([v], dtype=np.float64))

    def update_columns(self, t: Timestamp, values: FloatArray) -> tuple[Anomaly, ...]:
        """Take one value of every series; `t` must not go back."""
        finite = np.isfinite(values)
        there = None if finite.all() else finite
        if there is not None:
            values = np.where(finite, values, np.nan)
        out = self._voids(t, values, there)
        before = self._residuals.level, self._residuals.scale, self._residuals.seen
        z = self._residuals.step(values if there is None else np.nan_to_num(values), there)
        signed = z[0] + z[1]
        size = np.abs(signed) / 2.0
        fires = size > self._recent.max(axis=0)
        level, gamma = self._tail.level, self._tail.gamma.copy()
        ratio = self._weigh(size, before[2], there)
        if there is None:
            self._recent[:2], self._recent[2] = self._recent[1:].copy(), size
        else:
            self._recent = np.where(there, np.vstack((self._recent[1:], size)), self._recent)
            fires &= there
        reach = threshold(gamma, self.config)
        strange = fires & (ratio >= reach) & (before[2] >= self.config.warmup)
        touched = set(np.flatnonzero(strange).tolist())
        for i in sorted(touched | self._open.keys()):
            if there is not None and not there[i]:
                continue
            middle, half = self._band(i, before, level)
            point = Point(
                t,
                float(values[i]),
                float(ratio[i]),
                bool(strange[i]),
                float(signed[i]),
                middle,
                half,
                float(gamma[i]),
            )
            out.extend(self._advance(i, point))
        return tuple(out)

    def _weigh(self, size: FloatArray, seen: FloatArray, there: BoolArray | None) -> FloatArray:
        if self._arm.calibrated:
            return self._tail.step(size, seen, there)
        ratio: FloatArray = size / self._tail.level
        return ratio

    def _band(
        self, i: int, before: tuple[FloatArray, FloatArray, FloatArray], level: FloatArray
    ) -> tuple[float, float]:
        levels, scales, _ = before
        unit = scales[:, i] + FLOOR * np.abs(levels[:, i]) + TINY
        weight = float((1.0 / unit).sum())
        return float((levels[:, i] / unit).sum()) / weight, 2.0 * float(level[i]) / weight

    def _advance(self, i: int, point: Point) -> list[Anomaly]:
        present = self._open.get(i)
        if present is None:
            owner, metric = self.names[i]
            opened = Episode(owner, metric, self.config, point)
            self._open[i] = opened
            return [opened.anomaly(None)]
        if present.take(point):
            del self._open[i]
            return [present.anomaly(point.t)]
        return []

    def _voids(self, t: Timestamp, values: FloatArray, there: BoolArray | None) -> list[Anomaly]:
        """Missing values and flat lines, opened and closed."""
        out: list[Anomaly] = []
        late = self._silence.missing(t, there)
        flat = self._silence.flat(t, values, there)
        for i in [] if late is None else np.flatnonzero(late).tolist():
            if i not in self._missing:
                self._missing[i] = self._silence.gap(i, self.names[i], None)
                out.append(self._missing[i])
        for i in [i for i in self._missing if there is None or there[i]]:
            out.append(self._missing.pop(i).model_copy(update={"end": t}))
        for i in [] if flat is None else np.flatnonzero(flat).tolist():
            if i not in self._flat:
                self._flat[i] = self._silence.flatline(i, self.names[i], None)
                out.append(self._flat[i])
        moved = [i for i in self._flat if self._silence.run[i] == 0]
        out.extend(self._flat.pop(i).model_copy(update={"end": t}) for i in moved)
        self._silence.hear(t, there)
        return out
