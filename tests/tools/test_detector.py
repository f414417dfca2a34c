"""The detector on series whose story is known."""

import numpy as np
import pytest

from tools.detector import DetectorConfig, Stream, detect, scores
from tools.types import Anomaly, Series


def noise(points: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100.0, 1.0, points)


def series(values: np.ndarray, step: float = 60.0) -> Series:
    return Series("cart", "latency_ms", np.arange(float(len(values))) * step, values)


def near(found: list[Anomaly], first: float, last: float) -> list[Anomaly]:
    return [one for one in found if first <= one.onset <= last]


def test_a_spike_is_one_episode_with_the_moment_direction_and_band_of_its_point() -> None:
    values = noise()
    values[300] = 130.0
    (found,) = near(detect(series(values)), 299 * 60.0, 310 * 60.0)
    assert found.onset == 300 * 60.0
    assert found.direction == "up"
    assert found.kind == "spike"
    assert found.observed == 130.0
    assert 90.0 < found.low < 100.0 < found.high < 110.0
    assert found.score < 1.0 / 700.0
    assert "130" in found.reason


def test_a_drop_that_stays_is_a_level_shift_down_from_its_first_point() -> None:
    values = noise()
    values[300:] -= 20.0
    first = near(detect(series(values)), 300 * 60.0, 303 * 60.0)[0]
    assert (first.onset, first.direction, first.kind) == (18000.0, "down", "level_shift")


def test_a_wild_phase_is_a_change_of_variance() -> None:
    values = noise()
    values[300:330] += 25.0 * np.tile([1.0, -1.0], 15)
    first = near(detect(series(values)), 300 * 60.0, 302 * 60.0)[0]
    assert first.kind == "variance_change"


def test_an_episode_at_the_end_of_the_window_is_still_open() -> None:
    values = noise()
    values[-2:] = 150.0
    assert detect(series(values))[-1].end is None


def test_a_gap_is_missing_data_from_the_last_value_to_the_next() -> None:
    whole = series(noise())
    kept = np.r_[0:200, 260:400]
    holed = Series("cart", "latency_ms", whole.times[kept], whole.values[kept])
    (gap,) = [one for one in detect(holed) if one.kind == "missing"]
    assert (gap.onset, gap.end) == (199 * 60.0, 260 * 60.0)


def test_nan_counts_as_missing_and_as_nothing_else() -> None:
    values = noise()
    values[200:260] = np.nan
    (gap,) = [one for one in detect(series(values)) if one.kind == "missing"]
    assert gap.onset == 199 * 60.0
    assert not near(detect(series(values)), 200 * 60.0, 259 * 60.0)


def test_a_value_that_never_repeats_and_then_stands_still_is_a_flatline() -> None:
    values = noise()
    values[250:320] = values[250]
    (line,) = [one for one in detect(series(values)) if one.kind == "flatline"]
    assert (line.onset, line.end) == (250 * 60.0, 320 * 60.0)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.full(500, 7.0), id="constant"),
        pytest.param(np.zeros(500), id="zero"),
        pytest.param(np.array([]), id="empty"),
        pytest.param(np.array([1.0, 5.0, 2.0]), id="three points"),
        pytest.param(np.full(50, np.nan), id="never a value"),
        pytest.param(np.full(50, np.inf), id="infinite"),
    ],
)
def test_what_shows_no_departure_raises_none(values: np.ndarray) -> None:
    departures = [one for one in detect(series(values)) if one.kind != "missing"]
    assert departures == []


def test_a_constant_series_that_moves_once_is_reported() -> None:
    values = np.full(200, 5.0)
    values[150] = 6.0
    assert [one.onset for one in detect(series(values))] == [150 * 60.0]


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e12])
def test_the_unit_does_not_matter(unit: float) -> None:
    values = noise()
    values[300] = 130.0
    plain = [one.onset for one in detect(series(values))]
    assert [one.onset for one in detect(series(values * unit))] == plain


def test_a_baseline_makes_the_first_points_judgeable() -> None:
    values = noise(20, seed=2)
    values[3] = 140.0
    assert detect(series(values)) == []
    past = series(noise(300, seed=1))
    assert 3 * 60.0 in [one.onset for one in detect(series(values), baseline=past)]


def test_the_bar_rises_for_a_series_that_spikes_every_hour() -> None:
    values = noise(3000)
    values[np.arange(60, 3000, 60)] += 20.0
    late = near(detect(series(values)), 2000 * 60.0, 3000 * 60.0)
    assert len(late) < 8


def test_news_is_what_the_series_has_not_shown_before() -> None:
    values = noise(3000)
    values[np.arange(300, 2400, 300)] += 20.0
    values[2700:2720] -= 30.0
    news = scores(series(values), DetectorConfig(alert_on="novel", spacing=0.02)).novelty
    assert int(np.argmax(news[2000:])) + 2000 in range(2700, 2721)
    onsets = [a.onset for a in detect(series(values), DetectorConfig(alert_on="novel"))]
    assert any(2700 * 60.0 <= at <= 2720 * 60.0 for at in onsets)


def test_rules_judge_by_one_long_memory_and_a_fixed_threshold() -> None:
    values = noise()
    values[300] = 130.0
    found = detect(series(values), DetectorConfig(arm="rules"))
    assert [one.onset for one in found] == [300 * 60.0]
    assert found[0].score < 1e-4


def test_a_smaller_tail_reports_less() -> None:
    values = np.random.default_rng(5).standard_t(3, 4000)
    many = detect(series(values))
    few = detect(series(values), DetectorConfig(tail=1e-6))
    assert len(few) < len(many) / 3


SHAPES = ["normal", "lognormal", "heavy"]


def noise_rate(shape: str, config: DetectorConfig) -> float:
    """Episodes a point of 150,000 points of noise."""
    rng = np.random.default_rng(7)
    points = 150_000
    drawn = {
        "normal": rng.normal(size=points),
        "lognormal": np.exp(rng.normal(size=points)),
        "heavy": rng.standard_t(3, points),
    }
    return len(detect(series(drawn[shape]), config)) / points


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_raises_as_many_episodes_a_day_as_allowed(shape: str) -> None:
    rate = noise_rate(shape, DetectorConfig(false_per_day=2.0)) * 1440.0
    assert rate == pytest.approx(2.0, rel=0.5)


@pytest.mark.parametrize(("shape", "least"), [("normal", 0.0), ("lognormal", 0.0), ("heavy", 0.5)])
def test_far_beyond_what_was_seen_noise_raises_no_more_than_asked_for(
    shape: str, least: float
) -> None:
    # A Pareto tail goes on as a heavy one does; a lighter one ends before it.
    assert least * 1e-4 <= noise_rate(shape, DetectorConfig(tail=1e-4)) < 1.1e-4


def test_an_hour_of_faults_every_day_does_not_raise_the_bar() -> None:
    values = np.random.default_rng(3).normal(size=14_400)
    for day in range(10):
        values[day * 1440 + 700 : day * 1440 + 760] += 30.0
    onsets = {one.onset for one in detect(series(values))}
    assert {(day * 1440 + 700) * 60.0 for day in range(10)} <= onsets


def test_a_point_every_five_minutes_may_be_wrong_as_often_a_day_as_one_a_minute() -> None:
    values = np.random.default_rng(4).normal(size=40_000)
    rates = []
    for step in (60.0, 300.0):
        slow = Series("web", "latency", np.arange(len(values), dtype=np.float64) * step, values)
        rates.append(len(detect(slow)) * 86_400.0 / (step * len(values)))
    assert rates == pytest.approx([1.5, 1.5], rel=0.5)


def test_a_stream_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="every departure"):
        Stream([("a", "b")], DetectorConfig(alert_on="novel"))


def test_the_state_of_a_stream_does_not_grow() -> None:
    stream = Stream([("o", str(k)) for k in range(50)])
    row = np.random.default_rng(0).normal(size=50)
    stream.update_columns(0.0, row)
    early = stream.state_bytes
    for i in range(1, 300):
        stream.update_columns(60.0 * i, row + i % 5)
    assert stream.state_bytes <= early < 50 * 500


def test_a_stream_refuses_a_column_of_another_length() -> None:
    stream = Stream([("web", "a"), ("web", "b"), ("web", "c")])

    with pytest.raises(ValueError, match="3 series"):
        stream.update_columns(0.0, np.array([1.0]))


def test_a_leap_from_zero_by_billions_is_a_number_to_the_stream_too() -> None:
    stream = Stream([("web", "bytes")])
    for t in range(40):
        stream.update_columns(60.0 * t, np.zeros(1))

    assert [one.direction for one in stream.update_columns(2400.0, np.array([5e9]))] == ["up"]


def test_a_time_just_before_the_epoch_has_an_hour() -> None:
    values = Series("web", "latency", np.array([-1e-18, 60.0, 120.0]), np.array([1.0, 2.0, 3.0]))

    assert len(scores(values, DetectorConfig(alert_on="novel")).novelty) == 3
