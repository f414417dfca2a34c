"""The KPI score: delays, missing points, episodes."""

import numpy as np
import pytest

from evals.detection.score import (
    Curve,
    best_f1,
    curve,
    delays,
    events,
    f1_at,
    recall_within,
    segments,
)


def labelled(points: int, *runs: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(points, dtype=bool)
    for first, end in runs:
        labels[first:end] = True
    return labels


def flagged(points: int, *at: int) -> np.ndarray:
    scores = np.zeros(points)
    scores[list(at)] = 1.0
    return scores


def test_a_segment_counts_whole_when_flagged_within_the_delay() -> None:
    labels = labelled(100, (10, 40))
    assert f1_at([Curve(flagged(100, 17), labels, 1.0)], 1.0) == 1.0
    assert f1_at([Curve(flagged(100, 18), labels, 1.0)], 1.0) == 0.0


def test_every_flagged_point_outside_is_a_false_positive() -> None:
    one = Curve(flagged(100, 10, 60, 61), labelled(100, (10, 14)), 1.0)
    assert f1_at([one], 1.0) == pytest.approx(2 * 4 / (2 * 4 + 2))


def test_counts_are_pooled_over_curves_at_one_threshold() -> None:
    found = Curve(flagged(100, 10) * 0.3, labelled(100, (10, 20)), 1.0)
    noisy = Curve(flagged(100, 50, 52, 54), labelled(100, (70, 80)), 1.0)
    best = best_f1([found, noisy])
    assert best.threshold == pytest.approx(0.3)
    assert best.f1 == pytest.approx(2 * 10 / (2 * 10 + 3 + 10))


def test_missing_points_are_filled_and_the_warm_up_is_cut() -> None:
    times = np.r_[0:50, 60:100] * 60.0
    laid = curve(times, np.ones(90), np.ones(90, dtype=bool))
    assert len(laid.scores) == 80
    assert laid.scores[30:40].sum() == 0.0
    assert segments(laid.labels) == [(0, 30), (40, 80)]


def test_an_episode_is_false_only_when_it_touches_no_label() -> None:
    one = Curve(flagged(100, 8, 9, 10, 50, 51, 80), labelled(100, (10, 20)), 0.5)
    here = events(one, 1.0)
    assert (here.found, here.segments, here.false_episodes) == (1, 1, 2)


def test_recall_is_the_most_that_the_false_episodes_allow() -> None:
    scores = np.zeros(100)
    scores[10], scores[30], scores[50:60:2] = 0.9, 0.3, 0.5
    one = Curve(scores, labelled(100, (10, 15), (30, 35)), 2.0)
    assert recall_within(one).recall == 0.5
    assert recall_within(one, per_day=10.0).recall == 1.0


def test_the_delay_is_counted_in_points_of_the_segment() -> None:
    one = Curve(flagged(100, 12, 33), labelled(100, (10, 15), (30, 35), (60, 65)), 1.0)
    assert delays(one, 1.0) == [2, 3]


def test_without_a_label_there_is_no_score() -> None:
    assert np.isnan(best_f1([Curve(np.ones(10), labelled(10), 1.0)]).f1)
