"""The NAB score on a corpus small enough to work out by hand."""

import math

import numpy as np
import pytest

from evals.detection.score import (
    LOW_FN,
    LOW_FP,
    STANDARD,
    LabelledScores,
    Profile,
    best_nab,
    nab_at,
    probation,
)


def corpus(
    *alerts: int, windows: tuple[tuple[int, int], ...] = ((100, 119),)
) -> list[LabelledScores]:
    scores = np.zeros(200)
    scores[list(alerts)] = 1.0
    return [LabelledScores(scores, windows)]


def sigmoid(y: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


@pytest.mark.parametrize("profile", [STANDARD, LOW_FP, LOW_FN])
def test_every_window_at_its_first_point_is_100_and_nothing_is_0(profile: Profile) -> None:
    assert nab_at(corpus(100), profile, 1.0) == pytest.approx(100.0)
    assert nab_at(corpus(), profile, 1.0) == pytest.approx(0.0)
    assert best_nab(corpus(), profile).score == pytest.approx(0.0)


def test_a_detection_pays_by_its_place_in_the_window_and_only_the_first_pays() -> None:
    late = sigmoid(-(119 - 110 + 1) / 20.0) / sigmoid(-1.0)
    expected = 100.0 * (late + 1.0) / 2.0
    assert nab_at(corpus(110), STANDARD, 1.0) == pytest.approx(expected)
    assert nab_at(corpus(110, 115), STANDARD, 1.0) == pytest.approx(expected)


def test_a_false_alarm_costs_by_its_distance_from_the_last_window() -> None:
    before = nab_at(corpus(50, 100), STANDARD, 1.0)
    assert before == pytest.approx(100.0 * (2.0 - 0.11) / 2.0)
    after = nab_at(corpus(100, 121), STANDARD, 1.0)
    assert after == pytest.approx(100.0 * (2.0 + 0.11 * sigmoid(2.0 / 19.0)) / 2.0)
    far = nab_at(corpus(100, 190), STANDARD, 1.0)
    assert far == pytest.approx(100.0 * (2.0 - 0.11) / 2.0, abs=1e-3)


def test_a_missed_window_costs_twice_where_misses_matter() -> None:
    two = ((100, 119), (150, 169))
    assert nab_at(corpus(100, windows=two), STANDARD, 1.0) == pytest.approx(50.0)
    found_one = nab_at(corpus(100, windows=two), LOW_FN, 1.0)
    assert found_one == pytest.approx(100.0 * (1.0 + 2.0) / (2.0 * 3.0))


def test_the_probation_is_not_scored_and_has_a_cap() -> None:
    assert (probation(200), probation(100_000)) == (30, 750)
    assert nab_at(corpus(10, 100), STANDARD, 1.0) == pytest.approx(100.0)


def test_the_sweep_finds_the_threshold_that_leaves_the_false_alarms_out() -> None:
    scores = np.zeros(200)
    scores[60:90:5], scores[100] = 0.5, 0.9
    best = best_nab([LabelledScores(scores, ((100, 119),))], STANDARD)
    assert best.score == pytest.approx(100.0)
    assert best.threshold == 0.9


def test_one_threshold_holds_for_the_whole_corpus() -> None:
    quiet, loud = np.zeros(200), np.zeros(200)
    quiet[100] = 0.4
    loud[60:90], loud[100] = 0.5, 0.9
    files = [LabelledScores(quiet, ((100, 119),)), LabelledScores(loud, ((100, 119),))]
    both = best_nab(files, LOW_FP)
    assert both.threshold == 0.9
    assert both.score == pytest.approx(50.0)
