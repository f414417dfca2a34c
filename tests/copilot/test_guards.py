"""One guard for plans: whoever asks for a plan, or to run one, is refused for the same reason.

Asked for a plan: the graph's node and the chat. Asked to run one: who approves, by HTTP or on the
command line (it asks its own engine, or posts), the node that acts, and who runs one by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from langgraph.runtime import Runtime

from copilot import wiring
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case.engine import Engine
from copilot.case.guards import ObjectionError
from copilot.case.nodes.act import act
from copilot.case.nodes.plan import plan
from copilot.case.state import GatherProgress, IncidentState
from copilot.deps import Limits
from copilot.settings import Settings
from copilot.sources.deployment import Sources
from copilot.store import HaltRecord
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tools import advice
from copilot.surfaces.chat.tools.tool import ToolArguments
from copilot.surfaces.commands.by_hand import HandRun
from copilot.surfaces.service import create_app
from copilot.types.incident import Incident
from knowledge_base import playbooks
from tests.copilot.test_proposing import GROUP, Refusing
from tests.copilot.test_runners import StandingClock
from tests.tools.test_playbook_proposal import EVIDENCE, located
from tools.clusterer import Matcher, Silence
from tools.detector import Onset
from tools.playbook_executor import fill
from tools.types import Approval, Fact, Plan, PlaybookOutcome

CLOCK = StandingClock()
NOW = CLOCK.now()
(RESIZE,) = (one for one in playbooks() if one.id == "resize-pool")


class Case:
    """One incident, located at pay, whose pool of 20 can be resized: one playbook, nothing else."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings, self.store = engine, settings, engine.store
        self.known: dict[str, Fact] = {"pool_size:pay": 20}
        sources = Sources(configuration=self)
        self.deps = replace(engine.deps, playbooks=(RESIZE,), sources=sources)
        self.state = IncidentState(
            incident_id="inc-1",
            run_id="inc-1.1",
            group=GROUP,
            onset=Onset(at=NOW - 60, confidence=0.9, reason="given"),
            evidence=list(EVIDENCE),
            gathered=GatherProgress(rounds=1),
            ranking=located("pool_exhaustion"),
        )
        self.store.incidents.open(Incident(id="inc-1", title="t", opened_at=NOW, updated_at=NOW))
        self.store.incidents.update(
            "inc-1", NOW, ranking=self.state["ranking"], evidence=tuple(EVIDENCE)
        )
        self.store.runs.accept("inc-1", NOW)

    def facts(self) -> Mapping[str, Fact]:
        """What is configured now."""
        return self.known

    @property
    def incident(self) -> Incident:
        return self.store.incidents.require("inc-1")

    def planned(self) -> Plan | None:
        """What the graph lays before a person."""
        return plan(self.state, Runtime(context=self.deps))["plan"]

    def asked(self) -> Plan:
        """The same, where it does."""
        made = self.planned()
        assert made is not None
        return made

    def answered(self, made: Plan, decision: str = "approve") -> None:
        said = {"plan_id": made.id, "digest": made.digest, "decision": decision}
        more = {"approver": "anna", "reason": "too risky", "decided_at": NOW}
        self.engine.decide(Approval.model_validate({**said, **more}))

    def end(self) -> None:
        self.store.incidents.update("inc-1", NOW, status="resolved", plan=None)

    def stop(self) -> None:
        self.store.halt.set(HaltRecord(by="bob", reason="peak sale", at=NOW))

    def done_before(self) -> None:
        past = PlaybookOutcome(
            playbook_id="resize-pool",
            fault_kind="pool_exhaustion",
            component="pay",
            recovered=True,
            at=NOW - 60,
        )
        self.store.outcomes.record("earlier", past)


@contextmanager
def opened(folder: Path) -> Iterator[Case]:
    settings = Settings(data_dir=folder, model_use="off", embedder="none")
    with wiring.engine(settings, "test", clock=CLOCK, runner=Refusing()) as engine:
        yield Case(engine, settings)


def rejected(case: Case) -> None:
    case.answered(case.asked(), "reject")


def unanswered(case: Case) -> None:
    made = case.asked()
    case.store.approvals.expire(made.expires_at + 1)


def exhausted(case: Case) -> None:
    case.answered(case.asked(), "reject")
    case.deps = replace(case.deps, limits=Limits(plans=1))


def full(case: Case) -> None:
    case.known["pool_size:pay"] = 500


def announced(case: Case) -> None:
    scope = (Matcher(label="service", value="pay"),)
    work = Silence(id="s1", matchers=scope, starts_at=NOW - 60, ends_at=NOW + 600, comment="moved")
    case.deps = replace(case.deps, announced=MaintenanceSchedule(silences=(work,)))


def unsure(case: Case) -> None:
    ranking = located("pool_exhaustion").model_copy(update={"certainty": "insufficient"})
    case.state["ranking"] = ranking
    case.store.incidents.update("inc-1", NOW, ranking=ranking)


NO_PLAN: dict[str, tuple[Callable[[Case], None], str]] = {
    "a person rejected the only plan": (rejected, "anna rejected it: too risky"),
    "nobody answered the plan": (unanswered, "nobody answered before the plan expired"),
    "as many plans as there may be": (exhausted, "several plans did not help"),
    "its precondition does not hold": (full, "is needed, but it is 500"),
    "it cools down": (Case.done_before, "its cool-down is 600 s"),
    "the incident has ended": (Case.end, "the incident is resolved"),
    "work on it is announced": (announced, "work on pay is announced"),
    "nobody is sure": (unsure, "not sure enough to act on"),
}


def by_the_graph(case: Case) -> str:
    assert case.planned() is None
    said = case.store.journal.events("inc-1", limit=100)
    return str([one for one in said if one.kind == "abstained"][-1].detail["reason"])


def by_the_chat(case: Case) -> str:
    told = advice.plan(ToolArguments(), ToolContext(case.deps, case.incident))
    assert told.plan is None
    return told.lead[0].en


@pytest.mark.parametrize("name", NO_PLAN)
def test_graph_and_chat_propose_nothing_for_the_same_reason(name: str, tmp_path: Path) -> None:
    prepare, reason = NO_PLAN[name]
    with opened(tmp_path) as case:
        prepare(case)
        assert reason in by_the_chat(case)
        assert reason in by_the_graph(case)


def by_http(case: Case, made: Plan) -> str:
    client = TestClient(create_app(case.engine, case.settings), base_url="http://127.0.0.1")
    answer = {"plan_id": made.id, "digest": made.digest, "decision": "approve", "approver": "ben"}
    reply = client.post("/incidents/inc-1/approval", json=answer)
    assert reply.status_code == 409
    return reply.text


def by_command(case: Case, made: Plan) -> str:
    with pytest.raises(ObjectionError) as refused:
        case.answered(made)
    return str(refused.value)


def by_the_act_node(case: Case, made: Plan) -> str:
    request = case.store.approvals.get(made.id)
    assert request is not None
    case.state["plan"], case.state["approvals"] = made, list(request.given)
    return act(case.state, Runtime(context=case.deps))["results"][-1].error


def by_hand(case: Case, made: Plan) -> str:
    hand = HandRun(case.store, CLOCK, Refusing(), case.deps.policy, case.known)
    made = fill(RESIZE, made.parameters, "by-hand-1", "pay", (), NOW, 900)
    given = Approval(
        plan_id=made.id, digest=made.digest, decision="approve", approver="ben", decided_at=NOW
    )
    return hand.run(made, [given])[-1].error


NO_RUN: dict[str, tuple[Callable[[Case], None], str]] = {
    "the incident has ended": (Case.end, "the incident is resolved"),
    "all is stopped": (Case.stop, "'bob' stopped all executions: peak sale"),
    "it cools down": (Case.done_before, "its cool-down is 600 s"),
}
DOORS = (by_http, by_command, by_the_act_node)


@pytest.mark.parametrize("name", NO_RUN)
def test_whoever_wants_it_run_is_refused_for_the_same_reason(name: str, tmp_path: Path) -> None:
    prepare, reason = NO_RUN[name]
    with opened(tmp_path) as case:
        made = case.asked()
        prepare(case)
        # A playbook that is run by hand belongs to no incident that could end.
        for door in DOORS if prepare is Case.end else (*DOORS, by_hand):
            assert reason in door(case, made)
        assert case.store.approvals.pending("inc-1")[0].given == ()


@pytest.mark.parametrize("door", [by_the_act_node, by_hand])
def test_a_precondition_that_is_gone_stops_who_runs_it(
    door: Callable[[Case, Plan], str], tmp_path: Path
) -> None:
    with opened(tmp_path) as case:
        made = case.asked()
        case.answered(made)
        full(case)
        assert "is needed, but it is 500" in door(case, made)
