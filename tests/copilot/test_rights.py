"""Who may say what to a plan, what the policy says by itself, and what is learnt from the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from copilot.case.engine import Engine
from copilot.case.graph import build
from copilot.case.terms import terms
from copilot.deps import Deps
from copilot.hands import ActionRunner, DryRunRunner, WaitRunner
from copilot.ports import Runner
from copilot.sources.clock import SystemClock
from copilot.store import HaltRecord, NoRightError, Store
from copilot.types.incident import ApprovalCount, Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from knowledge_base import playbooks
from tools.playbook_executor import ApprovalError, Policy, check_approval
from tools.types import (
    Approval,
    Plan,
    Playbook,
    PlaybookOutcome,
    RiskClass,
    StepAction,
    Window,
)

SCENARIO = scenario("pool_exhaustion", 3)
FAULT = SCENARIO.start + SCENARIO.quiet_s
LISTED = Policy(approvers=frozenset({"anna"}), responders=frozenset({"rob"}))
(RESIZE,) = (one for one in playbooks() if one.id == "resize-pool")


def of_class(risk: RiskClass) -> Playbook:
    return RESIZE.model_copy(update={"risk": risk})


class Desk:
    """An engine that has looked at the fault, and its one incident."""

    def __init__(self, engine: Engine, world: DurableWorld) -> None:
        self.engine, self.world = engine, world

    def look(self) -> None:
        alerts = self.world.source.alerts(Window(start=FAULT - 600, end=self.world.now()))
        self.engine.accept(list(alerts), self.world.now())
        self.engine.drain()

    @property
    def incident(self) -> Incident:
        (only,) = self.engine.store.incidents.list()
        return only

    @property
    def plan(self) -> Plan:
        assert self.incident.plan is not None
        return self.incident.plan

    def answer(self, who: str, decision: str = "approve") -> None:
        self.say(who, decision)
        self.engine.drain()

    def say(self, who: str, decision: str = "approve") -> None:
        self.engine.decide(
            Approval.model_validate(
                {
                    "plan_id": self.plan.id,
                    "digest": self.plan.digest,
                    "decision": decision,
                    "approver": who,
                    "reason": "not now",
                    "decided_at": self.world.now(),
                }
            )
        )

    def said(self, kind: str) -> list[tuple[str, str]]:
        events = self.engine.store.journal.events(limit=1000)
        return [(one.by, str(one.detail["reason"])) for one in events if one.kind == kind]


@contextmanager
def desk(
    folder: Path,
    policy: Policy,
    risk: RiskClass = "B",
    arm: Literal["rules", "ml"] = "rules",
    among: Sequence[Playbook] = (),
) -> Iterator[Desk]:
    world = DurableWorld(SCENARIO, folder / "world.jsonl")
    world.sleep(FAULT + 90 - world.now())
    store = Store(f"sqlite:///{folder / 'store.sqlite'}")
    store.create()
    books = among or playbooks()
    catalogue = tuple(of_class(risk) if one.id == RESIZE.id else one for one in books)
    deps = Deps(store, world.sources, world, world, catalogue, arm=arm, policy=policy)
    engine = Engine(
        deps, build(InMemorySaver()), wall=world, new_id=lambda: "inc-1", owner="t", refresh_s=0
    )
    yield Desk(engine, world)
    store.close()


def test_a_responder_may_reject_and_not_approve_and_a_viewer_neither(tmp_path: Path) -> None:
    with desk(tmp_path, LISTED) as one:
        one.look()
        for who, decision in (("rob", "approve"), ("eve", "approve"), ("eve", "reject")):
            with pytest.raises(NoRightError, match=f"'{who}' may not {decision}"):
                one.answer(who, decision)
        assert one.said("approved") == one.said("rejected") == []
        one.answer("rob", "reject")
        assert one.said("rejected") == [("rob", "not now")]
        assert one.world.actions() == []


@pytest.mark.parametrize("name", ["policy", " Policy", "nobody", "COPILOT"])
def test_no_person_answers_under_a_name_of_the_copilot(name: str, tmp_path: Path) -> None:
    with desk(tmp_path, Policy(automatic=True)) as one:
        one.look()
        with pytest.raises(NoRightError, match="a name of the copilot's own"):
            one.answer(name)
        assert one.world.actions() == []


def test_a_plan_that_only_reads_is_approved_by_the_policy_where_that_is_on(tmp_path: Path) -> None:
    with desk(tmp_path, LISTED.model_copy(update={"automatic": True}), "A") as one:
        one.look()
        assert one.said("approved") == [
            ("policy", "class A: it changes nothing, and auto-approval is on")
        ]
        assert len(one.world.actions()) == 1


@pytest.mark.parametrize(("automatic", "risk"), [(False, "A"), (True, "B"), (True, "C")])
def test_every_other_plan_waits_for_people(
    automatic: bool, risk: RiskClass, tmp_path: Path
) -> None:
    with desk(tmp_path, Policy(automatic=automatic), risk) as one:
        one.look()
        assert one.incident.status == "awaiting_approval"
        forged = Approval(
            plan_id=one.plan.id,
            digest=one.plan.digest,
            decision="approve",
            approver="policy",
            decided_at=one.world.now(),
        )
        with pytest.raises(ApprovalError):
            check_approval(one.plan, forged, one.world.now(), Policy(automatic=automatic))
        assert one.world.actions() == []


def test_how_a_plan_ended_is_remembered_for_the_next_choice(tmp_path: Path) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        component = one.plan.component
        one.answer("anna")
        assert one.incident.status == "recovered"
        (outcome,) = one.engine.store.outcomes.all()
        assert outcome.playbook_id == "resize-pool"
        assert (outcome.fault_kind, outcome.component) == ("pool_exhaustion", component)
        assert outcome.component_kind == "service"
        assert outcome.recovered
        one.engine.store.outcomes.record(
            "another", outcome.model_copy(update={"recovered": False, "at": outcome.at - 1})
        )
        assert [past.recovered for past in one.engine.store.outcomes.all()] == [False, True]


@pytest.mark.parametrize(("arm", "proposed"), [("rules", "resize-pool"), ("ml", "restart")])
def test_the_ml_arm_proposes_what_worked_before(
    arm: Literal["rules", "ml"], proposed: str, tmp_path: Path
) -> None:
    with desk(tmp_path, Policy(), arm=arm) as one:
        for number in range(8):
            past = PlaybookOutcome(
                playbook_id="restart",
                fault_kind="pool_exhaustion",
                component=SCENARIO.faults[0].target,
                recovered=True,
                at=FAULT - 86_400.0 * (1 + number),
            )
            one.engine.store.outcomes.record(f"past-{number}", past)
        one.look()
        assert one.plan.playbook_id == proposed


def test_a_playbook_that_cools_down_is_not_proposed_again(tmp_path: Path) -> None:
    with desk(tmp_path, Policy()) as one:
        past = PlaybookOutcome(
            playbook_id="resize-pool",
            fault_kind="pool_exhaustion",
            component=SCENARIO.faults[0].target,
            recovered=True,
            at=FAULT - 60,
        )
        one.engine.store.outcomes.record("earlier", past)
        one.look()
        assert one.incident.plan is None
        assert "its cool-down is 600 s" in one.said("abstained")[-1][1]


def test_while_executions_are_stopped_nothing_is_run_and_a_person_takes_over(
    tmp_path: Path,
) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        one.say("anna")
        one.engine.store.halt.set(HaltRecord(by="bob", reason="peak sale", at=one.world.now()))
        one.engine.drain()
        assert one.world.actions() == []
        assert one.said("acted") == [
            ("copilot", "refused: 'bob' stopped all executions: peak sale")
        ]
        assert one.incident.status == "handed_over"
        assert one.engine.store.outcomes.all() == ()


def test_the_first_of_two_approvals_says_that_another_person_is_needed(tmp_path: Path) -> None:
    with desk(tmp_path, Policy(), "C") as one:
        one.look()
        assert "0 of 2 approvals" in one.incident.brief["en"]
        one.answer("anna")
        assert "1 of 2 approvals" in one.incident.brief["en"]
        assert "已有 1/2 人批准" in one.incident.brief["zh"]
        assert one.engine.terms(one.plan).approvals == ApprovalCount(given=1, needed=2)
        assert one.world.actions() == []
        one.answer("ben")
        assert one.said("approved") == [("anna", "not now"), ("ben", "not now")]
        assert len(one.world.actions()) == 1
        assert "was run and it recovered" in one.incident.brief["en"]


def test_what_came_from_a_recording_is_a_dry_run_whoever_would_run_it(tmp_path: Path) -> None:
    with desk(tmp_path, Policy()) as one:
        one.look()
        assert not one.engine.terms(one.plan).dry_run
        assert "dry run" not in one.incident.brief["en"]
        one.engine.store.incidents.update(one.incident.id, one.world.now(), origin=str(tmp_path))
        assert one.engine.terms(one.plan).dry_run
        one.answer("anna")
        assert one.world.actions() == []
        assert [result.dry_run for result in one.incident.results] == [True]
        assert "was a **dry run**" in one.incident.brief["en"]


def plan_of(*steps: StepAction) -> Plan:
    return Plan.model_validate(
        {
            "id": "p",
            "incident_id": "i",
            "playbook_id": "p",
            "title": "t",
            "risk": "C",
            "component": "cart",
            "steps": [
                {"index": n, "title": "s", "action": action, "arguments": {}, "timeout_s": 1}
                for n, action in enumerate(steps)
            ],
            "created_at": 0,
            "expires_at": 1,
            "digest": "d" * 64,
        }
    )


CLOCK = SystemClock()
REAL: dict[StepAction, Runner] = {
    "wait": WaitRunner(CLOCK),
    "command": WaitRunner(CLOCK),
    "http": DryRunRunner(CLOCK),
}
TERMS: dict[str, tuple[tuple[StepAction, ...], bool, tuple[int, ...]]] = {
    "every step is real": (("command", "wait"), False, ()),
    "a wait beside a dry run is no act": (("http", "wait"), True, (0,)),
    "no runner": (("kubernetes", "wait"), True, (0,)),
    "one of two is real": (("http", "command"), False, (0,)),
    "only waiting": (("wait",), False, ()),
}


@pytest.mark.parametrize("case", TERMS)
def test_a_plan_is_a_dry_run_where_none_of_its_acts_is_real(case: str) -> None:
    steps, dry_run, shown = TERMS[case]
    found = terms(plan_of(*steps), (), ActionRunner(REAL, CLOCK), Policy())
    assert (found.dry_run, found.only_shown) == (dry_run, shown)
    assert found.approvals == ApprovalCount(given=0, needed=2)
