"""Capacity: where a series is heading and when it is full."""

import numpy as np
import pytest

from tools.detector import forecast
from tools.types import Series

HOUR = 3600.0


def disk(hours: int, per_hour: float, start: float = 40.0, noise: float = 0.2) -> Series:
    times = np.arange(hours * 60.0) * 60.0
    rng = np.random.default_rng(1)
    values = start + per_hour * times / HOUR + rng.normal(0.0, noise, len(times))
    return Series("db", "disk_used_pct", times, values)


def test_a_filling_disk_is_full_when_the_line_says_and_the_band_holds_the_truth() -> None:
    one = disk(10, per_hour=2.0)
    answer = forecast(one, 48 * HOUR, limit=90.0)
    assert answer.crosses_at is not None
    assert abs(answer.crosses_at - 25 * HOUR) < 0.5 * HOUR
    assert answer.earliest is not None
    assert answer.earliest <= answer.crosses_at
    assert "hours" in answer.reason


def test_a_limit_below_a_falling_series_is_reached_from_above() -> None:
    answer = forecast(disk(10, per_hour=-2.0, start=60.0), 48 * HOUR, limit=10.0)
    assert answer.crosses_at is not None
    assert abs(answer.crosses_at - 25 * HOUR) < HOUR


def test_a_level_series_never_gets_there() -> None:
    answer = forecast(disk(10, per_hour=0.0), 24 * HOUR, limit=90.0)
    assert answer.crosses_at is None
    assert "does not reach" in answer.reason


def test_only_what_came_after_the_last_reset_counts() -> None:
    before, after = disk(10, per_hour=5.0), disk(10, per_hour=2.0, start=10.0)
    times = np.concatenate((before.times, after.times + 10 * HOUR))
    both = Series("web", "heap_mb", times, np.concatenate((before.values, after.values)))
    assert abs(forecast(both, 10 * HOUR).expected - 50.0) < 2.0


def test_the_usual_day_is_on_top_of_the_trend() -> None:
    times = np.arange(4.0 * 24 * 12) * 300.0
    daily = np.where((times % 86400.0) < 12 * HOUR, 10.0, 0.0)
    one = Series("web", "requests", times, 100.0 + daily)
    noon, evening = forecast(one, 6 * HOUR), forecast(one, 18 * HOUR)
    assert abs(noon.expected - 110.0) < 3.0
    assert abs(evening.expected - 100.0) < 3.0


def test_a_wild_fifth_of_the_points_does_not_turn_the_line() -> None:
    one = disk(10, per_hour=2.0)
    wild = one.values.copy()
    wild[np.random.default_rng(2).random(len(wild)) < 0.2] += 200.0
    bent = forecast(Series("db", "disk_used_pct", one.times, wild), 5 * HOUR)
    assert abs(bent.expected - 70.0) < 5.0


@pytest.mark.parametrize("horizon", [0.0, -1.0, float("nan")])
def test_a_horizon_that_is_none_is_refused(horizon: float) -> None:
    with pytest.raises(ValueError, match="horizon_s must be positive"):
        forecast(disk(1, 1.0), horizon)


@pytest.mark.parametrize("limit", [np.nan, np.inf])
def test_a_limit_that_is_no_number_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        forecast(Series("db", "disk", np.arange(10.0), np.arange(10.0)), 60.0, limit)


def test_times_that_round_to_one_from_afar_do_not_break_the_line() -> None:
    times = np.append(np.arange(20) * 60.0, 1e18)

    answer = forecast(Series("db", "disk", times, np.arange(21.0)), 60.0)

    assert np.isfinite([answer.expected, answer.low, answer.high]).all()


def test_two_points_are_too_few() -> None:
    with pytest.raises(ValueError, match="needs at least 3"):
        forecast(Series("db", "disk", np.array([0.0, 1.0]), np.array([1.0, 2.0])), 10.0)
