"""What the detector is told and what it says beyond `Anomaly`."""

from typing import Literal

from pydantic import Field

from tools.types import Anomaly, Frozen, Timestamp

DetectorArm = Literal["rules", "ml"]


class DetectorConfig(Frozen):
    """One configuration for every series; the defaults are the measured ones.

    `tail` is the probability under normal behaviour below which a point opens an episode;
    `quiet` is how many ordinary points close it again.
    """

    arm: DetectorArm = "ml"
    tail: float = Field(default=1e-5, gt=0, lt=1)
    warmup: int = Field(default=12, ge=3)
    quiet: int = Field(default=5, ge=1)


DEFAULT = DetectorConfig()


class Onset(Frozen):
    """When an incident began, as the series say; `anomalies` are the strongest, worst first."""

    at: Timestamp
    confidence: float = Field(gt=0, lt=1)
    anomalies: tuple[Anomaly, ...] = ()
    reason: str


class Forecast(Frozen):
    """Where a series is heading: the expected value and its band at `at`, and the crossing.

    `crosses_at` is when the middle of the forecast crosses the limit, `earliest` and `latest`
    when the edges of the band do (None: not within the horizon).
    """

    owner: str
    metric: str
    at: Timestamp
    expected: float
    low: float
    high: float
    limit: float | None = None
    crosses_at: Timestamp | None = None
    earliest: Timestamp | None = None
    latest: Timestamp | None = None
    reason: str
