"""Streaming detection: columns of many series at once, bounded state."""

from collections.abc import Sequence

import numpy as np

from tools.detector.clean import LARGEST
from tools.detector.counters import CounterRates, CounterTracker
from tools.detector.episodes import Episode, ScoredPoint, threshold
from tools.detector.judge import ColumnScores, Judge, RowIndices
from tools.detector.model import DEFAULT, DetectorConfig, setting
from tools.detector.staleness import StalenessTracker
from tools.normal import BoolArray
from tools.types import Anomaly, FloatArray, Timestamp

AGAIN = 3
"""Points that were not strange between two departures of one episode: as many as a strength rises
above (`PointScores`)."""


class Stream:
    """Detects in many series at once, one column of values per evaluation interval.

    A column comes every `interval` seconds, which counts only where the configuration has no
    `tail`. `update_columns` returns what opened (`end` None) and what closed at this step; owner,
    metric and onset name the episode. NaN means no value arrived. Every step costs the same and the
    state does not grow with time (`state_bytes`). It says what `detect` says of the same points;
    counters are judged by their pace, which costs twice. An episode ends late, and a second fault
    may come first: `again` has the episodes that departed anew at this step.
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
        interval: float = 60.0,
    ) -> None:
        if config.alert_on == "novel":
            raise ValueError(
                "a Stream judges every departure; for alert_on='novel' keep a "
                "tools.detector.novelty.Novelty per series, or call detect on a window"
            )
        self.config = config = config.at(interval)
        self.names = list(names)
        arm = setting(config)
        n = len(self.names)
        self._levels = Judge(arm, n)
        self._counters = CounterTracker(arm)
        self._counters.extend(0, n)
        self._silence = StalenessTracker(n, config)
        self._open: dict[int, Episode] = {}
        self._missing: dict[int, Anomaly] = {}
        self._flat: dict[int, Anomaly] = {}
        self._ordinary = np.zeros(n, dtype=np.int32)
        self.again: tuple[Anomaly, ...] = ()

    def extend(self, names: Sequence[tuple[str, str]]) -> None:
        """Add series; their values follow the present ones in the columns."""
        n = len(names)
        self._counters.extend(len(self.names), n)
        self.names.extend(names)
        self._levels.extend(n)
        self._silence.extend(n)
        self._ordinary = np.append(self._ordinary, np.zeros(n, dtype=np.int32))

    @property
    def open(self) -> tuple[Anomaly, ...]:
        """The episodes that have not ended."""
        departures = tuple(one.anomaly(None) for one in self._open.values())
        return departures + tuple(self._missing.values()) + tuple(self._flat.values())

    @property
    def state_bytes(self) -> int:
        """Memory of the state in bytes, episodes that are open aside."""
        own = sum(
            value.nbytes for value in vars(self._silence).values() if isinstance(value, np.ndarray)
        )
        own += self._ordinary.nbytes
        return own + self._levels.state_bytes + self._counters.state_bytes

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
        levels = self._levels.step(values if there is None else np.nan_to_num(values), there)
        paces = self._counters.step(t, values)
        strange = self._strange(levels)
        if there is not None:
            strange &= there
        points: dict[int, ScoredPoint] = {}
        if paces is not None:
            points = self._paced(t, paces)
            strange[paces.at] = False
        touched = {*np.flatnonzero(strange).tolist(), *self._open}
        if paces is not None:
            touched.difference_update(paces.at.tolist())
        at = np.array(sorted(i for i in touched if finite[i]), dtype=np.int64)
        if len(at):
            band = self._levels.band(at, levels.level[at])
            points |= _points(t, at, at, values, levels, strange, band, paced=False)
        self.again = tuple(
            Episode(*self.names[i], self.config, point).anomaly(None)
            for i, point in sorted(points.items())
            if point.fires and i in self._open and self._ordinary[i] >= AGAIN
        )
        self._ordinary += 1
        self._ordinary[[i for i, point in points.items() if point.fires]] = 0
        for i in sorted(points):
            out.extend(self._advance(i, points[i]))
        return tuple(out)

    def _strange(self, judged: ColumnScores) -> BoolArray:
        """Where an episode may open."""
        far = judged.fires & (judged.ratio >= threshold(judged.gamma, self.config))
        return far & (judged.age >= self.config.warmup)

    def _paced(self, t: Timestamp, paces: CounterRates) -> dict[int, ScoredPoint]:
        """The points of counters that open an episode or go on with one, by series."""
        strange = self._strange(paces.judged)
        opened = np.array([i in self._open for i in paces.at.tolist()], dtype=np.bool_)
        rows = np.flatnonzero((strange | opened) & np.isfinite(paces.values))
        if len(rows) == 0:
            return {}
        band = paces.band(rows)
        at = paces.at[rows]
        return _points(t, at, rows, paces.values, paces.judged, strange, band, paced=True)

    def _advance(self, i: int, point: ScoredPoint) -> list[Anomaly]:
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


def _points(
    t: Timestamp,
    series: RowIndices,
    rows: RowIndices,
    values: FloatArray,
    judged: ColumnScores,
    strange: BoolArray,
    band: tuple[FloatArray, FloatArray],
    *,
    paced: bool,
) -> dict[int, ScoredPoint]:
    middle, half = band
    return {
        i: ScoredPoint(
            t,
            float(values[row]),
            float(judged.ratio[row]),
            bool(strange[row]),
            float(judged.signed[row]),
            float(middle[k]),
            float(half[k]),
            float(judged.gamma[row]),
            paced,
        )
        for k, (i, row) in enumerate(zip(series.tolist(), rows.tolist(), strict=True))
    }
