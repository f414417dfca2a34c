"""The Numenta Anomaly Benchmark's score, from its definition (NAB v1.1, Lavin and Ahmad 2015).

Every label window pays at most once, by the earliest detection in it: `w_tp * S(y) / S(-1)` with
`S(y) = 2 / (1 + exp(5 y)) - 1` and y the position relative to the window's right end (-1 at its
left end). A detection outside pays `w_fp * S(y)`, y the distance past the last window in widths of
it (-1 flat beyond three widths, or before any window); a missed window costs `w_fn`. The first
15 % (at most 750 points) count for nothing. The raw sum is scaled so that detecting nothing is 0
and every window at its first point is 100. One threshold holds for the whole corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray, FrozenModel

PROBATION = 0.15
PROBATION_CAP = 5000


class Profile(FrozenModel):
    """What a missed window and a false alarm cost, in detected windows."""

    name: str
    fp: float
    fn: float


STANDARD = Profile(name="standard", fp=0.11, fn=1.0)
LOW_FP = Profile(name="low_fp", fp=0.22, fn=1.0)
LOW_FN = Profile(name="low_fn", fp=0.11, fn=2.0)
PROFILES = (STANDARD, LOW_FP, LOW_FN)


@dataclass(frozen=True)
class LabelledScores:
    """Scores of one file with its windows as inclusive index pairs."""

    scores: FloatArray
    windows: tuple[tuple[int, int], ...]


class BestNabScore(FrozenModel):
    """The best score over all thresholds, and the threshold that gave it."""

    score: float
    threshold: float


def probation(length: int) -> int:
    """Points at the start of a file that are not scored."""
    return int(min(np.floor(PROBATION * length), PROBATION * PROBATION_CAP))


def _sigmoid(y: FloatArray) -> FloatArray:
    return np.where(y > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(y, 3.0))) - 1.0)


def _pay(one: LabelledScores) -> tuple[FloatArray, NDArray[np.int64]]:
    """What a detection at each point pays before weighting, and its window (-1: outside)."""
    length = len(one.scores)
    index = np.arange(length, dtype=np.float64)
    pay = np.full(length, -1.0)
    inside = np.full(length, -1, dtype=np.int64)
    peak = float(_sigmoid(np.array([-1.0]))[0])
    for number, (left, right) in enumerate(one.windows):
        width = right - left + 1.0
        after = slice(right + 1, length)
        pay[after] = _sigmoid((index[after] - right) / max(width - 1.0, 1.0))
        within = slice(left, right + 1)
        pay[within] = _sigmoid(-(right - index[within] + 1.0) / width) / peak
        inside[within] = number
    return pay, inside


def _steps(files: Sequence[LabelledScores], profile: Profile) -> tuple[FloatArray, FloatArray, int]:
    """Thresholds in falling order, the raw score's change at each point, and the windows."""
    thresholds, deltas, windows = [], [], 0
    for one in files:
        pay, inside = _pay(one)
        first = probation(len(one.scores))
        order = first + np.argsort(-one.scores[first:], kind="stable")
        delta = np.where(inside < 0, profile.fp * pay, 0.0)
        for number in range(len(one.windows)):
            mine = order[inside[order] == number]
            best = np.maximum.accumulate(np.maximum(pay[mine], -profile.fn))
            delta[mine] = np.diff(best, prepend=-profile.fn)
        windows += len(one.windows)
        thresholds.append(one.scores[order])
        deltas.append(delta[order])
    falling = np.concatenate(thresholds)
    order = np.argsort(-falling, kind="stable")
    return falling[order], np.concatenate(deltas)[order], windows


def _scaled(raw: float, windows: int, profile: Profile) -> float:
    return 100.0 * raw / (windows * (1.0 + profile.fn)) if windows else float("nan")


def swept(files: Sequence[LabelledScores], profile: Profile) -> BestNabScore:
    """The corpus score at the one threshold that is best for this profile."""
    thresholds, deltas, windows = _steps(files, profile)
    total = np.cumsum(deltas)
    last_of_tie = np.append(thresholds[1:] != thresholds[:-1], True)
    best = int(np.argmax(np.where(last_of_tie, total, -np.inf)))
    if total[best] <= 0.0:
        return BestNabScore(score=0.0, threshold=float("inf"))
    return BestNabScore(
        score=_scaled(float(total[best]), windows, profile), threshold=float(thresholds[best])
    )


def at_threshold(files: Sequence[LabelledScores], profile: Profile, threshold: float) -> float:
    """The corpus score when every point scoring at least `threshold` is a detection."""
    thresholds, deltas, windows = _steps(files, profile)
    return _scaled(float(deltas[thresholds >= threshold].sum()), windows, profile)
