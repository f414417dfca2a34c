"""What distinguishes the two ways to judge one series."""

from typing import NamedTuple

from tools.detector.model import DetectorArm


class ArmSetting(NamedTuple):
    """Memories of the residual, and whether the threshold calibrates itself."""

    alphas: tuple[float, float]
    calibrated: bool
    fixed: float


SETTINGS: dict[DetectorArm, ArmSetting] = {
    # A robust z against one long memory and a threshold that is the same for every series:
    # 5.0 mean absolute residuals are four standard deviations of a normal distribution.
    "rules": ArmSetting(alphas=(0.01, 0.01), calibrated=False, fixed=5.0),
    "ml": ArmSetting(alphas=(0.3, 0.1), calibrated=True, fixed=0.0),
}
