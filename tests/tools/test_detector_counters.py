"""Counters are judged by their pace, from the moment their past shows that they are counters."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.tools.test_detector_properties import key
from tools.detector import DetectorConfig, Stream, detect, gauges, scores
from tools.types import Anomaly, Series

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10_000)
WRAPS = st.sampled_from([2.0**32, 1e5, 2e3])
"""Where a counter starts anew: 32 bits, or as often as a crash loop."""


def counted(
    seed: int, points: int = 300, burst: int | None = None, wrap: float = np.inf
) -> np.ndarray:
    """A counter of some 50 a sample; `burst`: ten times that for five samples from there."""
    rng = np.random.default_rng(seed)
    pace = rng.poisson(50.0, points).astype(np.float64)
    if burst is not None:
        pace[burst : burst + 5] *= 10.0
    return np.asarray(np.mod(1000.0 + pace.cumsum(), wrap))


def series(values: np.ndarray, name: str = "requests_total") -> Series:
    return Series("o", name, np.arange(float(len(values))) * 30.0, values)


def gross(values: np.ndarray) -> list[Anomaly]:
    """What is left when chance may speak once in a hundred thousand points."""
    return detect(series(values), DetectorConfig(tail=1e-5))


def at(found: list[Anomaly], point: int) -> Anomaly:
    """The departure that began there."""
    (one,) = (a for a in found if a.onset == point * 30.0 and a.kind != "flatline")
    return one


@few
@given(seeds, st.sampled_from([0.0, 0.1]), WRAPS, st.sampled_from(["rules", "ml"]))
def test_the_stream_says_what_detect_says_of_counters_too(
    seed: int, holes: float, wrap: float, arm: str
) -> None:
    config = DetectorConfig.model_validate({"arm": arm})
    rows = np.stack(
        [
            counted(seed, burst=200, wrap=wrap),
            counted(seed + 1, burst=20),
            np.random.default_rng(seed).normal(9.0, 1.0, 300),
            np.append(counted(seed + 2, 150), np.full(150, 4e4)),
        ],
        axis=1,
    )
    rows[np.random.default_rng(seed).random(rows.shape) < holes] = np.nan
    stream = Stream([("o", str(k)) for k in range(3)], config, interval=30.0)
    said: dict[tuple[str, str, float], Anomaly] = {}
    for i, row in enumerate(rows[:, :3]):
        said |= {key(one): one for one in stream.update_columns(30.0 * i, row)}
    said |= {key(one): one for one in stream.open}
    whole = [detect(series(rows[:, k], str(k)), config) for k in range(3)]
    assert said == {key(one): one for found in whole for one in found}


@few
@given(seeds, st.integers(25, 299), WRAPS, st.sampled_from(["every", "novel"]))
def test_no_score_of_a_counter_looks_ahead(
    seed: int, known: int, wrap: float, alert_on: str
) -> None:
    config = DetectorConfig.model_validate({"alert_on": alert_on, "horizon": 300})
    values = counted(seed, burst=150, wrap=wrap)
    whole, part = scores(series(values), config), scores(series(values[:known]), config)
    np.testing.assert_array_equal(whole.strength[:known], part.strength)
    np.testing.assert_array_equal(whole.novelty[:known], part.novelty)


@few
@given(seeds, st.integers(60, 280), st.sampled_from([0.0, 0.3]))
def test_a_reset_or_a_wrap_is_no_anomaly(seed: int, reset: int, left: float) -> None:
    values = counted(seed)
    values[reset:] -= values[reset] * (1.0 - left)
    assert gross(values) == []
    whole = counted(seed)
    assert gross(np.mod(whole, whole[reset])) == []


@few
@given(seeds, st.integers(70, 280))
def test_a_burst_is_found_where_it_begins_and_its_band_is_a_pace(seed: int, burst: int) -> None:
    # Where chance has opened an episode already, the burst is part of it.
    calm = detect(series(counted(seed)))
    near = 30.0 * burst - 300.0, 30.0 * burst + 300.0
    assume(not any(one.onset <= near[1] and (one.end or np.inf) >= near[0] for one in calm))
    found = at(detect(series(counted(seed, burst=burst))), burst)
    assert found.direction == "up"
    # Ten times a pace whose chance reaches 100 a sample; by the strangest point the band may have
    # begun to follow. The counter itself stands above 1000.
    assert found.low < found.high < found.observed < 1000.0 / 30.0
    assert "/s where" in found.reason


def test_a_counter_that_stands_still_left_its_pace() -> None:
    values = counted(3, 1000)
    values[900:930] = values[900]
    assert at(detect(series(values)), 901).direction == "down"


def test_a_baseline_that_shows_a_counter_makes_the_first_points_judgeable() -> None:
    before, now = counted(5), counted(6, 20, burst=10) + 90_000.0
    assert at(detect(series(now), baseline=series(before)), 10).direction == "up"


@pytest.mark.parametrize("points", [24, 25, 31, 200])
def test_what_only_rose_so_far_and_then_falls_is_a_gauge_at_once(points: int) -> None:
    rng = np.random.default_rng(7)
    filling = 50.0 + np.arange(float(points)) * 0.01 + rng.random(points) * 0.001
    values = np.append(filling, np.full(10, 40.0))
    found = detect(series(values, "disk_used_pct"), DetectorConfig(warmup=20))
    assert [(a.onset, a.observed) for a in found] == [(points * 30.0, 40.0)]


def test_a_sawtooth_is_a_gauge_after_a_few_teeth() -> None:
    teeth = np.tile(np.linspace(100.0, 400.0, 30), 20) + np.random.default_rng(8).random(600)
    teeth[550] = 4000.0
    high = [a for a in detect(series(teeth, "heap_bytes")) if a.onset == 550 * 30.0]
    assert [a.observed for a in high] == [4000.0]


def test_an_episode_of_a_pace_ends_where_the_series_turns_out_to_be_a_gauge() -> None:
    values = counted(9, burst=100)
    values[102:] = 0.8 * values[101] + np.arange(198.0) % 3
    assert at(detect(series(values)), 100).end == 102 * 30.0


def test_series_join_a_stream_late_and_are_counters_by_their_own_past() -> None:
    stream = Stream([("o", "early")], interval=30.0)
    early, late = counted(1), counted(2, burst=200)
    for i in range(60):
        stream.update(30.0 * i, early[i])
    stream.extend([("o", "late")])
    found = [
        one
        for i in range(60, 300)
        for one in stream.update_columns(30.0 * i, np.array([early[i], late[i]]))
    ]
    mine = [one for one in found if one.onset == 200 * 30.0 and one.metric == "late"]
    assert mine[-1].reason == at(detect(series(late[60:], "late")), 140).reason


LEVEL = np.random.default_rng(0).normal(9.0, 1.0, 60)
FILLS = 40.0 + np.arange(60.0)
PACED = {
    "a counter": (("calls", counted(0, 60)), None, True),
    "a counter, and its past": (("calls", counted(0, 60)), counted(1, 60), True),
    "a counter whose past is short": (("calls", counted(0, 60)), LEVEL[:20], True),
    "a short counter by its past": (("calls", counted(0, 9)), counted(1, 60), True),
    "a level": (("latency", LEVEL), None, False),
    "what rose since, by its past": (("rows", FILLS), LEVEL + 30.0, False),
    "a share that only rose": (("disk_used_pct", FILLS), None, False),
    "bytes in use that only rose": (("disk_used_bytes", FILLS), None, False),
    "a counter of what was used": (("cpu_used_seconds_total", FILLS), None, True),
}


@pytest.mark.parametrize(("now", "past", "paced"), PACED.values(), ids=PACED)
def test_only_a_counter_becomes_its_rate_and_its_past_with_it(
    now: tuple[str, np.ndarray], past: np.ndarray | None, paced: bool
) -> None:
    shown = series(now[1], now[0])
    baseline = [] if past is None else [series(past, now[0])]
    found, before = gauges([shown], baseline)
    assert [one.unit == "/s" for one in (*found, *before)] == [paced] * (1 + len(baseline))
    assert paced or np.array_equal(found[0].values, shown.values)
