"""Scores of many dimensions at once, against a slow way of counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.detection.score import average_precision, event_f1, point_adjusted_f1, segments


def slow_event_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """The definition, threshold by threshold."""
    best, runs = 0.0, segments(labels)
    for threshold in np.unique(scores):
        flags = scores >= threshold
        if flags.mean() > 0.5:
            continue
        found = sum(bool(flags[a:b].any()) for a, b in runs)
        false = sum(not labels[a:b].any() for a, b in segments(flags))
        best = max(best, 2.0 * found / (found + false + len(runs)))
    return best


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20))
def test_the_sweep_counts_as_the_definition_does(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, 60).astype(float)
    labels = np.zeros(60, dtype=bool)
    labels[5:9] = labels[30:33] = True
    assert event_f1(scores, labels) == pytest.approx(slow_event_f1(scores, labels))


def test_flagging_everything_is_not_a_way_to_find_everything() -> None:
    labels = np.zeros(100, dtype=bool)
    labels[10:20] = True
    assert event_f1(np.ones(100), labels) == 0.0


def test_average_precision_by_hand() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert average_precision(scores, labels) == pytest.approx(0.5 * 1.0 + 0.5 * 2.0 / 3.0)
    assert average_precision(np.ones(4), labels) == pytest.approx(0.5)


def test_point_adjustment_flatters_a_single_lucky_point() -> None:
    labels = np.zeros(1000, dtype=bool)
    labels[100:500] = True
    scores = np.zeros(1000)
    scores[250] = 1.0
    assert point_adjusted_f1(scores, labels) == pytest.approx(1.0)
    assert average_precision(scores, labels) < 0.5
