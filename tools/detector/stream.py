"""Streaming detection: columns of many series at once, bounded state."""

from collections.abc import Sequence

import numpy as np

from tools.detector.model import DEFAULT, DetectorConfig
from tools.types import Anomaly, FloatArray, Timestamp


class Stream:
    """Detects in many series at once, one column of values per evaluation interval.

    `update_columns` returns what opened (`end` is None) or closed at this step; the triple of
    owner, metric and onset names the episode. NaN means no value arrived.
    """

    def __init__(
        self,
        names: Sequence[tuple[str, str]] = (("", ""),),
        config: DetectorConfig = DEFAULT,
    ) -> None:
        self.config = config
        self.names: list[tuple[str, str]] = []
        self._open: dict[int, Anomaly] = {}
        self._level = np.zeros(0)
        self._spread = np.zeros(0)
        self._seen = np.zeros(0)
        self._calm = np.zeros(0)
        self.extend(names)

    def extend(self, names: Sequence[tuple[str, str]]) -> None:
        """Add series; their values follow the present ones in the columns."""
        self.names.extend(names)
        grow = (0, len(names))
        self._level = np.pad(self._level, grow)
        self._spread = np.pad(self._spread, grow)
        self._seen = np.pad(self._seen, grow)
        self._calm = np.pad(self._calm, grow)

    def update(self, t: Timestamp, v: float) -> tuple[Anomaly, ...]:
        """Take one point of the only series."""
        return self.update_columns(t, np.array([v]))

    def update_columns(self, t: Timestamp, values: FloatArray) -> tuple[Anomaly, ...]:
        """Take one value of every series."""
        there = np.isfinite(values)
        first = there & (self._seen == 0)
        level = np.where(first, values, self._level)
        residual = np.where(there, values - level, 0.0)
        scale = np.maximum(np.sqrt(self._spread), 1e-9 + 1e-6 * np.abs(level))
        z = residual / scale
        strange = there & (np.abs(z) > 6.0) & (self._seen >= self.config.warmup)
        rate = 1.0 / np.minimum(self._seen + 1.0, 50.0)
        step = np.where(there, rate, 0.0)
        moved = np.clip(residual, -6 * scale, 6 * scale)
        moved = np.where(self._seen < self.config.warmup, residual, moved)
        self._level = level + step * moved
        self._spread += step * (moved * moved - self._spread)
        self._seen += there
        return self._episodes(t, values, level, scale, z, strange)

    @property
    def open(self) -> tuple[Anomaly, ...]:
        """The episodes that have not ended."""
        return tuple(self._open.values())

    def _episodes(
        self,
        t: Timestamp,
        values: FloatArray,
        level: FloatArray,
        scale: FloatArray,
        z: FloatArray,
        strange: np.ndarray,
    ) -> tuple[Anomaly, ...]:
        out = []
        self._calm = np.where(strange, 0, self._calm + 1)
        for i in np.flatnonzero(strange):
            if int(i) not in self._open:
                owner, metric = self.names[i]
                low, high = level[i] - 6 * scale[i], level[i] + 6 * scale[i]
                opened = Anomaly(
                    owner=owner,
                    metric=metric,
                    onset=t,
                    end=None,
                    direction="up" if z[i] > 0 else "down",
                    kind="spike",
                    score=float(np.exp(-min(abs(z[i]), 700.0))),
                    observed=float(values[i]),
                    low=float(low),
                    high=float(high),
                    reason=f"{values[i]:.4g} lies outside {low:.4g} to {high:.4g}",
                )
                self._open[int(i)] = opened
                out.append(opened)
        for k in [k for k in self._open if self._calm[k] >= self.config.quiet]:
            out.append(self._open.pop(k).model_copy(update={"end": t}))
        return tuple(out)
