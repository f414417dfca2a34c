"""Streaming detection: columns of many series at once, bounded state."""

from collections.abc import Sequence

import numpy as np

from tools.detector.arms import SETTINGS
from tools.detector.calibration import Calibration, IntArray
from tools.detector.clean import LARGEST
from tools.detector.episodes import Episode, Point, threshold
from tools.detector.model import DEFAULT, DetectorConfig
from tools.detector.residuals import FLOOR, TINY, BoolArray, Residuals
from tools.detector.silence import Silence
from tools.types import Anomaly, FloatArray, Timestamp


class Stream:
    """Detects in many series at once, one column of values per evaluation interval.

    `update_columns` returns what opened (`end` None) and what closed at this step; owner, metric
    and onset name the episode. NaN means no value arrived. Every step costs the same and the
    state does not grow with time (`state_bytes`). It says what `detect` says of the same points.
    Raises ValueError for `alert_on="novel"`, which needs a memory per series.

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
        if config.alert_on == "novel":
            raise ValueError(
                "a Stream judges every departure; for alert_on='novel' keep a "
                "tools.detector.novelty.Novelty per series, or call detect on a window"
            )
        self.config = config
        self.names = list(names)
        self._arm = SETTINGS[config.arm]
        n = len(self.names)
        self._residuals = Residuals(self._arm.alphas, n)
        self._tail = Calibration(n)
        if not self._arm.calibrated:
            self._tail.level[:] = self._arm.fixed
        self._recent = [np.zeros(n), np.zeros(n), np.zeros(n)]
        self._silence = Silence(n, config)
        self.sizes = np.zeros(n)
        """The departures of the last column, without unit; what `Commotion` takes."""
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
        self._recent = [np.append(one, np.zeros(n)) for one in self._recent]
        self._silence.extend(n)

    @property
    def open(self) -> tuple[Anomaly, ...]:
        """The episodes that have not ended."""
        departures = tuple(one.anomaly(None) for one in self._open.values())
        return departures + tuple(self._missing.values()) + tuple(self._flat.values())

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes, episodes that are open aside."""
        parts = (self._residuals, self._tail, self._silence)
        held = [value for part in parts for value in vars(part).values()]
        held += [*self._recent, *self._residuals.before]
        return sum(value.nbytes for value in held if isinstance(value, np.ndarray))

    def update(self, t: Timestamp, v: float) -> tuple[Anomaly, ...]:
        """Take one point of the only series."""
        return self.update_columns(t, np.array([v], dtype=np.float64))

    def update_columns(self, t: Timestamp, values: FloatArray) -> tuple[Anomaly, ...]:
        """Take one value of every series; `t` must not go back.

        Raises ValueError unless there is exactly one value per series.
        """
        if values.shape != (len(self.names),):
            raise ValueError(f"{len(self.names)} series need as many values; got {values.shape}")
        finite = np.abs(values) <= LARGEST
        there = None if finite.all() else finite
        if there is not None:
            values = np.where(finite, values, np.nan)
        out = self._voids(t, values, there)
        age = self._residuals.age.copy()
        z = self._residuals.step(values if there is None else np.nan_to_num(values), there)
        signed = z.sum(axis=0)
        size, fires = self._rising(signed, there)
        self.sizes = size
        level, gamma = self._tail.level.copy(), self._tail.gamma.copy()
        ratio = self._tail.step(size, age, there) if self._arm.calibrated else size / level
        strange = fires & (ratio >= threshold(gamma, self.config)) & (age >= self.config.warmup)
        touched = {*np.flatnonzero(strange).tolist(), *self._open}
        if there is not None:
            touched = {i for i in touched if there[i]}
        if touched:
            at = np.array(sorted(touched), dtype=np.int64)
            middle, half = self._band(at, level)
            judged = (ratio[at], strange[at], signed[at], middle, half, gamma[at])
            rows = zip(at.tolist(), values[at].tolist(), *(j.tolist() for j in judged), strict=True)
            for i, value, *rest in rows:
                out.extend(self._advance(i, Point(t, value, *rest)))
        return tuple(out)

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

    def _band(self, at: IntArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Middle and half width of what was expected of these series at this point."""
        level, scale = (part[:, at] for part in self._residuals.before)
        unit = scale + FLOOR * np.abs(level) + TINY
        weight = (1.0 / unit).sum(axis=0)
        return (level / unit).sum(axis=0) / weight, 2.0 * tail[at] / weight

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
        for i in [] if late is None else np.flatnonzero(late).tolist():
            if i not in self._missing:
                self._missing[i] = self._silence.gap(i, self.names[i], None)
                out.append(self._missing[i])
        for i in [i for i in self._missing if there is None or there[i]]:
            out.append(self._missing.pop(i).model_copy(update={"end": t}))
        flat = self._silence.flat(t, values, there)
        for i in [] if flat is None else np.flatnonzero(flat).tolist():
            if i not in self._flat:
                self._flat[i] = self._silence.flatline(i, self.names[i], None)
                out.append(self._flat[i])
        moved = [i for i in self._flat if self._silence.run[i] == 0]
        out.extend(self._flat.pop(i).model_copy(update={"end": t}) for i in moved)
        self._silence.hear(t, there)
        return out
