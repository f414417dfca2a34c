"""Scores of multivariate anomaly detection that do not flatter.

AUC-PR is the average precision of the points. Event F1 counts a labelled segment as found when
any of its points is flagged, and a run of flagged points that touches no segment as one false
alarm; it is the best over the thresholds that flag at most half of the points (one that flags all
would be one run that finds everything). Point-adjusted F1 is given only to warn: a segment
counts with all its points once one is flagged, which gives a random score 0.85 on SMD.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evals.detection.score_kpi import segments
from tools.types import FloatArray

LabelMatrix = NDArray[np.bool_]
MOST = 0.5


def average_precision(scores: FloatArray, labels: LabelMatrix) -> float:
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


def event_f1(scores: FloatArray, labels: LabelMatrix) -> float:
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
    last &= np.arange(1, len(order) + 1) <= MOST * len(order)
    found = np.searchsorted(-heights, -order[last], side="right")
    f1 = 2.0 * found / (found + false[last] + len(runs))
    return float(f1.max(initial=0.0))


def _false_runs(scores: FloatArray, labels: LabelMatrix) -> NDArray[np.int64]:
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


def point_adjusted_f1(scores: FloatArray, labels: LabelMatrix) -> float:
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
