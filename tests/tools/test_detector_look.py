"""A first look at a series, and many series moving together."""

import numpy as np
import pytest

from tools.detector import Commotion, gauge, onset, rates, together
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
    assert (gauge(series(values)).unit == "/s") is counted


def test_a_counter_becomes_its_pace_and_the_reset_is_missing() -> None:
    values = np.array([0.0, 60.0, 120.0, 0.0, 60.0])
    pace = rates(series(values))
    np.testing.assert_array_equal(pace.values, [1.0, 1.0, np.nan, 1.0])


def test_the_onset_of_a_burst_of_errors_is_seen_in_their_counter() -> None:
    pace = np.where(np.arange(60) < 40, 1.0, 25.0) + np.abs(NOISE[:60]) * 0.1
    counters = [Series("web", f"errors_{k}_total", T[:60], pace.cumsum()) for k in range(4)]
    assert abs(onset(counters, [], 43 * 60.0).at - 40 * 60.0) <= 60.0


def fleet(moved: int) -> list[Series]:
    rng = np.random.default_rng(4)
    found = []
    for k in range(30):
        values = rng.normal(50.0, 1.0, 200)
        if k < moved:
            values[150:160] += 6.0
        found.append(series(values, f"m{k}"))
    return found


def test_many_series_moving_a_little_are_one_episode_with_who_took_part() -> None:
    (episode,) = together(fleet(15))
    assert 150 * 60.0 <= episode.onset <= 152 * 60.0
    assert {name for name, _ in episode.shares} <= {f"web|m{k}" for k in range(15)}
    assert "of 30 series" in episode.reason


def test_one_series_moving_is_no_commotion() -> None:
    assert together(fleet(1)) == []
    assert together([]) == []


def test_commotion_can_be_followed_column_by_column() -> None:
    rng = np.random.default_rng(1)
    state = Commotion()
    calm = [state.step(np.abs(rng.normal(size=40))) for _ in range(100)]
    assert max(calm) < 3.0
    assert state.step(np.full(40, 8.0)) > 3.0
    assert state.step(np.array([])) == 0.0
