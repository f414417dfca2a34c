"""Replayed normal operation: what is counted of its second half, by the watch and three sigma."""

from pathlib import Path

import numpy as np
import pytest

from evals.detection.replay import Alarms, Replay, by_three_sigma, by_watch, of_histories
from tools.types import Series

TIMES = np.arange(0.0, 6 * 3600.0, 60.0)


def quiet(seed: int, shifted_s: float = 0.0) -> Series:
    values = np.random.default_rng(seed).normal(50.0, 1.0, TIMES.size).clip(47.5, 52.5)
    return Series(f"svc-{seed}", "latency_ms", TIMES + shifted_s, values)


def write(data: Path, series: list[Series]) -> None:
    folder = data / "history" / "calm"
    folder.mkdir(parents=True)
    head = ",".join(["ts", *(f"{one.owner}|{one.metric}" for one in series)])
    table = np.column_stack([TIMES, *(one.values for one in series)])
    np.savetxt(folder / "metrics.csv", table, delimiter=",", header=head, comments="", fmt="%.6f")


@pytest.mark.parametrize("alarms", [by_watch(), by_three_sigma])
@pytest.mark.parametrize(("broken", "count"), [(False, 0), (True, 1)])
def test_only_what_breaks_in_the_second_half_is_counted(
    alarms: Alarms, broken: bool, count: int, tmp_path: Path
) -> None:
    series = [quiet(seed) for seed in range(4)]
    if broken:
        for one in series:
            one.values[(TIMES >= 5 * 3600.0) & (TIMES < 5 * 3600.0 + 240.0)] += 40.0
    write(tmp_path, series)
    found = of_histories(tmp_path, alarms)
    assert (found.false_alarms, found.incidents) == (count, 0)
    assert found.quiet_hours == pytest.approx(3.0, abs=0.1)


def test_a_series_of_another_time_is_left_out() -> None:
    replay = Replay.halved([quiet(1), quiet(2), quiet(3, shifted_s=30 * 86_400.0)])
    assert [one.owner for one in replay.found] == ["svc-1", "svc-2"]
    assert replay.end == TIMES[-1]
