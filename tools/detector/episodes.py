"""From flagged points to episodes: one open or closed `Anomaly` per departure of one series."""

from dataclasses import dataclass, field
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np

from tools.detector.calibration import RATE, ratio_at, tail_probability
from tools.detector.model import DetectorConfig
from tools.types import Anomaly, AnomalyKind, Direction, FloatArray, Timestamp

CALM = 0.5
SETTLED = 1.0
TURNS = 2
CLIMB = 2.0
FIXED_SIGMAS = 4.0
ONE = np.ones(1)


class ScoredPoint(NamedTuple):
    """One judged point of one series."""

    t: Timestamp
    value: float
    ratio: float
    fires: bool
    signed: float
    middle: float
    half: float
    gamma: float
    paced: bool = False
    """`value` is the increase per second of a counter."""


def threshold(gamma: FloatArray, config: DetectorConfig) -> FloatArray:
    """The multiples of the calibrated level that open an episode; one for all by default."""
    if config.arm == "rules" or config.tail is None or config.tail == RATE:
        return ONE
    return ratio_at(config.tail, gamma)


def probability(point: ScoredPoint, config: DetectorConfig) -> float:
    """Tail probability of a point: Pareto beyond the calibrated level, normal for `rules`."""
    if config.arm == "rules":
        return float(erfc(min(point.ratio * FIXED_SIGMAS, 37.0) / sqrt(2.0)))
    return tail_probability(point.ratio, point.gamma)


@dataclass(slots=True)
class Episode:
    """A departure while it lasts."""

    owner: str
    metric: str
    config: DetectorConfig
    first: ScoredPoint
    worst: ScoredPoint = field(init=False)
    last: ScoredPoint = field(init=False)
    calm: int = field(init=False, default=0)
    turns: int = field(init=False, default=0)
    settled: float = field(init=False)

    def __post_init__(self) -> None:
        self.worst = self.last = self.first
        self.settled = self.first.middle

    def take(self, point: ScoredPoint) -> bool:
        """Add the next point; True when it ends the episode, or is of another measure."""
        if point.paced != self.first.paced:
            return True
        if point.ratio < CALM * self._reach(point):
            self.calm += 1
        else:
            self.calm = 0
            self.turns += point.signed * self.last.signed < 0
            self.last = point
        if point.ratio > self.worst.ratio:
            self.worst = point
        self.settled = point.middle
        return self.calm >= self.config.quiet

    def _reach(self, point: ScoredPoint) -> float:
        reach = threshold(np.array([point.gamma]), self.config)
        return float(reach[0])

    def kind(self) -> AnomalyKind:
        """What became of the series: a level it settled on, a wild phase, or a spike."""
        if self.turns >= TURNS:
            return "variance_change"
        moved = abs(self.settled - self.first.middle)
        departure = abs(self.worst.value - self.first.middle)
        if moved < SETTLED * self.first.half:
            return "spike"
        opening = abs(self.first.value - self.first.middle)
        return "trend_change" if departure > CLIMB * opening else "level_shift"

    def anomaly(self, end: Timestamp | None) -> Anomaly:
        """The episode as it stands; `end` None while open."""
        worst = self.worst
        reach = self._reach(worst)
        low, high = worst.middle - reach * worst.half, worst.middle + reach * worst.half
        direction: Direction = "up" if worst.signed > 0 else "down"
        score = probability(worst, self.config)
        unit = "/s" if worst.paced else ""
        return Anomaly(
            owner=self.owner,
            metric=self.metric,
            onset=self.first.t,
            end=end,
            direction=direction,
            kind=self.kind(),
            score=score,
            observed=worst.value,
            low=low,
            high=high,
            reason=(
                f"{worst.value:.5g}{unit} where {low:.5g} to {high:.5g}{unit} was expected, "
                f"{worst.ratio:.1f} times the departure its past allows (p = {score:.1g})"
            ),
        )
