"""The incidents recorded from the lab: complete, small, and silent about the answer."""

import json
from pathlib import Path

import pytest

from copilot.adapters.recorded import RecordedBundle
from evals.lab.faults.catalogue import NAMES, scenario
from evals.lab.recorder import BUNDLE_LIMIT, bundle_of
from evals.localization.cases import read

ROOT = Path(__file__).parents[2] / "evals" / "incidents"
TRUTH = [json.loads(line) for line in (ROOT / "truth" / "truth.jsonl").read_text().splitlines()]
FOLDERS = sorted((ROOT / "incidents").iterdir())


def test_every_kind_of_fault_and_every_harmless_scenario_is_there_once() -> None:
    told = sorted(row["source_case"] for row in TRUTH)
    assert told == sorted(f"lab/{name}/seed-0" for name in NAMES)
    assert {row["id"] for row in TRUTH} == {folder.name for folder in FOLDERS}


def test_all_of_it_is_small() -> None:
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in FOLDERS]
    assert max(sizes) <= BUNDLE_LIMIT
    assert sum(sizes) <= 10 * 2**20


def test_what_may_be_seen_does_not_name_the_answer() -> None:
    for row in TRUTH:
        name = row["source_case"].split("/")[1]
        for file in (ROOT / "incidents" / row["id"]).glob("*.json"):
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


def test_only_incidents_with_a_cause_are_asked_for_one() -> None:
    assert len(read(ROOT)) == sum(scenario(name).needs_action for name in NAMES)
