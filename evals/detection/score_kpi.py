"""The score of the AIOps 2018 KPI contest, from its definition (delay-adjusted F1).

The points of a curve are laid on its regular grid; missing ones count as neither labelled nor
flagged. A labelled segment is found iff one of its first k + 1 points is flagged, and then counts
with all its points; outside, every flagged point is a false positive. Counts are pooled over
curves. A false episode is a run of flagged points that touches no labelled point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.types import FloatArray, FrozenModel

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
    labels: NDArray[np.bool_]
    days: float


def curve(times: FloatArray, scores: FloatArray, labels: NDArray[np.bool_]) -> Curve:
    """Lay one curve on its grid and cut the warm-up off."""
    step = float(np.min(np.diff(times)))
    place = np.round((times - times[0]) / step).astype(np.int64)
    length = int(place[-1]) + 1
    on_grid, marked = np.zeros(length), np.zeros(length, dtype=np.bool_)
    on_grid[place], marked[place] = scores, labels
    first = int(WARMUP * length)
    return Curve(on_grid[first:], marked[first:], (length - first) * step / DAY)


def segments(labels: NDArray[np.bool_]) -> list[tuple[int, int]]:
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


def swept(curves: Sequence[Curve], delay: int = DELAY) -> BestF1:
    """The best pooled F1 over one threshold for all the curves given."""
    scores, f1, positives = _counts(curves, delay)
    if positives == 0:
        return BestF1(f1=float("nan"), threshold=float("inf"))
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    best = int(np.argmax(np.where(last_of_tie, f1, -1.0)))
    return BestF1(f1=float(f1[best]), threshold=float(scores[best]))


def at_threshold(curves: Sequence[Curve], threshold: float, delay: int = DELAY) -> float:
    """The pooled F1 when every point scoring at least `threshold` is flagged."""
    scores, f1, positives = _counts(curves, delay)
    flagged = int(np.count_nonzero(scores >= threshold))
    if positives == 0:
        return float("nan")
    return float(f1[flagged - 1]) if flagged else 0.0


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


def delays(one: Curve, threshold: float) -> list[int]:
    """Points from the start of each found segment to its first flagged point."""
    flagged = one.scores >= threshold
    found = [flagged[a:b] for a, b in segments(one.labels) if flagged[a:b].any()]
    return [int(np.argmax(part)) for part in found]
