"""Series that stop: no value for several intervals, or the same value for too long."""

import numpy as np

from tools.detector.model import DetectorConfig
from tools.normal import BoolArray
from tools.types import Anomaly, FloatArray, Timestamp

STEP_RATE = 0.05
STEP_BOUND = 4.0
FLAT_LEAST = 48.0
CHANGES = 10.0


class StalenessTracker:
    """When each of `n` series last spoke, and for how long it has repeated itself."""

    def __init__(self, n: int, config: DetectorConfig) -> None:
        self._config = config
        self.step = 0.0
        self._now = np.nan
        self._patchy = False
        self.heard = np.full(n, np.nan)
        self.value = np.full(n, np.nan)
        self.run = np.zeros(n)
        self.since = np.full(n, np.nan)
        self.longest = np.zeros(n)
        self.changes = np.zeros(n)

    def extend(self, n: int) -> None:
        """Add `n` series that have not been heard."""
        unknown, nothing = np.full(n, np.nan), np.zeros(n)
        self.heard = np.append(self.heard, unknown)
        self.value = np.append(self.value, unknown)
        self.run = np.append(self.run, nothing)
        self.since = np.append(self.since, unknown)
        self.longest = np.append(self.longest, nothing)
        self.changes = np.append(self.changes, nothing)

    def missing(self, t: Timestamp, there: BoolArray | None) -> BoolArray | None:
        """Which series had been silent too long when `t` came; None: none of them."""
        late = None
        longest = self._config.missing * self.step
        patchy = there is not None or self._patchy
        if self.step > 0 and (patchy or t - self._now > longest):
            late = t - self.heard > longest
        return late if late is not None and late.any() else None

    def hear(self, t: Timestamp, there: BoolArray | None) -> None:
        """Record which series have a value at `t` (Unix seconds)."""
        self._patchy = there is not None
        if there is None:
            self.heard[:] = t
        else:
            self.heard[there] = t
        if t > self._now:
            between = t - self._now
            bounded = min(between, STEP_BOUND * self.step) if self.step > 0 else between
            self.step += (STEP_RATE if self.step > 0 else 1.0) * (bounded - self.step)
        self._now = t

    def flat(self, t: Timestamp, values: FloatArray, there: BoolArray | None) -> BoolArray | None:
        """Which series have repeated one value too long; None: none of them."""
        same = values == self.value
        moved = ~same if there is None else there & ~same
        if moved.any():
            at = np.flatnonzero(moved)
            self.longest[at] = np.maximum(self.longest[at], self.run[at])
            self.run[at] = 0.0
            self.since[at] = t
            self.changes[at] += 1.0
            self.value[at] = values[at]
        self.run += same
        if self.run.max(initial=0.0) < FLAT_LEAST:
            return None
        long = self.run >= np.maximum(FLAT_LEAST, self._config.flat * self.longest)
        long &= self.changes >= CHANGES
        return long if long.any() else None

    def gap(self, i: int, name: tuple[str, str], end: Timestamp | None) -> Anomaly:
        """The missing values of series `i` as an anomaly."""
        last = float(self.value[i])
        return Anomaly(
            owner=name[0],
            metric=name[1],
            onset=float(self.heard[i]),
            end=end,
            direction="none",
            kind="missing",
            score=0.0,
            observed=last,
            low=last,
            high=last,
            reason=(
                f"no value for more than {self._config.missing:g} intervals of {self.step:.4g} s; "
                f"the last was {last:.5g}"
            ),
        )

    def flatline(self, i: int, name: tuple[str, str], end: Timestamp | None) -> Anomaly:
        """The repetition of series `i` as an anomaly."""
        value, run = float(self.value[i]), int(self.run[i]) + 1
        return Anomaly(
            owner=name[0],
            metric=name[1],
            onset=float(self.since[i]),
            end=end,
            direction="none",
            kind="flatline",
            score=1.0 / run,
            observed=value,
            low=value,
            high=value,
            reason=f"{value:.5g} for {run} points; never before longer than "
            f"{int(self.longest[i]) + 1}",
        )
