"""The incidents recorded from the lab: complete, small, and silent about the answer."""

import json
from math import nan
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from copilot.sources.recorded import RecordedBundle
from evals import baseline
from evals.lab.faults.catalogue import NAMES, scenario
from evals.lab.recorder.bundle import BUNDLE_LIMIT, bundle_of
from evals.localization import suite as incidents
from evals.localization.cases import RECORDINGS, read
from evals.report import Result


def truth(root: Path) -> list[dict[str, Any]]:
    """The answers of a set."""
    lines = (root / "truth" / "truth.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


ROOT = RECORDINGS
HELD_OUT = RECORDINGS.parent / "held_out"
TRUTH = truth(ROOT)


@pytest.mark.parametrize(("root", "seed"), [(ROOT, 0), (HELD_OUT, 1)], ids=["seen", "held out"])
def test_every_kind_of_fault_and_every_harmless_scenario_is_there_once(
    root: Path, seed: int
) -> None:
    told = sorted(row["source_case"] for row in truth(root))
    assert told == sorted(f"lab/{name}/seed-{seed}" for name in NAMES)
    folders = (root / "incidents").iterdir()
    assert {row["id"] for row in truth(root)} == {folder.name for folder in folders}


def test_all_of_it_is_small() -> None:
    folders = [*(ROOT / "incidents").iterdir(), *(HELD_OUT / "incidents").iterdir()]
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]
    assert max(sizes) <= BUNDLE_LIMIT
    assert sum(sizes) <= 10 * 2**20


@pytest.mark.parametrize("root", [ROOT, HELD_OUT], ids=["seen", "held out"])
def test_what_may_be_seen_does_not_name_the_answer(root: Path) -> None:
    for row in truth(root):
        name = row["source_case"].split("/")[1]
        for file in (root / "incidents" / row["id"]).glob("*.json"):
            assert name not in file.read_text("utf-8"), file


@pytest.mark.parametrize("name", ["bad_config", "process_killed", "flapping_alert"])
def test_a_bundle_reads_back_with_every_kind_of_telemetry(name: str) -> None:
    bundle = RecordedBundle(bundle_of(ROOT, scenario(name), 0))
    onset = next(row["inject_ts"] for row in TRUTH if row["id"] == bundle.id)
    assert onset in bundle.window
    assert len(bundle.series(bundle.window)) > 100
    assert bundle.lines(bundle.window)
    assert bundle.spans(bundle.window)
    assert bundle.baseline(onset)
    assert bundle.topology().edges
    assert all(alert.starts_at in bundle.window for alert in bundle.alerts(bundle.window))


def judged(**worse: float) -> list[str]:
    """What the stored baseline says of a run that differs from it in these figures."""
    stored = baseline.read(ROOT / "baseline.json")
    summary = stored["summary"] | {key.replace("__", "."): value for key, value in worse.items()}
    kept = {key: nan if value is None else value for key, value in summary.items()}
    result = Result(
        suite="incidents", version="1", seconds=1.0, cases=tuple(stored["cases"]), summary=kept
    )
    return baseline.worse_than(stored, result)


def test_the_baseline_is_of_these_recordings_and_a_single_incident_lost_is_a_regression() -> None:
    stored = baseline.read(ROOT / "baseline.json")
    cases = read(ROOT)
    assert sorted(one["id"] for one in stored["cases"]) == sorted(one.answer.id for one in cases)
    assert judged() == []
    lost = stored["summary"]["lab.ac1"] - 1 / len(cases)
    (said,) = judged(lab__ac1=lost)
    assert said.startswith("lab.ac1: was")


def test_make_test_runs_the_recordings_against_the_baseline() -> None:
    recipe = (ROOT.parents[1] / "Makefile").read_text()
    assert "run demo --baseline evals/incidents/baseline.json" in recipe


def test_a_caller_of_what_lies_outside_counts_as_right_where_the_answer_says_so() -> None:
    progress = Progress(disable=True)
    (outside,) = [one for one in read(ROOT) if one.answer.root_cause == "carrier"]
    alone = outside.model_copy(
        update={"answer": outside.answer.model_copy(update={"also_right": ()})}
    )
    first = {}
    for name, case in (("told", outside), ("not told", alone)):
        result = incidents.score_set(incidents.IncidentOptions(), [case], progress, "incidents", {})
        first[name] = result.summary["lab.ac1"]
    assert outside.answer.also_right == ("shipping",)
    assert first == {"told": 1.0, "not told": 0.0}


def test_only_incidents_with_a_cause_are_asked_for_one() -> None:
    assert len(read(ROOT)) == sum(scenario(name).needs_action for name in NAMES)
