"""The scores of detection, each from its definition: NAB, the KPI contest, many dimensions.

**NAB.** The Numenta Anomaly Benchmark's score, as defined (NAB v1.1, Lavin and Ahmad 2015).

Every label window pays at most once, by the earliest detection in it: `w_tp * S(y) / S(-1)` with
`S(y) = 2 / (1 + exp(5 y)) - 1` and y the position relative to the window's right end (-1 at its
left end). A detection outside pays `w_fp * S(y)`, y the distance past the last window in widths of
it (-1 flat beyond three widths, or before any window); a missed window costs `w_fn`. The first
15 % (at most 750 points) count for nothing. The raw sum is scaled so that detecting nothing is 0
and every window at its first point is 100. One threshold holds for the whole corpus.

**KPI.** The score of the AIOps 2018 KPI contest, from its definition (delay-adjusted F1).

The points of a curve are laid on its regular grid; missing ones count as neither labelled nor
flagged. A labelled segment is found iff one of its first k + 1 points is flagged, and then counts
with all its points; outside, every flagged point is a false positive. Counts are pooled over
curves. A false episode is a run of flagged points that touches no labelled point.

**Many dimensions.** Scores of multivariate anomaly detection that do not flatter.

AUC-PR is the average precision of the points. Event F1 counts a labelled segment as found when
any of its points is flagged, and a run of flagged points that touches no segment as one false
alarm; it is the best over the thresholds that flag at most half of the points (one that flags all
would be one run that finds everything). Point-adjusted F1 is given only to warn: a segment
counts with all its points once one is flagged, which gives a random score 0.85 on SMD.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray, FrozenModel

LabelArray = NDArray[np.bool_]

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


def best_nab(files: Sequence[LabelledScores], profile: Profile) -> BestNabScore:
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


def nab_pay(one: LabelledScores, profile: Profile, threshold: float) -> tuple[float, int]:
    """What one file adds to the raw score at a threshold, from nothing detected; its windows."""
    thresholds, deltas, windows = _steps([one], profile)
    return float(deltas[thresholds >= threshold].sum()), windows


def nab_scaled(pays: Sequence[tuple[float, int]], profile: Profile) -> float:
    """The score of the files that these pays are of."""
    return _scaled(sum(raw for raw, _ in pays), sum(windows for _, windows in pays), profile)


def nab_at(files: Sequence[LabelledScores], profile: Profile, threshold: float) -> float:
    """The corpus score when every point scoring at least `threshold` is a detection."""
    return nab_scaled([nab_pay(one, profile, threshold) for one in files], profile)


DELAY = 7
WARMUP = 0.2
DAY = 86400.0


class BestF1(FrozenModel):
    """The best F1 over all thresholds, and the threshold that gave it."""

    f1: float
    threshold: float


class Events(FrozenModel):
    """Segments found and asked for, and false episodes, at one threshold."""

    found: int
    segments: int
    false_episodes: int
    days: float

    @property
    def recall(self) -> float:
        """Share of the segments found; NaN without segments."""
        return self.found / self.segments if self.segments else float("nan")


@dataclass(frozen=True)
class Curve:
    """Scores and labels on a regular grid after the warm-up; `days` is the length."""

    scores: FloatArray
    labels: LabelArray
    days: float


def curve(times: FloatArray, scores: FloatArray, labels: LabelArray) -> Curve:
    """Lay one curve on its grid and cut the warm-up off."""
    step = float(np.min(np.diff(times)))
    place = np.round((times - times[0]) / step).astype(np.int64)
    length = int(place[-1]) + 1
    on_grid, marked = np.zeros(length), np.zeros(length, dtype=np.bool_)
    on_grid[place], marked[place] = scores, labels
    first = int(WARMUP * length)
    return Curve(on_grid[first:], marked[first:], (length - first) * step / DAY)


def segments(labels: LabelArray) -> list[tuple[int, int]]:
    """Runs of marked points as (first, one past last)."""
    edges = np.diff(labels.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def _events(one: Curve, delay: int) -> tuple[FloatArray, FloatArray]:
    """Per segment: the score that finds it in time, and its points."""
    runs = segments(one.labels)
    heights = [float(one.scores[a : min(b, a + delay + 1)].max()) for a, b in runs]
    return np.array(heights), np.array([float(b - a) for a, b in runs])


def _counts(curves: Sequence[Curve], delay: int) -> tuple[FloatArray, FloatArray, float]:
    """Scores in falling order with the F1 at each, thresholds last of their tie only."""
    heights, weights, outside = [], [], []
    for one in curves:
        height, weight = _events(one, delay)
        heights.append(height)
        weights.append(weight)
        outside.append(one.scores[~one.labels])
    height, weight, false = (
        np.concatenate(heights),
        np.concatenate(weights),
        np.concatenate(outside),
    )
    scores = np.concatenate([height, false])
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(np.concatenate([weight, np.zeros(len(false))])[order])
    wrong = np.cumsum(np.concatenate([np.zeros(len(height)), np.ones(len(false))])[order])
    positives = float(weight.sum())
    f1 = 2 * found / np.maximum(found + wrong + positives, 1e-12)
    return scores[order], f1, positives


def best_f1(curves: Sequence[Curve], delay: int = DELAY) -> BestF1:
    """The best pooled F1 over one threshold for all the curves given."""
    scores, f1, positives = _counts(curves, delay)
    if positives == 0:
        return BestF1(f1=float("nan"), threshold=float("inf"))
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    best = int(np.argmax(np.where(last_of_tie, f1, -1.0)))
    return BestF1(f1=float(f1[best]), threshold=float(scores[best]))


def f1_at(curves: Sequence[Curve], threshold: float, delay: int = DELAY) -> float:
    """The pooled F1 when every point scoring at least `threshold` is flagged."""
    scores, f1, positives = _counts(curves, delay)
    flagged = int(np.count_nonzero(scores >= threshold))
    if positives == 0:
        return float("nan")
    return float(f1[flagged - 1]) if flagged else 0.0


def counts_at(one: Curve, threshold: float, delay: int = DELAY) -> tuple[float, float, float]:
    """Labelled points found, points flagged falsely, and all labelled points."""
    height, weight = _events(one, delay)
    wrong = np.count_nonzero(one.scores[~one.labels] >= threshold)
    return float(weight[height >= threshold].sum()), float(wrong), float(weight.sum())


def events(one: Curve, threshold: float, delay: int = DELAY) -> Events:
    """What one threshold finds in one curve, counted in episodes."""
    height, _ = _events(one, delay)
    runs = segments(one.scores >= threshold)
    before = np.concatenate([[0], np.cumsum(one.labels)])
    false = sum(1 for a, b in runs if before[b] == before[a])
    return Events(
        found=int(np.count_nonzero(height >= threshold)),
        segments=len(height),
        false_episodes=false,
        days=one.days,
    )


def recall_within(one: Curve, per_day: float = 1.0, delay: int = DELAY) -> Events:
    """The most segments found at any threshold with at most `per_day` false episodes a day."""
    height, _ = _events(one, delay)
    best = Events(found=0, segments=len(height), false_episodes=0, days=one.days)
    for threshold in np.unique(height)[::-1]:
        here = events(one, float(threshold), delay)
        if here.false_episodes <= per_day * one.days and here.found > best.found:
            best = here
    return best


def threshold_within(curves: Sequence[Curve], per_day: float = 1.0, delay: int = DELAY) -> float:
    """The least height of a segment at which the curves have `per_day` false episodes on average.

    False episodes are taken to grow as the threshold falls, so that a bisection finds it.
    """
    heights = np.unique(np.concatenate([_events(one, delay)[0] for one in curves]))
    low, high = 0, len(heights)
    while low < high:
        middle = (low + high) // 2
        here = [events(one, float(heights[middle]), delay) for one in curves]
        if mean([one.false_episodes / one.days for one in here]) <= per_day:
            high = middle
        else:
            low = middle + 1
    return float(heights[low]) if low < len(heights) else float("inf")


def delays(one: Curve, threshold: float) -> list[int]:
    """Points from the start of each found segment to its first flagged point."""
    flagged = one.scores >= threshold
    found = [flagged[a:b] for a, b in segments(one.labels) if flagged[a:b].any()]
    return [int(np.argmax(part)) for part in found]


MOST_FLAGGED = 0.5


def average_precision(scores: FloatArray, labels: LabelArray) -> float:
    """Area under precision over recall, one step per distinct score."""
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last_of_tie = np.append(falling[1:] != falling[:-1], True)
    hits = np.cumsum(labels[order])[last_of_tie]
    flagged = np.flatnonzero(last_of_tie) + 1.0
    recall = hits / labels.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / flagged))


def event_f1(scores: FloatArray, labels: LabelArray) -> float:
    """The best event F1 over the thresholds that flag at most half of the points.

    As the threshold falls, points join the flagged ones one score at a time; the number of
    flagged runs without a label is kept up to date by union of neighbours.
    """
    runs = segments(labels)
    if not runs:
        return float("nan")
    heights = np.sort([float(scores[a:b].max()) for a, b in runs])[::-1]
    false = _false_runs(scores, labels)
    order = np.sort(scores)[::-1]
    last = np.append(order[1:] != order[:-1], True)
    last &= np.arange(1, len(order) + 1) <= MOST_FLAGGED * len(order)
    found = np.searchsorted(-heights, -order[last], side="right")
    f1 = 2.0 * found / (found + false[last] + len(runs))
    return float(f1.max(initial=0.0))


def event_f1_at(scores: FloatArray, labels: LabelArray, threshold: float) -> float:
    """Event F1 of one threshold; 0 when it flags more than half of the points."""
    flagged = scores >= threshold
    if flagged.mean() > MOST_FLAGGED:
        return 0.0
    runs = segments(labels)
    found = sum(bool(flagged[a:b].any()) for a, b in runs)
    before = np.concatenate([[0], np.cumsum(labels)])
    false = sum(1 for a, b in segments(flagged) if before[b] == before[a])
    return 2.0 * found / (found + false + len(runs)) if runs else float("nan")


def _false_runs(scores: FloatArray, labels: LabelArray) -> NDArray[np.int64]:
    """After each point in falling order of score: flagged runs that touch no label."""
    n = len(scores)
    left, right = np.arange(n), np.arange(n)
    flagged = np.zeros(n, dtype=np.bool_)
    true = np.zeros(n, dtype=np.bool_)
    count, out = 0, np.zeros(n, dtype=np.int64)
    for step, i in enumerate(np.argsort(-scores, kind="stable").tolist()):
        a = b = i
        touches, merged = bool(labels[i]), 0
        for j in (i - 1, i + 1):
            if 0 <= j < n and flagged[j]:
                a, b = min(a, int(left[j])), max(b, int(right[j]))
                touches |= bool(true[j])
                merged += not true[j]
        flagged[i] = True
        left[b], right[a] = a, b
        left[a], right[b] = a, b
        true[a] = true[b] = touches
        count += (not touches) - merged
        out[step] = count
    return out


def point_adjusted_f1(scores: FloatArray, labels: LabelArray) -> float:
    """The best point-adjusted F1, shown to warn."""
    runs = segments(labels)
    if not runs:
        return float("nan")
    weights = np.array([b - a for a, b in runs], dtype=np.float64)
    heights = np.array([float(scores[a:b].max()) for a, b in runs])
    outside = np.sort(scores[~labels])
    best = 0.0
    for threshold in heights:
        found = float(weights[heights >= threshold].sum())
        wrong = len(outside) - int(np.searchsorted(outside, threshold, side="left"))
        best = max(best, 2.0 * found / (found + wrong + float(weights.sum())))
    return best


def mean(values: Sequence[float]) -> float:
    """Mean of the figures there are; NaN without any."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
