"""When a resource is full, and what the next day of a metric is expected to be."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.forecaster import LimitForecast, expect, seasonal_naive, time_to_limit
from tools.types import FloatArray, Series

HOUR, DAY = 3600.0, 86400.0
QUARTER = 900.0


def grid(days: float) -> FloatArray:
    return np.arange(0.0, days * DAY, QUARTER)


def noise(count: int, size: float, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).normal(0.0, size, count)


def asked(values: FloatArray, horizon: float = 4 * DAY, limit: float = 100.0) -> LimitForecast:
    times = QUARTER * np.arange(len(values), dtype=np.float64)
    return time_to_limit(Series("db", "disk_used_pct", times, values), limit, horizon)


def test_a_filling_disk_is_full_when_the_line_says_and_the_interval_holds_it() -> None:
    t = grid(5)
    told = asked(40 + t / DAY * 10 + noise(len(t), 0.3))
    assert told.at is not None
    assert told.earliest is not None
    assert told.latest is not None
    assert abs(told.at - 6 * DAY) < 4 * HOUR
    assert told.earliest < 6 * DAY < told.latest


def test_what_began_an_hour_ago_counts_and_not_the_quiet_week_before() -> None:
    t = grid(7)
    sudden = np.where(t > 6.8 * DAY, 30 + (t - 6.8 * DAY) / HOUR * 4, 30.0)
    told = asked(sudden + noise(len(t), 0.2))
    assert told.at is not None
    assert told.since > 6 * DAY
    assert abs(told.at - 7 * DAY - (100 - sudden[-1]) / 4 * HOUR) < 2 * HOUR


HARMLESS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "a level": lambda t: 70 + 0 * t,
    "garbage collection": lambda t: 20 + 60 * (t / (8 * HOUR) % 1.0),
    "compaction every two days": lambda t: 40 + 40 * (t / (2 * DAY) % 1.0),
    "logs rotated at midnight": lambda t: 50 + 30 * (t % DAY) / DAY,
    "a large file that stays": lambda t: np.where(t > 5 * DAY, 80.0, 40.0),
    "day and night": lambda t: 60 + 25 * np.sin(2 * np.pi * t / DAY),
    "a trend of months": lambda t: 40 + t / DAY * 0.1,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_leak_is_not_foretold(name: str) -> None:
    t = grid(9.3)
    assert asked(HARMLESS[name](t) + noise(len(t), 0.3)).at is None


def test_a_sawtooth_that_ceases_to_be_emptied_is_foretold() -> None:
    t = grid(8)
    teeth = np.where(t < 6 * DAY, 20 + 30 * (t % DAY) / DAY, 20 + 30 * (t - 6 * DAY) / DAY)
    told = asked(teeth + noise(len(t), 0.2))
    assert told.at is not None
    assert told.cycles is False


def test_a_restart_at_the_limit_emptied_nothing_in_time() -> None:
    t = grid(6)
    killed = 20 + 78.0 * (t % (2 * DAY)) / (2 * DAY)
    assert asked(killed[: int(5.5 * DAY / QUARTER)] + noise(528, 0.2)).at is not None


def test_what_is_full_is_full_now_and_what_is_short_is_refused() -> None:
    assert asked(np.full(100, 101.0)).at == 99 * QUARTER
    with pytest.raises(ValueError, match="has 7 values"):
        asked(np.arange(7.0))
    with pytest.raises(ValueError, match="must be finite"):
        asked(np.arange(90.0), horizon=0.0)


def test_capacity_is_foretold_from_two_weeks_on_and_at_a_peak() -> None:
    t = grid(20)
    peaks = 60 * (1 + t / DAY / 30) * (0.7 + 0.3 * np.sin(2 * np.pi * t / DAY))
    series = Series("shop", "node_cpu_pct", t, peaks)
    short = Series("shop", "node_cpu_pct", t[:900], peaks[:900])
    told = time_to_limit(series, 100.0, 14 * DAY, "ratio")
    assert time_to_limit(short, 100.0, 30 * DAY, "ratio").at is None
    assert told.at is not None
    assert told.at % DAY == pytest.approx(0.25 * DAY, abs=4 * HOUR)


@settings(max_examples=20, deadline=None)
@given(st.floats(1.0, 40.0), st.floats(5.0, 90.0), st.integers(0, 9))
def test_the_edges_lie_around_the_middle_and_not_before_now(
    rate: float, level: float, seed: int
) -> None:
    t = grid(3)
    told = asked(level + t / DAY * rate + noise(len(t), 1.0, seed))
    if told.at is not None and told.earliest is not None and told.latest is not None:
        assert told.now <= told.earliest <= told.at <= told.latest


def test_gaps_order_and_repeats_change_nothing() -> None:
    t = grid(5)
    values = 40 + t / DAY * 10 + noise(len(t), 0.3)
    mixed = np.concatenate((np.arange(len(t))[::-1], [3, 3]))
    holed = np.append(values, np.nan)
    shuffled = Series("db", "m", np.append(t, t[-1] + 1)[mixed], holed[mixed])
    assert (
        time_to_limit(shuffled, 100.0, 4 * DAY).at
        == time_to_limit(Series("db", "m", t, values), 100.0, 4 * DAY).at
    )


@pytest.mark.parametrize("arm", ["rules", "ml"])
def test_the_band_of_a_noisy_day_holds_nine_hours_of_ten(arm: str) -> None:
    rng = np.random.default_rng(3)
    hours = np.tile(np.sin(np.arange(24) / 24 * 2 * np.pi), 40) + rng.normal(0, 0.1, 960)
    held = []
    for origin in range(600, 936, 24):
        told = expect(hours[:origin], 24, "ml" if arm == "ml" else "rules")
        came = hours[origin : origin + 24]
        held.append(np.mean((came >= told.low) & (came <= told.high)))
    assert 0.84 < np.mean(held) < 0.96


def test_an_expected_day_beats_the_day_before_and_needs_three() -> None:
    rng = np.random.default_rng(4)
    day = 5 + np.sin(np.arange(24) / 24 * 2 * np.pi)
    hours = np.tile(day, 20) + rng.normal(0, 0.3, 480)
    told, naive = expect(hours, 24, "ml").expected, seasonal_naive(hours, 24)
    assert np.abs(told - day).mean() < 0.7 * np.abs(naive - day).mean()
    with pytest.raises(ValueError, match="needs 72"):
        expect(hours[:60], 24)


def test_hours_without_a_value_are_bridged() -> None:
    hours = np.tile(np.arange(24.0), 12)
    hours[40:47] = np.nan
    assert np.isfinite(expect(hours, 24).expected).all()
