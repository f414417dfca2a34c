"""Replayed normal operation: what is counted of its second half, by the watch and three sigma."""

import json
from pathlib import Path

import numpy as np
import pytest

from evals.detection.replay import (
    Alarms,
    Replay,
    by_three_sigma,
    by_watch,
    of_histories,
    with_history,
)
from evals.localization.cases import BundleCase, TruthRecord
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


def recording(data: Path, name: str, history: str) -> BundleCase:
    """Five minutes of two series on another level than `quiet`, of which one leaves it at 150 s."""
    folder = data / "incidents" / name
    folder.mkdir(parents=True)
    times = 50_000.0 + np.arange(0.0, 300.0, 5.0)
    broken = np.where(times >= 50_150.0, 90.0, 10.0)
    steady = np.full(times.size, 10.0)
    table = np.column_stack([times, broken, steady])
    head = "ts,svc-1|latency_ms,svc-2|latency_ms"
    np.savetxt(folder / "metrics.csv", table, delimiter=",", header=head, comments="", fmt="%.6f")
    described: dict[str, object] = {
        "schema": "incident-bundle/1",
        "id": name,
        "system": "calm",
        "source": "a test",
    }
    described |= {"history": history, "sampling_s": 5, "window": [50_000, 50_295]}
    (folder / "incident.json").write_text(json.dumps(described | {"licence": "CC0-1.0"}))
    truth = TruthRecord(id=name, system="calm", root_cause="svc-1", inject_ts=50_148.0)
    return BundleCase(folder=folder, answer=truth)


def test_a_recording_is_judged_after_a_quiet_past_of_its_set_and_not_without(
    tmp_path: Path,
) -> None:
    times = np.arange(0.0, 1800.0, 5.0)
    rng = np.random.default_rng(5)
    for name, kept in (("own", 19), ("calm-quiet", times.size)):
        folder = tmp_path / "history" / name
        folder.mkdir(parents=True)
        level = 10.0 if name == "own" else 50.0
        values = level * rng.normal(1.0, 0.02, (2, kept))
        table = np.column_stack([times[:kept], *values])
        head = "ts,svc-1|latency_ms,svc-2|latency_ms"
        np.savetxt(
            folder / "metrics.csv", table, delimiter=",", header=head, comments="", fmt="%.6f"
        )
    case = recording(tmp_path, "one", "own")
    judged = with_history([case], by_watch())
    assert (judged.by_incident, judged.false_alarms) == ({"one": 2.0}, 0)
    (tmp_path / "history" / "calm-quiet").rename(tmp_path / "elsewhere")
    alone = with_history([case], by_watch())
    assert (alone.incidents, alone.unjudged) == (0, 1)
