"""What the detector is told and what it says beyond `Anomaly`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import Field

from tools.types import Anomaly, FloatArray, FrozenModel, Timestamp

DetectorArm = Literal["rules", "ml"]
AlertCriterion = Literal["every", "novel"]
"""every departure · only one unlike all the series has shown before"""


LARGEST_TAIL = 0.1
"""A point in ten may open a false episode at most, however long the interval of a series is."""


class DetectorConfig(FrozenModel):
    """One configuration for every series; the defaults are the measured ones.

    `false_per_day` is how many episodes a day of one series may be reported that are none; `tail`
    says the same as a chance per point; `block` points hold one largest size to calibrate by (fewer
    where the past is hours, or a fault comes every hour); `warmup` points are only learned from;
    `quiet` ordinary points end an episode; `missing` usual intervals without a value, or `flat`
    times the longest run of equal values, open one of those kinds. With `alert_on="novel"` at most
    about one episode per `spacing * horizon` points is reported (`horizon` None: the length of the
    series).
    """

    arm: DetectorArm = "ml"
    false_per_day: float = Field(default=1.5, gt=0)
    tail: float | None = Field(default=None, gt=0, lt=1)
    block: int = Field(default=120, ge=30, le=240)
    warmup: int = Field(default=30, ge=3)
    quiet: int = Field(default=5, ge=1)
    missing: float = Field(default=5.0, gt=1)
    flat: float = Field(default=3.0, gt=1)
    alert_on: AlertCriterion = "every"
    novelty: float = Field(default=0.72, gt=0)
    spacing: float = Field(default=0.07, gt=0, lt=1)
    horizon: int | None = Field(default=None, ge=1)

    def at(self, interval: float) -> "DetectorConfig":
        """The same with `tail` known, where a point comes every `interval` seconds."""
        if self.tail is not None or not interval > 0:
            return self
        tail = min(self.false_per_day * interval / 86_400.0, LARGEST_TAIL)
        return self.model_copy(update={"tail": tail})


DEFAULT = DetectorConfig()

WATCH = DetectorConfig(tail=1e-6)
"""For thousands of series scanned at once: about one false episode in a million points."""


@dataclass(frozen=True, slots=True)
class PointScores:
    """One score per point of a series, each from the points up to it only.

    `strength` says how many times rarer an episode at least as large is than the false ones that
    may be reported (1 is reported), by the series' own past; kept only where the departure is
    larger than at the three points before. The arm `rules` has multiples of its fixed limit.
    `novelty` is the distance to everything the series has shown, kept only where it is the
    largest of the last `spacing * horizon` points; zero unless asked for.
    """

    strength: FloatArray
    novelty: FloatArray


class Onset(FrozenModel):
    """When an incident began, as the series say; `anomalies` are the strongest, worst first."""

    at: Timestamp
    confidence: float = Field(gt=0, lt=1)
    anomalies: tuple[Anomaly, ...] = ()
    reason: str


class JointAnomaly(FrozenModel):
    """An episode of many series at once; `shares` says which took part and how much each."""

    onset: Timestamp
    end: Timestamp | None
    score: float = Field(ge=0, le=1)
    shares: tuple[tuple[str, float], ...]
    reason: str


class ArmSetting(NamedTuple):
    """Memories of the residual, whether the threshold calibrates itself, and by what blocks."""

    alphas: tuple[float, float]
    calibrated: bool
    fixed: float
    block: int = 120


def setting(config: DetectorConfig) -> ArmSetting:
    """How the arm of a configuration judges."""
    return SETTINGS[config.arm]._replace(block=config.block)


SETTINGS: dict[DetectorArm, ArmSetting] = {
    # A robust z against one long memory and a threshold that is the same for every series:
    # 5.0 mean absolute residuals are four standard deviations of a normal distribution.
    "rules": ArmSetting(alphas=(0.01, 0.01), calibrated=False, fixed=5.0),
    "ml": ArmSetting(alphas=(0.3, 0.1), calibrated=True, fixed=0.0),
}
