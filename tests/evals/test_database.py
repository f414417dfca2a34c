"""The database suite: its three scores, on recordings in our own words."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from evals.database import suite
from evals.keys import differences
from evals.report import Options, Result

COLUMNS = ("dbmsCommittedCommands", "dbmsThreadsRunning", "dbmsCurrentLockWaits",
           "dbmsLockWaitTime", "AvgCpuSys", "procsRunning", "AvgCpuIdle", "dbmsMeasuredCPU",
           "dbmsDirtyPagesDirty")  # fmt: skip
LOCKS = {0: 0.2, 2: 6.0, 3: 9.0}
STOLEN = {4: 8.0, 5: 6.0, 6: 0.1}


def written(folder: Path, name: str, seed: int, moved: dict[int, float]) -> None:
    values = np.random.default_rng(seed).normal(100.0, 5.0, (60, len(COLUMNS)))
    for at, factor in moved.items():
        values[20:40, at] *= factor
    np.savez(folder / f"{name}.npz", values=values, columns=np.array(COLUMNS),
             epoch=np.linspace(0, 59, 60))  # fmt: skip


def run(folder: Path) -> Result:
    with Progress(disable=True) as progress:
        return suite.run(Options(data=folder), progress)


def test_causes_are_scored_without_example_together_and_after_one_each(tmp_path: Path) -> None:
    spike = {1: 5.0, 2: 5.0}
    cases = [
        ("a", "Lock Contention", LOCKS), ("b", "Lock Contention", LOCKS),
        ("c", "CPU Saturation", STOLEN), ("d", "CPU Saturation", STOLEN),
        ("e", "DB Backup", STOLEN),
        ("f", "Workload Spike + CPU Saturation", STOLEN | spike),
    ]  # fmt: skip
    answers = []
    for seed, (name, cause, moved) in enumerate(cases):
        written(tmp_path, name, seed, moved)
        answers.append({"id": name, "cause": cause, "first_row": 21, "last_row": 40})
    (tmp_path / "truth.jsonl").write_text("\n".join(map(json.dumps, answers)))
    got = run(tmp_path)

    assert [row["right"] for row in got.cases] == [True, True, True, True, False, True]
    assert got.summary["zero_shot"] == pytest.approx(0.8)
    assert got.summary["compound"] == 1.0
    assert got.summary["one_shot"] >= 0.5
    assert differences(got) == []


def test_a_folder_without_recordings_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"truth\.jsonl"):
        run(tmp_path)
    (tmp_path / "truth.jsonl").write_text('{"id": "a", "cause": "DB Backup"}')
    with pytest.raises(SystemExit, match="a"):
        run(tmp_path)
