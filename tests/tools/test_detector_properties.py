"""What holds for every series, searched for counterexamples."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tools.detector import (
    DetectorConfig,
    JointModel,
    Stream,
    detect,
    detect_joint,
    onset,
    scores,
)
from tools.types import Anomaly, Series

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10_000)


def story(seed: int, points: int = 160, holes: float = 0.0) -> np.ndarray:
    """A random walk with noise, spikes, perhaps a shift and holes."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=points).cumsum() * 0.1 + rng.normal(size=points)
    values[rng.random(points) < 0.02] *= 10.0
    values[rng.integers(points) :] += rng.choice([0.0, 8.0])
    values[rng.random(points) < holes] = np.nan
    return values


def series(values: np.ndarray, name: str = "m") -> Series:
    return Series("o", name, np.arange(float(len(values))) * 30.0, values)


def key(one: Anomaly) -> tuple[str, str, float]:
    """What names an episode in a stream."""
    void = one.kind if one.kind in ("missing", "flatline") else "departure"
    return one.metric, void, one.onset


@few
@given(seeds, st.sampled_from([0.0, 0.1]), st.sampled_from(["rules", "ml"]))
def test_the_stream_says_what_detect_says(seed: int, holes: float, arm: str) -> None:
    config = DetectorConfig.model_validate({"arm": arm})
    rows = np.stack([story(seed + k, holes=holes) for k in range(3)], axis=1)
    stream = Stream([("o", str(k)) for k in range(3)], config, interval=30.0)
    said: dict[tuple[str, str, float], Anomaly] = {}
    for i, row in enumerate(rows):
        said |= {key(one): one for one in stream.update_columns(30.0 * i, row)}
    said |= {key(one): one for one in stream.open}
    whole = [detect(series(rows[:, k], str(k)), config) for k in range(3)]
    assert said == {key(one): one for found in whole for one in found}


@few
@given(seeds, st.sampled_from([2.0**-30, 0.5, 2.0**40]))
def test_scaling_a_series_scales_the_answer(seed: int, factor: float) -> None:
    values = story(seed)
    plain, scaled = detect(series(values)), detect(series(values * factor))
    assert [(a.onset, a.end, a.kind) for a in scaled] == [(a.onset, a.end, a.kind) for a in plain]


@few
@given(seeds, st.floats(-1e3, 1e3))
def test_shifting_a_series_does_not_change_its_scores(seed: int, shift: float) -> None:
    values = story(seed)
    plain, moved = scores(series(values)), scores(series(values + shift))
    np.testing.assert_allclose(moved.strength, plain.strength, rtol=1e-3, atol=1e-3)


@few
@given(seeds, st.integers(40, 159), st.sampled_from(["every", "novel"]))
def test_no_score_looks_ahead(seed: int, known: int, alert_on: str) -> None:
    config = DetectorConfig.model_validate({"alert_on": alert_on, "horizon": 160})
    values = story(seed)
    whole, part = scores(series(values), config), scores(series(values[:known]), config)
    np.testing.assert_array_equal(whole.strength[:known], part.strength)
    np.testing.assert_array_equal(whole.novelty[:known], part.novelty)


@few
@given(seeds)
def test_order_and_repeats_of_the_points_do_not_matter(seed: int) -> None:
    one = series(story(seed, holes=0.05))
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(np.r_[np.arange(160), rng.integers(0, 160, 40)])
    shuffled = Series("o", "m", one.times[mixed], one.values[mixed])
    assert detect(shuffled) == detect(one)


@few
@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=True, width=64)))
def test_no_input_breaks_it_and_every_answer_is_a_number(values: np.ndarray) -> None:
    found = detect(series(values)) + detect(series(values), DetectorConfig(arm="rules"))
    onset([series(values)], [], 900.0)
    detect_joint([series(values)], [series(values)])
    assert all(0.0 <= one.score <= 1.0 and np.isfinite(one.observed) for one in found)


@few
@given(seeds)
def test_adding_series_later_changes_nothing_for_those_present(seed: int) -> None:
    values = story(seed)
    alone, joined = Stream([("o", "m")]), Stream([("o", "m")])
    for i, value in enumerate(values[:80]):
        assert joined.update(30.0 * i, value) == alone.update(30.0 * i, value)
    joined.extend([("o", "late")])
    for i, value in enumerate(values[80:], start=80):
        both = joined.update_columns(30.0 * i, np.array([value, 1.0]))
        assert tuple(a for a in both if a.metric == "m") == alone.update(30.0 * i, value)


@few
@given(seeds)
def test_joint_scores_are_the_same_row_by_row_and_at_once(seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(80, 4))
    whole = JointModel(rows[:50]).scores(rows[50:])
    model = JointModel(rows[:50])
    parts = [model.scores(rows[i : i + 1]).alarm for i in range(50, 80)]
    np.testing.assert_allclose(np.concatenate(parts), whole.alarm)
    np.testing.assert_allclose(whole.shares.sum(axis=1), 1.0)
