"""Kill -9 at each instant of a step: the plan ends as it would have; what is done is done once."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from copilot import wiring
from copilot.settings import load
from copilot.store import Store
from evals.simulator import scenario
from evals.torture.survival import DurableWorld, KillPoint, MortalOutbox, MortalRunner
from tools.types import Approval, Window

SCENARIO = scenario("network_loss", 3)  # drained by a plan of class C: two people
FAULT = SCENARIO.start + SCENARIO.quiet_s
ROOT = Path(__file__).parent.parent.parent
INSTANTS: tuple[KillPoint, ...] = get_args(KillPoint)
DONE_BUT_NOT_KNOWN = ("during the action", "before the result")


def live(folder: Path, at: KillPoint | None = None) -> None:
    """One life of a process: take the alerts, work, approve what waits by two people, work on."""
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    world.sleep(max(0.0, FAULT + 120 - world.now()))
    marker = folder / "killed"
    runner = MortalRunner(world, at, marker) if at else world
    with wiring.engine(
        load(data_dir=folder / "data"), "test", sources=world.sources, clock=world, runner=runner
    ) as engine:
        if at:
            engine.store.outbox = MortalOutbox(engine.store.outbox, at, marker)
        engine.recover()
        seen = world.source.alerts(Window(start=SCENARIO.start, end=FAULT + 120))
        engine.accept(seen, engine.now())
        engine.drain()
        while pending := engine.store.approvals.pending():
            plan = pending[0].plan
            answered = {one.approver for one in pending[0].given}
            for person in sorted({"anna", "bob"} - answered):
                engine.decide(
                    Approval(
                        plan_id=plan.id,
                        digest=plan.digest,
                        decision="approve",
                        approver=person,
                        decided_at=engine.now(),
                    )
                )
                if engine.store.approvals.pending() == ():
                    break
            engine.drain()


def ending(folder: Path) -> tuple[str, str | None, tuple[str, ...], bool]:
    """Status, outcome, the steps that were ever run, and whether the journal still holds."""
    store = Store(load(data_dir=folder / "data").store_url)
    (incident,) = store.incidents.list()
    sound = store.journal.verify().ok and store.outbox.unfinished() == ()
    store.close()
    steps = dict.fromkeys(key.rpartition(":")[2] for key in ran(folder))
    return incident.status, incident.outcome, tuple(steps), sound


def ran(folder: Path) -> list[str]:
    return DurableWorld(SCENARIO, folder / "world.jsonl").actions()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str | None, object, bool]:
    folder = tmp_path_factory.mktemp("undisturbed")
    live(folder)
    assert len(ran(folder)) == len(set(ran(folder)))
    return ending(folder)


def test_undisturbed_it_recovers(undisturbed: tuple[str, str | None, object, bool]) -> None:
    assert undisturbed == ("recovered", "recovered", ("0",), True)


@pytest.mark.integration
@pytest.mark.parametrize("at", INSTANTS)
def test_a_process_killed_in_a_step_comes_back_and_ends_the_same(
    at: KillPoint, tmp_path: Path, undisturbed: tuple[str, str | None, object, bool]
) -> None:
    command = [sys.executable, "-m", "tests.copilot.test_survival_of_steps", str(tmp_path), at]
    assert subprocess.run(command, cwd=ROOT, env={**os.environ}, check=False).returncode == -9
    assert (tmp_path / "killed").exists()
    before = ran(tmp_path)
    live(tmp_path)
    assert ending(tmp_path) == undisturbed
    again = Counter(ran(tmp_path))
    # Only a step whose result was never written is asked for again, by the same key.
    assert all(count == 1 for key, count in again.items() if key not in before)
    assert sum(again.values()) - len(again) == (1 if at in DONE_BUT_NOT_KNOWN else 0)


if __name__ == "__main__":
    instant: KillPoint = next(one for one in INSTANTS if one == sys.argv[2])
    live(Path(sys.argv[1]), instant)
