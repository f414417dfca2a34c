"""Does a stated probability come true as often as it says: Brier score, calibration error, bins.

Brier (1950): mean (p - y)^2. Expected calibration error: the bins' |mean p - mean y|, weighed by
how many cases each holds (Naeini, Cooper and Hauskrecht, 2015).
"""

from collections.abc import Sequence
from math import isfinite, nan
from statistics import fmean

from tools.types import FrozenModel

BINS = 10


SURE = 0.95
"""What is said with more than this is believed without looking."""


def calibration_keys(said: Sequence[tuple[float, float]], likely: float) -> dict[str, float]:
    """The published figures of pairs (probability, right): `ece` over ten bins of equal mass,
    `wrong_at_95` (0.0 where nothing is said so high), and `coverage`, the share said with at least
    the probability `likely`.
    """
    if not said:
        return {f"calibration.{key}": nan for key in ("ece", "wrong_at_95", "coverage")}
    ordered = sorted(said)
    bins = [ordered[len(said) * n // BINS : len(said) * (n + 1) // BINS] for n in range(BINS)]
    gaps = [len(b) * abs(fmean(p for p, _ in b) - fmean(y for _, y in b)) for b in bins if b]
    high = [y for p, y in said if p >= SURE]
    return {
        "calibration.ece": sum(gaps) / len(said),
        "calibration.wrong_at_95": 1.0 - fmean(high) if high else 0.0,
        "calibration.coverage": fmean(float(p >= likely) for p, _ in said),
    }


class Bin(FrozenModel):
    """Cases whose probability lies between two bounds: how many, what was said, what came true."""

    low: float
    high: float
    count: int
    said: float
    came_true: float


class CalibrationScore(FrozenModel):
    """Over `count` cases; NaN where there is none."""

    count: int
    brier: float
    error: float
    bins: tuple[Bin, ...]


def calibration(said: Sequence[tuple[float, float]]) -> CalibrationScore:
    """Of pairs (probability, outcome), both in [0, 1]; what is not finite is left out.

    >>> calibration([(1.0, 1.0), (0.6, 0.0)]).brier
    0.18
    """
    known = [(p, y) for p, y in said if isfinite(p) and isfinite(y)]
    bins = []
    for number in range(BINS):
        inside = [(p, y) for p, y in known if min(int(p * BINS), BINS - 1) == number]
        if inside:
            bins.append(
                Bin(
                    low=number / BINS,
                    high=(number + 1) / BINS,
                    count=len(inside),
                    said=fmean(p for p, _ in inside),
                    came_true=fmean(y for _, y in inside),
                )
            )
    if not known:
        return CalibrationScore(count=0, brier=float("nan"), error=float("nan"), bins=())
    return CalibrationScore(
        count=len(known),
        brier=fmean((p - y) ** 2 for p, y in known),
        error=sum(one.count * abs(one.said - one.came_true) for one in bins) / len(known),
        bins=tuple(bins),
    )
