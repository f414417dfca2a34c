"""Leave one out: what judges a series never saw it."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest

from evals.detection.folds import CHOSEN, Rules, constants, kind_of, left_out, spread
from evals.detection.peers import seasonal_naive, spectral_residual, three_sigma
from evals.detection.score import Curve, event_f1, event_f1_at, events, threshold_within

RULES: Rules[float, tuple[float, float]] = Rules(
    choose=lambda known: max(known),
    judge=lambda fold, threshold: (fold, threshold),
    figure=lambda judged: -sum(abs(fold - threshold) for fold, threshold in judged),
)


def test_each_fold_is_judged_by_the_threshold_of_the_others() -> None:
    judged = left_out({"one": [1.0, 2.0, 5.0]}, RULES)
    assert judged["one"] == [(1.0, 5.0), (2.0, 5.0), (5.0, 2.0)]


def test_the_method_too_is_chosen_without_the_fold() -> None:
    steady, wild = [3.0, 3.0, 3.0], [3.0, 9.0, 0.0]
    assert left_out({"wild": wild, "steady": steady}, RULES)[CHOSEN] == [(3.0, 3.0)] * 3


def test_one_series_cannot_be_left_out() -> None:
    with pytest.raises(SystemExit, match="two series or machines"):
        left_out({"one": [1.0]}, RULES)


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = [1.0, 2.0, 4.0, 9.0]

    def mean(some: Sequence[float]) -> float:
        return float(np.mean(some))

    found = spread(mean, values)
    assert found.value == 4.0
    assert found.error == pytest.approx(np.std(values, ddof=1) / 2.0)
    assert spread(mean, [1.0]).said() == "1.000 ± –"


def test_the_numbers_that_a_module_writes_down_are_counted() -> None:
    module = ModuleType("made")
    vars(module).update(A=1.0, B=3, NAMES=("a",), lower=2.0)
    assert constants(module) == 2


HOURS = np.arange(24.0 * 10)
DAILY = 10.0 * np.sin(HOURS * 2 * np.pi / 24)
NOISE = np.random.default_rng(0).normal(0.0, 1.0, len(HOURS))
BURSTS = np.where(HOURS.astype(int) % 117 == 50, 900.0, 0.0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        pytest.param(np.full(240, 5.0), "flat", id="one level"),
        pytest.param(np.where(HOURS % 9 == 0, HOURS, 0.0), "sparse", id="mostly nothing"),
        pytest.param(np.abs(NOISE).cumsum(), "counter-like", id="only rises"),
        pytest.param(0.2 * HOURS + NOISE, "trending", id="noisy rise"),
        pytest.param(DAILY + NOISE, "seasonal", id="days"),
        pytest.param(NOISE + BURSTS, "bursty", id="bursts"),
        pytest.param(NOISE, "steady", id="noise"),
        pytest.param(NOISE[:40], "steady", id="short"),
    ],
)
def test_the_class_of_a_series_is_told_by_its_values(values: np.ndarray, kind: str) -> None:
    assert kind_of(HOURS[: len(values)] * 3600.0, values) == kind


def test_event_f1_at_its_best_threshold_is_the_swept_one() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(0.0, 1.0, 300), np.zeros(300, dtype=bool)
    labels[100:110] = labels[200:205] = True
    scores[102] += 5.0
    at = [event_f1_at(scores, labels, float(one)) for one in scores]
    assert max(at) == event_f1(scores, labels)


def test_a_threshold_keeps_to_the_false_episodes_allowed() -> None:
    rng = np.random.default_rng(2)
    scores, labels = rng.exponential(1.0, 2880), np.zeros(2880, dtype=bool)
    labels[::288] = True
    curves = [Curve(scores, labels, days=2.0)]
    threshold = threshold_within(curves, per_day=3.0)
    assert events(curves[0], threshold).false_episodes <= 6
    assert threshold_within(curves, per_day=0.0) > scores[~labels].max()


@pytest.mark.parametrize("name", ["three sigma", "seasonal naive", "spectral residual"])
def test_a_simple_peer_sees_a_spike_and_bears_a_constant(name: str) -> None:
    times = HOURS * 3600.0

    def points(values: np.ndarray) -> np.ndarray:
        if name == "seasonal naive":
            return seasonal_naive(times, values)
        return three_sigma(values) if name == "three sigma" else spectral_residual(values)

    spiked = NOISE.copy()
    spiked[200] += 30.0
    assert int(np.argmax(points(spiked)[100:])) == 100
    assert np.isfinite(points(np.full(240, 3.0))).all()
