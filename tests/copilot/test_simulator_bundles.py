"""The shipped bundles: small, made from their worlds, readable, and alive after the recording."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from copilot.sources.recorded import RecordedBundle
from evals.simulator import (
    SimulatedRunner,
    World,
    WorldScenario,
    open_world,
    scenario,
    shipped_bundles,
    write_bundle,
)
from evals.simulator.shipped import write_shipped
from tools.types import PlanStep, Window

ALWAYS = Window(start=0.0, end=1e12)
NAMES = sorted(path.stem for path in (shipped_bundles() / "worlds").glob("*.json"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, unpacked: other builds of zlib pack the same text into other bytes."""
    return {
        str(path.relative_to(folder)): gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_recording_the_shipped_bundles_anew_gives_the_same_bytes(tmp_path: Path) -> None:
    write_shipped(tmp_path / "once")
    assert contents(tmp_path / "once") == contents(shipped_bundles())
    write_shipped(tmp_path / "twice")
    for path in sorted((tmp_path / "once").rglob("*.gz")):
        again = tmp_path / "twice" / path.relative_to(tmp_path / "once")
        assert path.read_bytes() == again.read_bytes()


def test_three_bundles_ship_and_each_is_small() -> None:
    assert len(NAMES) == 3
    for name in NAMES:
        files = (shipped_bundles() / "incidents" / name).iterdir()
        assert sum(path.stat().st_size for path in files) <= 150 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_nothing_the_copilot_may_see_says_the_answer(name: str) -> None:
    truths = [
        json.loads(line)
        for line in (shipped_bundles() / "truth" / "truth.jsonl").read_text().splitlines()
    ]
    truth = next(row for row in truths if row["id"] == name)
    described = (shipped_bundles() / "incidents" / name / "incident.json").read_text()
    assert truth["fault_type"] not in described
    assert not {"seed", "faults", "onset", "inject_ts"} & set(json.loads(described))
    assert truth["root_cause"] in json.loads(described)["services"]


@pytest.mark.parametrize("name", NAMES)
def test_a_world_opened_again_shows_exactly_what_was_recorded(name: str) -> None:
    world = open_world(name)
    path = shipped_bundles() / "incidents" / name / "metrics.csv.gz"
    header, *rows = csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines())
    series = {s.name: s for s in world.series(ALWAYS)}
    assert set(header[1:]) == set(series)
    assert [float(row[0]) for row in rows] == list(next(iter(series.values())).times)
    for column, metric in enumerate(header[1:], start=1):
        live = [("" if np.isnan(v) else f"{v:.4g}") for v in series[metric].values]
        assert [row[column] for row in rows] == live


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_source_reads_a_shipped_bundle(name: str) -> None:
    bundle = RecordedBundle(shipped_bundles() / "incidents" / name)
    world = open_world(name)
    assert bundle.now() == world.now
    read = {alert.fingerprint: alert for alert in bundle.alerts(ALWAYS)}
    assert set(read) == {alert.fingerprint for alert in world.alerts(ALWAYS)}
    assert [c.summary for c in bundle.changes(ALWAYS)] == [c.summary for c in world.changes(ALWAYS)]
    assert len(bundle.lines(ALWAYS)) == len(world.logs(ALWAYS))
    assert len(bundle.spans(ALWAYS)) == len(world.spans(ALWAYS))
    assert bundle.baseline(bundle.window.start)


def test_the_first_bundle_is_a_storm_of_about_twelve_alerts_with_a_harmless_deploy_before() -> None:
    world = open_world("sim-4be1c7")
    found = world.alerts(ALWAYS)
    assert 10 <= len(found) <= 14
    assert len({alert.service for alert in found}) >= 3
    deploy = world.changes(ALWAYS)[0]
    assert deploy.kind == "deploy"
    onset = world.scenario.onset
    assert onset is not None
    assert 0.0 < onset - deploy.at < 300.0
    assert deploy.service not in {alert.service for alert in found}


CURES = {
    "sim-4be1c7": ("config", {"service": "payment", "key": "pool_size", "value": 96}),
    "sim-92d05a": (
        "command",
        {"argv": ["disk-cleanup", "--service", "orders-db", "--older-than-days", "7"]},
    ),
    "sim-d7316f": (
        "kubernetes",
        {"verb": "rollout_restart", "kind": "deployment", "name": "catalog"},
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_opened_world_recovers_by_its_own_cure_and_by_no_other(name: str) -> None:
    firing = {}
    for tried, (action, arguments) in CURES.items():
        world = open_world(name)
        cure = PlanStep.model_validate(
            {"index": 0, "title": "cure", "action": action, "arguments": arguments}
        )
        assert SimulatedRunner(world).run(cure, "k").ok
        world.advance(world.now + 420.0)
        recent = [a for a in world.alerts(ALWAYS) if (a.ends_at or world.now) > world.now - 240.0]
        firing[tried] = {a.name for a in recent if a.severity != "info"}
    assert [tried for tried, left in firing.items() if not left] == [name]


def test_a_bundle_of_one_incident_can_be_written_twice_and_beside_others(tmp_path: Path) -> None:
    for seed in (1, 2, 1):
        world = World(scenario("errors", seed, quiet_s=120.0))
        world.advance(world.first + 240.0)
        write_bundle(world, tmp_path, f"x-{seed}", Window(start=world.first, end=world.now))
    lines = (tmp_path / "truth" / "truth.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["x-1", "x-2"]
    assert open_world("x-2", tmp_path).scenario.seed == 2


def test_a_window_the_world_has_not_lived_through_is_refused(tmp_path: Path) -> None:
    world = World(WorldScenario())
    with pytest.raises(ValueError, match="not through"):
        write_bundle(world, tmp_path, "x", Window(start=world.first, end=world.first + 60.0))
