"""One plan and what may go wrong between its approval and its last step, at the node that acts."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from langgraph.runtime import Runtime

from copilot.case.nodes.act import act, remaining
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.sources.deployment import Sources
from copilot.store import HaltRecord, Store
from copilot.types.incident import Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from knowledge_base import playbooks
from tools.detector import Onset
from tools.playbook_executor import fill, parse
from tools.types import Approval, Fact, Plan, PlanStep, Ranking, StepResult

NOW = 1_772_546_400.0
TWO_STEPS = """
id: two-steps
title: {en: "Turn ${service} down", zh: "调低 ${service}"}
risk: B
applies:
  - faults: [errors]
    preference: 1
parameters:
  - name: service
    type: name
    title: {en: "Service", zh: "服务"}
    source: component
preconditions:
  - {fact: replicas, comparison: "<", value: 20}
steps:
  - title: {en: "First", zh: "第一步"}
    action: config
    arguments: {service: "${service}", key: first, value: 1}
  - title: {en: "Second", zh: "第二步"}
    action: config
    arguments: {service: "${service}", key: second, value: 1}
irreversible: {en: "Nothing to go back to.", zh: "无可回退。"}
verification:
  watch: [component, entry]
  ignore: [calls]
  hold_s: 60
  within_s: 600
expected_effect: {en: "Less.", zh: "更少。"}
check: {en: "Look.", zh: "查看。"}
blast_radius:
  instances: 1
  notice: {en: "All of it", zh: "全部"}
cooldown_s: 600
lock: "config/${service}"
"""


class Place:
    """A file with a line for each step that was run, and the facts and the time of the world."""

    def __init__(self, folder: Path) -> None:
        self._ledger = folder / "steps"
        self.replicas = 3.0
        self.time = NOW + 20

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def facts(self) -> dict[str, Fact]:
        return {"replicas:cart": self.replicas}

    def run(self, step: PlanStep, key: str) -> StepResult:
        with self._ledger.open("a") as file:
            file.write(key.rpartition(":")[2] + "\n")
        return StepResult(key=key, ok=True, started_at=self.time, ended_at=self.time)

    def touches(self, step: PlanStep) -> bool:
        return True

    @property
    def ran(self) -> list[str]:
        return self._ledger.read_text().splitlines() if self._ledger.exists() else []


class Executor:
    """One run that was given the approved plan, at the act node."""

    def __init__(self, folder: Path, run_id: str = "run-1") -> None:
        self.place = Place(folder)
        self.store = Store(f"sqlite:///{folder / 'store.sqlite'}")
        self.store.create()
        self.deps = Deps(
            store=self.store,
            sources=Sources(configuration=self.place),
            clock=self.place,
            runner=self.place,
            playbooks=playbooks(),
        )
        self.state = IncidentState(
            incident_id="inc-1",
            run_id=run_id,
            plan=PLAN,
            approvals=[approval(PLAN)],
            results=[],
            ranking=Ranking(),
            onset=Onset(at=NOW - 60, confidence=0.9, reason="given"),
        )

    def step(self) -> StepResult:
        acted = act(self.state, Runtime(context=self.deps))
        self.state["results"] = acted["results"]
        return acted["results"][-1]

    def finish(self) -> list[StepResult]:
        while remaining(self.state) is not None:
            self.step()
        return self.state["results"]


def approval(plan: Plan) -> Approval:
    return Approval(
        plan_id=plan.id,
        digest=plan.digest,
        decision="approve",
        approver="anna",
        decided_at=NOW + 10,
    )


PLAN = fill(parse(TWO_STEPS, "two"), {"service": "cart"}, "inc-1", "cart", (), NOW, 900.0)


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    """An executor of an approved plan."""
    one = Executor(tmp_path)
    one.store.incidents.open(Incident(id="inc-1", title="t", opened_at=NOW, updated_at=NOW))
    one.store.approvals.request(PLAN, "run-1", NOW)
    one.store.approvals.decide(approval(PLAN), NOW + 10)
    yield one
    one.store.close()


def test_an_approved_plan_runs_each_step_once(executor: Executor) -> None:
    assert [result.ok for result in executor.finish()] == [True, True]
    assert executor.place.ran == ["0", "1"]


def test_a_finished_step_is_not_run_again_by_a_run_that_forgot_it(executor: Executor) -> None:
    executor.step()
    executor.state["results"] = []
    executor.finish()
    assert executor.place.ran == ["0", "1"]


def test_a_precondition_that_changed_after_the_approval_is_refused(executor: Executor) -> None:
    executor.place.replicas = 20.0
    refused = executor.step()
    assert "precondition of 'cart': replicas < 20.0 is needed, but it is 20.0" in refused.error
    assert executor.place.ran == []


def test_a_playbook_edited_after_the_approval_is_refused(executor: Executor) -> None:
    edited = parse(TWO_STEPS.replace("value: 1", "value: 1000"), "two")
    plan = fill(edited, {"service": "cart"}, "inc-1", "cart", (), NOW, 900.0)
    executor.state["plan"] = plan
    assert "no approval was asked" in executor.step().error
    executor.state["plan"] = PLAN.model_copy(update={"steps": plan.steps})
    executor.state["results"] = []
    assert "changed after its digest was made" in executor.step().error
    assert executor.place.ran == []


def test_a_plan_that_expires_between_two_steps_stops_there(executor: Executor) -> None:
    executor.step()
    executor.place.sleep(900)
    assert "expired" in executor.finish()[-1].error
    assert executor.place.ran == ["0"]


def test_a_stop_between_two_steps_holds_the_second_and_says_who_and_why(
    executor: Executor, tmp_path: Path
) -> None:
    executor.step()
    elsewhere = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    elsewhere.halt.set(HaltRecord(by="bob", reason="peak sale", at=NOW))
    elsewhere.close()
    stopped = executor.step()
    assert stopped.error == "refused: 'bob' stopped all executions: peak sale"
    assert executor.place.ran == ["0"]


def test_a_second_stop_does_not_hide_the_first_and_one_resume_lifts_it(
    executor: Executor,
) -> None:
    halt = executor.store.halt
    halt.set(HaltRecord(by="bob", reason="peak sale", at=NOW))
    assert halt.set(HaltRecord(by="eve", reason="me too", at=NOW + 1)).by == "bob"
    lifted = halt.lift()
    assert lifted is not None
    assert lifted.reason == "peak sale"
    assert halt.lift() is None
    assert executor.step().ok


def carry_out(folder: Path, run_id: str) -> list[bool]:
    """A whole process, or a thread, that believes the plan is its own."""
    executor = Executor(folder, run_id)
    try:
        return [result.ok for result in executor.finish()]
    finally:
        executor.store.close()


RACERS = [f"run-{number}" for number in range(4)]


def test_of_threads_that_race_for_one_plan_one_runs_it(executor: Executor, tmp_path: Path) -> None:
    line = Barrier(len(RACERS))

    def race(run_id: str) -> list[bool]:
        line.wait()
        return carry_out(tmp_path, run_id)

    with ThreadPoolExecutor(len(RACERS)) as pool:
        ended = list(pool.map(race, RACERS))
    assert sorted(executor.place.ran) == ["0", "1"]
    assert len(ended) == len(RACERS)


@pytest.mark.integration
def test_of_processes_that_race_for_one_plan_one_runs_it(
    executor: Executor, tmp_path: Path
) -> None:
    with ProcessPoolExecutor(len(RACERS), multiprocessing.get_context("spawn")) as pool:
        ended = list(pool.map(carry_out, [tmp_path] * len(RACERS), RACERS))
    assert sorted(executor.place.ran) == ["0", "1"]
    assert len(ended) == len(RACERS)


def test_a_fault_that_is_over_when_the_answer_comes_is_left_alone(tmp_path: Path) -> None:
    script = scenario("healthy", 4, herring="scheduled_spike")
    (spike,) = script.red_herrings
    world = DurableWorld(script, tmp_path / "world.jsonl")
    world.sleep(spike.at + 300 - world.now())
    one = Executor(tmp_path)
    plan = fill(
        next(p for p in playbooks() if p.id == "restart"),
        {"service": spike.target},
        "inc-1",
        spike.target,
        (),
        world.now(),
        900.0,
    )
    one.store.incidents.open(Incident(id="inc-1", title="t", opened_at=NOW, updated_at=NOW))
    one.store.approvals.request(plan, "run-1", world.now())
    given = approval(plan).model_copy(update={"decided_at": world.now()})
    one.store.approvals.decide(given, world.now())
    one.deps = Deps(one.store, world.sources, world, world, playbooks())
    one.state["plan"], one.state["approvals"] = plan, [given]
    one.state["onset"] = Onset(at=spike.at, confidence=0.9, reason="given")
    refused = one.step()
    one.store.close()
    assert "it is over by itself" in refused.error
    assert world.actions() == []
