"""A first look at a series: is it counted, and how fast."""

import numpy as np
import pytest

from tools.detector import gauges, onset, rates
from tools.types import Series

T = np.arange(600.0) * 60.0
NOISE = np.random.default_rng(0).normal(0.0, 1.0, 600)


def series(values: np.ndarray, name: str = "m") -> Series:
    return Series("web", name, T[: len(values)], values)


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        pytest.param(np.full(600, 3.0), False, id="one value"),
        pytest.param(np.abs(NOISE).cumsum(), True, id="counter"),
        pytest.param(np.abs(NOISE).cumsum() % 200.0, True, id="counter with resets"),
        pytest.param(np.arange(600) * 0.05 + NOISE, False, id="noisy rise"),
        pytest.param(10 * np.sin(np.arange(600) / 8) + NOISE, False, id="waves"),
    ],
)
def test_only_a_counter_is_read_as_its_rate(values: np.ndarray, counted: bool) -> None:
    (found,), _ = gauges([series(values)], [])
    assert (found.unit == "/s") is counted


def test_a_counter_becomes_its_pace_and_the_reset_is_missing() -> None:
    values = np.array([0.0, 60.0, 120.0, 0.0, 60.0])
    pace = rates(series(values))
    np.testing.assert_array_equal(pace.values, [1.0, 1.0, np.nan, 1.0])


def test_the_onset_of_a_burst_of_errors_is_seen_in_their_counter() -> None:
    pace = np.where(np.arange(60) < 40, 1.0, 25.0) + np.abs(NOISE[:60]) * 0.1
    counters = [Series("web", f"errors_{k}_total", T[:60], pace.cumsum()) for k in range(4)]
    assert abs(onset(counters, [], 43 * 60.0).at - 40 * 60.0) <= 60.0
