"""When an incident began, told across many series."""

import numpy as np
import pytest

from tools.detector import onset
from tools.types import Series


def fleet(
    step: float, began: float, last: float, broken: int = 3, first: float = 0.0
) -> list[Series]:
    """Twelve quiet series on one grid; the first few leave their level when it begins."""
    times = np.arange(first, last, step)
    rng = np.random.default_rng(3)
    found = []
    for k in range(12):
        values = rng.normal(50.0, 1.0, len(times))
        if k < broken:
            values[times >= began] += 30.0
        found.append(Series(f"svc-{k}", "latency_ms", times, values))
    return found


@pytest.mark.parametrize(
    ("step", "late"),
    [
        pytest.param(1.0, 30.0, id="every second"),
        pytest.param(5.0, 60.0, id="every 5 s"),
        pytest.param(60.0, 180.0, id="every minute"),
        pytest.param(300.0, 300.0, id="every 5 minutes"),
    ],
)
def test_the_onset_is_found_within_a_sample_at_any_sampling(step: float, late: float) -> None:
    began = 40 * max(step, 30.0)
    answer = onset(fleet(step, began, began + late + 5 * step), [], began + late)
    assert abs(answer.at - began) <= max(step, 10.0)
    assert answer.confidence > 0.3


def test_a_gap_after_which_all_drifted_a_little_is_no_onset() -> None:
    def drifted(k: int) -> Series:
        times = np.concatenate((np.arange(0.0, 180.0, 5.0), np.arange(560.0, 680.0, 5.0)))
        values = np.random.default_rng(k).normal(50.0, 1.0, len(times))
        values[times >= 560.0] += 3.0
        values[(times >= 640.0) & (k < 2)] += 40.0
        return Series(f"svc-{k}", "latency_ms", times, values)

    answer = onset([drifted(k) for k in range(12)], [], 650.0)
    assert answer.at == pytest.approx(640.0, abs=15.0)


def test_what_is_odd_just_before_a_gap_is_no_onset() -> None:
    """As the last samples of a server that was stopped, which were taken over less of a range."""

    def cut(k: int) -> Series:
        times = np.concatenate((np.arange(0.0, 400.0, 5.0), np.arange(900.0, 960.0, 5.0)))
        values = np.random.default_rng(k).normal(50.0, 1.0, len(times))
        values[(times >= 390.0) & (times < 400.0)] -= 20.0
        values[(times >= 950.0) & (k < 2)] += 20.0
        return Series(f"svc-{k}", "latency_ms", times, values)

    answer = onset([cut(k) for k in range(30)], [], 955.0)
    assert answer.at == pytest.approx(950.0, abs=15.0)


def test_the_strongest_series_are_named_and_only_they() -> None:
    answer = onset(fleet(60.0, 3000.0, 3600.0), [], 3120.0)
    assert {one.owner for one in answer.anomalies} == {"svc-0", "svc-1", "svc-2"}
    assert all(one.direction == "up" for one in answer.anomalies)


def test_without_a_departure_the_alert_gives_the_time_and_nobody_is_sure() -> None:
    answer = onset(fleet(60.0, 1e9, 3600.0), [], 3000.0)
    assert answer.at == 3000.0 or answer.confidence < 0.5


@pytest.mark.parametrize("series", [[], [Series("a", "b", np.array([]), np.array([]))]])
def test_without_values_the_alert_gives_the_time(series: list[Series]) -> None:
    answer = onset(series, [], 500.0)
    assert (answer.at, answer.confidence, answer.anomalies) == (500.0, 0.1, ())


def test_a_baseline_from_another_day_serves_where_nothing_came_before() -> None:
    quiet = fleet(60.0, 1e9, 3600.0)
    broken = fleet(60.0, 90_000.0, 90_600.0, first=89_940.0)
    answer = onset(broken, quiet, 90_060.0)
    assert answer.anomalies
    assert abs(answer.at - 90_000.0) <= 60.0


def test_samples_nanoseconds_apart_are_taken_on_a_bounded_grid() -> None:
    dense = Series(
        "web", "latency", np.arange(60.0) * 1e-9, np.asarray(np.arange(60) % 3, np.float64)
    )

    assert 0 < onset([dense], [], 1.0).confidence < 1


def test_unordered_samples_are_as_far_apart_as_ordered_ones() -> None:
    values = np.asarray(np.where(np.arange(60) >= 40, 50.0, np.arange(60) % 3), np.float64)
    times = np.arange(60.0) * 60.0
    mixed = np.random.default_rng(0).permutation(60)

    straight = onset([Series("web", "latency", times, values)], [], 2520.0)
    shuffled = onset([Series("web", "latency", times[mixed], values[mixed])], [], 2520.0)

    assert shuffled == straight


def test_a_daily_series_has_an_onset_too() -> None:
    values = np.where(np.arange(60) >= 58, 50.0, np.arange(60.0) % 3)

    cost = Series("web", "cost", np.arange(60.0) * 86400.0, values)

    assert onset([cost], [], 58 * 86400.0).at == 58 * 86400.0
