"""When many series of one system move at once, though none of them far.

Each series' departure from its short memories is taken without unit; the mean over the third that
departs most is the commotion of the moment. Its logarithm is followed by a slow level and spread
of its own, and a moment far above them is reported. That many series move together is much rarer
than that one does, so this finds an incident within samples and seldom cries without one.
"""

from collections.abc import Sequence

import numpy as np

from tools.detector.joint import SHOWN, side_by_side, stretches
from tools.detector.model import DEFAULT, SETTINGS, DetectorConfig, JointAnomaly
from tools.detector.residuals import Residuals
from tools.types import FloatArray, Series

SHARE, FEWEST = 0.3, 3
CAP = 30.0
CALL = 1.2
SETTLED = 15
SLOW, SPREAD = 0.005, 0.3
LEAST_SPREAD = 0.05
BOUND = 3.0
MEAN_TO_SIGMA = 1.25
QUIETEST = 1e-3


class Commotion:
    """The streaming state: one number for a whole column of departures; bounded, tiny."""

    def __init__(self) -> None:
        self._level, self._spread, self._seen = 0.0, SPREAD, 0

    def step(self, sizes: FloatArray) -> float:
        """Deviations above the usual commotion; 0 until it is known what is usual.

        `sizes` are departures without unit, such as `Stream.sizes`; they also teach what is usual.
        """
        if len(sizes) == 0:
            return 0.0
        most = min(len(sizes), max(FEWEST, int(SHARE * len(sizes))))
        largest = np.partition(np.minimum(sizes, CAP), len(sizes) - most)[-most:]
        height = float(np.log(largest.mean() + QUIETEST))
        self._seen += 1
        if self._seen <= 2:  # the first residuals have no scale yet
            self._level = height
            return 0.0
        above = height - self._level
        z = above / self._spread if self._seen > SETTLED else 0.0
        self._learn(above)
        return z

    def _learn(self, above: float) -> None:
        rate = max(1.0 / (self._seen + 1), SLOW)
        limit = BOUND * self._spread
        if self._seen > FEWEST + 4:
            self._level += rate * min(max(above, -limit), limit)
            self._spread += rate * (MEAN_TO_SIGMA * min(abs(above), limit) - self._spread)
            self._spread = max(self._spread, LEAST_SPREAD)
        else:
            self._level += rate * above


def together(
    series: Sequence[Series], baseline: Sequence[Series] = (), config: DetectorConfig = DEFAULT
) -> list[JointAnomaly]:
    """Return the episodes in which many series depart at once, with those that departed most.

    `baseline`, of the same names, is learned from first. Cost: about a microsecond a value.
    """
    names = [one.name for one in series]
    if not names:
        return []
    times, rows = side_by_side(series)
    known = {one.name: one for one in baseline}
    past = [known[name] for name in names if name in known]
    earlier = side_by_side(past)[1] if len(past) == len(names) else rows[:0]
    sizes = _sizes(np.vstack((earlier, rows)), config)
    state = Commotion()
    heights = np.array([state.step(row) for row in sizes])[len(earlier) :]
    return _episodes(names, times, heights, sizes[len(earlier) :], config.quiet)


def _sizes(rows: FloatArray, config: DetectorConfig) -> FloatArray:
    """The departures of every row, in mean absolute departures."""
    memories = Residuals(SETTINGS[config.arm].alphas, rows.shape[1])
    out = np.zeros_like(rows)
    for i, row in enumerate(rows):
        there = np.isfinite(row)
        z = memories.step(np.where(there, row, 0.0), None if there.all() else there)
        out[i] = np.abs(z.sum(axis=0)) / len(z)
    return out


def _episodes(
    names: list[str], times: FloatArray, heights: FloatArray, sizes: FloatArray, quiet: int
) -> list[JointAnomaly]:
    found: list[JointAnomaly] = []
    for start, stop, ended in stretches(heights, CALL, quiet):
        worst = start + int(np.argmax(heights[start:stop]))
        moved = np.minimum(sizes[worst], CAP)
        shares = moved / max(float(moved.sum()), QUIETEST)
        largest = np.argsort(-shares, kind="stable")[:SHOWN].tolist()
        z = float(heights[worst])
        found.append(
            JointAnomaly(
                onset=float(times[start]),
                end=float(times[stop - 1]) if ended else None,
                # Cantelli's bound, true of any distribution.
                score=1.0 / (1.0 + z * z),
                shares=tuple((names[i], round(float(shares[i]), 4)) for i in largest),
                reason=f"{int((moved > BOUND).sum())} of {len(names)} series moved at once, "
                f"{names[largest[0]]} the most",
            )
        )
    return found
