"""What leaves everything a short past holds: all the watch can say before it has learned.

On a few dozen samples no tail can be told, so no probability is claimed. A reading counts that
stays for `HELD_S` farther beyond the worst so far than the whole past is wide; the fewer samples,
the farther, for the chance of a record among n samples falls as 1 / n. What several signals of a
system show, or callers feel at two places, is enough.
"""

from collections import deque
from collections.abc import Sequence
from math import ceil

import numpy as np

from tools.impact import impact
from tools.topology_walker.signals import MetricCategory, read
from tools.types import Anomaly, FloatArray, Owner, Series, Timestamp

LEAST = 24
"""Samples before anything is said; with which a counter is told from a gauge, too."""

HELD_S, HELD = 20.0, 3
"""Seconds and samples for which a reading has to be beyond: more than one reading of a rate, which
is taken over 15 s or more. source: docs/diary/detection.md, short past."""

WIDTHS, EARLY = 1.0, 72.0
"""Widths of the past by which it has to be beyond, or `EARLY` by the number of samples if that is
more. source: docs/diary/detection.md, short past."""

FELT, SLIGHT, ENOUGH = 2, 1, 4
"""What a signal weighs that callers feel, any other, and what is enough together.
source: docs/diary/detection.md, short past."""


class ShortPast:
    """Extremes of every series so far, and what is beyond them now.

    State: 32 bytes a series and 8 for each sample that is held back.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._held = max(HELD, ceil(HELD_S / interval_s))
        self._series: list[tuple[str, str, str]] = []
        self._sign = np.empty(0)
        self._worst, self._best, self._seen = np.empty(0), np.empty(0), np.empty(0)
        self._recent: deque[FloatArray] = deque(maxlen=self._held)
        self.beyond: list[Anomaly] = []
        self._weights: dict[tuple[str, MetricCategory], int] = {}

    @property
    def state_bytes(self) -> int:
        """Memory of the state."""
        own = (self._sign, self._worst, self._best, self._seen, *self._recent)
        return sum(one.nbytes for one in own)

    @property
    def enough(self) -> bool:
        """Whether what is beyond now is worth an alarm, however little is known."""
        return sum(self._weights.values()) >= ENOUGH

    def extend(self, new: Sequence[Series]) -> None:
        """Take up series; their values follow the present ones in the columns."""
        self._series += [(one.owner, one.metric, one.unit) for one in new]
        signs = [1.0 if read(one.metric).bad == "up" else -1.0 for one in new]
        more = (0, len(new))
        self._sign, self._seen = np.append(self._sign, signs), np.pad(self._seen, more)
        self._worst = np.pad(self._worst, more, constant_values=-np.inf)
        self._best = np.pad(self._best, more, constant_values=np.inf)

    def step(self, at: Timestamp, values: FloatArray) -> None:
        """Take one value of every series; NaN where none arrived."""
        bad = values * self._sign
        if len(self._recent) == self._held:
            old = self._recent[0]
            old = np.pad(old, (0, len(bad) - len(old)), constant_values=np.nan)
            self._worst, self._best = np.fmax(self._worst, old), np.fmin(self._best, old)
            self._seen += np.isfinite(old)
        self._recent.append(bad)
        self.beyond.clear()
        self._weights.clear()
        if self._seen.max(initial=0.0) >= LEAST - HELD:
            self._judge(at)

    def _judge(self, at: Timestamp) -> None:
        known = len(self._recent[0])  # what joined since has no past
        least = np.min([one[:known] for one in self._recent], axis=0)
        worst, best, seen = self._worst[:known], self._best[:known], self._seen[:known]
        with np.errstate(invalid="ignore"):
            away = np.maximum(WIDTHS, EARLY / np.maximum(seen, 1.0)) * (worst - best)
            far = (seen >= LEAST - HELD) & (least - worst >= away)
        for i in np.flatnonzero(far).tolist():
            owner, metric, unit = self._series[i]
            signal, sign = read(metric), self._sign[i]
            hurts = impact(metric, float(sign * worst[i]), float(sign * least[i]), unit)
            if hurts.level == "none":
                continue
            key = ("" if signal.per_node else Owner.parse(owner).service, signal.family)
            self._weights[key] = max(FELT if hurts.felt else SLIGHT, self._weights.get(key, 0))
            self.beyond.append(self._anomaly(at, i, float(sign * least[i])))

    def _anomaly(self, at: Timestamp, i: int, observed: float) -> Anomaly:
        owner, metric, _ = self._series[i]
        ends = float(self._sign[i] * self._worst[i]), float(self._sign[i] * self._best[i])
        low, high = min(ends), max(ends)
        held_s = self._held * self._interval_s
        return Anomaly(
            owner=owner,
            metric=metric,
            onset=at - held_s + self._interval_s,
            end=None,
            direction="up" if self._sign[i] > 0.0 else "down",
            kind="level_shift",
            score=1.0 / (1.0 + float(self._seen[i])),
            observed=observed,
            low=low,
            high=high,
            reason=f"{observed:.5g} for {held_s:.0f} s, {low:.5g} to {high:.5g} ever before",
        )
