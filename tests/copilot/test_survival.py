"""Kill -9 in any node, restart: the incident ends as it would have, no finished step runs twice."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from copilot import wiring
from copilot.case.graph import NODES
from copilot.settings import load
from copilot.store import Store
from copilot.store.database import WriteAheadLog
from evals.simulator import scenario
from evals.torture.survival import DurableWorld, killed_once
from tools.types import Approval, Window

SCENARIO = scenario("pool_exhaustion", 3)
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Ending:
    """What must not depend on how often the process died."""

    status: str
    outcome: str | None
    plan: str
    digest_steps: tuple[str, ...]
    cause: str


def live(folder: Path, victim: str = "", when: str = "") -> None:
    """One life of a process: take the alerts, work, approve what waits, work on."""
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    if world.now() < SCENARIO.quiet_s + SCENARIO.start + 120:
        world.sleep(SCENARIO.quiet_s + SCENARIO.start + 120 - world.now())
    nodes = killed_once(NODES, victim, when, folder / "killed") if victim else None
    settings = load(data_dir=folder / "data")
    with wiring.engine(
        settings, "test", sources=world.sources, clock=world, runner=world, nodes=nodes
    ) as engine:
        engine.recover()
        first_alerts = Window(start=SCENARIO.start, end=SCENARIO.start + SCENARIO.quiet_s + 120)
        seen = world.source.alerts(first_alerts)
        engine.accept(seen, engine.now())
        engine.drain()
        while pending := engine.store.approvals.pending():
            plan = pending[0].plan
            engine.decide(
                Approval(
                    plan_id=plan.id,
                    digest=plan.digest,
                    decision="approve",
                    approver="anna",
                    decided_at=engine.now(),
                )
            )
            engine.drain()


def ending(folder: Path) -> Ending:
    store = Store(load(data_dir=folder / "data").store_url)
    (incident,) = store.incidents.list()
    runs = store.runs.of(incident.id)
    assert [run.status for run in runs] == ["done"]
    assert store.journal.verify().ok
    assert store.outbox.unfinished() == ()
    store.close()
    assert incident.plan is not None
    keys = DurableWorld(SCENARIO, folder / "world.jsonl").actions()
    return Ending(
        status=incident.status,
        outcome=incident.outcome,
        plan=incident.plan.playbook_id,
        digest_steps=tuple(dict.fromkeys(key.rpartition(":")[2] for key in keys)),
        cause=incident.ranking.candidates[0].component,
    )


def process(folder: Path, victim: str, when: str) -> int:
    """A life in a process of its own, which may end by SIGKILL; returns its exit code."""
    command = [sys.executable, "-m", "tests.copilot.test_survival", str(folder), victim, when]
    return subprocess.run(command, cwd=ROOT, env={**os.environ}, check=False).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    folder = tmp_path_factory.mktemp("undisturbed")
    live(folder)
    return ending(folder)


def test_the_undisturbed_incident_recovers(undisturbed: Ending) -> None:
    assert undisturbed == Ending(
        "recovered", "recovered", "resize-pool", undisturbed.digest_steps, "shipping"
    )


@pytest.mark.integration
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("victim", list(NODES))
def test_a_process_killed_in_a_node_comes_back_and_ends_the_same(
    victim: str, when: str, tmp_path: Path, undisturbed: Ending
) -> None:
    assert process(tmp_path, victim, when) == -9
    live(tmp_path)
    assert ending(tmp_path) == undisturbed
    ran = DurableWorld(SCENARIO, tmp_path / "world.jsonl").actions()
    assert len(ran) == len(set(ran)), "a step that was recorded as done was run again"


def cut_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One life; a copy for each sync of the store: its files as they were on disk from then on, and
    checkpoints and world as they were just before the next. Nobody syncs checkpoints.
    """
    cuts: list[Path] = []
    flush = WriteAheadLog.flush

    def keep(*names: str) -> None:
        for name in names:
            for file in folder.glob(f"life/{name}"):
                kept = cuts[-1] / file.relative_to(folder / "life")
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, kept)

    def flushed(log: WriteAheadLog) -> None:
        if cuts:
            keep("data/checkpoints.sqlite", "data/checkpoints.sqlite-wal", "world.jsonl")
        flush(log)
        cuts.append(folder / f"cut-{len(cuts)}")
        keep("data/copilot.sqlite", "data/copilot.sqlite-wal", "data/redaction.key", "world.jsonl")

    with monkeypatch.context() as patched:
        patched.setattr(WriteAheadLog, "flush", flushed)
        (folder / "life").mkdir()
        live(folder / "life")
    return cuts


BRIEFED = 6
"""Syncs until a plan was asked for, and a few more."""


@pytest.mark.integration
def test_after_a_power_cut_at_any_sync_it_ends_the_same_and_no_step_ran_twice(
    tmp_path: Path, undisturbed: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, life = cut_everywhere(tmp_path, monkeypatch), tmp_path / "life"
    assert len(cuts) > 15
    for number, cut in list(enumerate(cuts))[2:-2]:
        # All checkpoints are gone, or they got to the disk before what the store knows; once a
        # plan was asked for the store is not behind, and that is as after a kill -9.
        if number % 2:
            for file in cut.glob("data/checkpoints.*"):
                file.unlink()
        elif number > BRIEFED:
            continue
        # A machine that comes back finds its files where they were: leases bear the folder's name.
        shutil.rmtree(life)
        cut.rename(life)
        live(life)
        assert ending(life) == undisturbed, cut.name
        assert len(acted(life)) == 1, cut.name


def acted(folder: Path) -> set[str]:
    """The keys of what was done; the world does nothing for one that it knows."""
    return set(DurableWorld(SCENARIO, folder / "world.jsonl").actions())


if __name__ == "__main__":
    live(Path(sys.argv[1]), *sys.argv[2:])
