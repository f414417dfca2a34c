"""Several series at once: which took part, and how much."""

import numpy as np
import pytest

from tools.detector import DetectorConfig, JointModel, detect_joint
from tools.types import Series


def pair(points: int, seed: int, broken: slice | None = None) -> list[Series]:
    """Load, and a latency that follows it; `broken` breaks the bond, not the range."""
    rng = np.random.default_rng(seed)
    load = 50.0 + 10.0 * np.sin(np.arange(points) / 20.0) + rng.normal(0, 0.5, points)
    latency = 2.0 * load + rng.normal(0, 0.5, points)
    other = rng.normal(5.0, 1.0, points)
    if broken is not None:
        latency[broken] = 260.0
    times = np.arange(float(points)) * 30.0
    named = (("load", load), ("latency", latency), ("other", other))
    return [Series("web", name, times, values) for name, values in named]


def test_the_series_that_broke_has_the_largest_share() -> None:
    found = detect_joint(pair(600, 2, slice(400, 420)), pair(2000, 1))
    (episode,) = [one for one in found if 399 * 30.0 <= one.onset <= 402 * 30.0]
    assert episode.shares[0][0] == "web|latency"
    assert episode.shares[0][1] > 0.5
    assert "web|latency" in episode.reason


def test_series_the_baseline_lacks_and_an_empty_window_are_left_out() -> None:
    assert detect_joint(pair(50, 1), []) == []
    nothing = Series("web", "load", np.array([]), np.array([]))
    assert detect_joint([nothing], pair(100, 1)) == []


def test_the_state_stays_up_while_the_alarm_flickers() -> None:
    rng = np.random.default_rng(0)
    train, rows = rng.normal(size=(500, 3)), rng.normal(size=(60, 3))
    rows[20:40:4] += 15.0
    scores = JointModel(train).scores(rows)
    assert scores.state[24:40].min() > 2.0 * scores.state[:15].max()
    assert scores.alarm[21:24].max() < scores.alarm[20]


def test_the_rules_arm_is_the_three_largest_departures() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=(500, 4))
    model = JointModel(train, DetectorConfig(arm="rules"))
    quiet, loud = model.scores(np.zeros((1, 4))), model.scores(np.full((1, 4), 9.0))
    assert loud.alarm[0] > 5.0 * max(float(quiet.alarm[0]), 0.1)


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(ValueError, match="rows >= 3"):
        JointModel(np.zeros((2, 3)))


def test_an_absurd_value_is_an_episode_and_no_overflow() -> None:
    usual = np.asarray(np.arange(90) % 3 + 1.0, np.float64)
    quiet = [Series("web", name, np.arange(90.0) * 60.0, usual) for name in "ab"]
    values = np.where(np.arange(90) == 60, 1e100, np.arange(90.0) % 3 + 1.0)

    found = detect_joint([Series("web", "a", quiet[0].times, values), quiet[1]], quiet)

    assert any(one.onset == 3600.0 and one.shares[0][0] == "web|a" for one in found)
