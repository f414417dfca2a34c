"""The `llm` arm at the node that plans: asked when it may be, heard where the rest agrees."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from langgraph.runtime import Runtime

from copilot.case.nodes.plan import plan
from copilot.case.state import GatherProgress, IncidentState
from copilot.deps import Deps, Limits
from copilot.knowledge import Memory
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.testing.policies import PolicyModel
from copilot.types.incident import Event, Incident
from knowledge_base import documents, playbooks
from tests.copilot.test_runners import StandingClock
from tests.tools.test_playbook_proposal import EVIDENCE, located
from tools.detector import Onset
from tools.playbook_executor import DigestError
from tools.types import AlertGroup, Certainty, Fact, Plan

CLOCK = StandingClock()
NOW = CLOCK.now()
FILLS = {
    "playbook": "disable-feature",
    "parameters": [{"name": "flag", "value": "one-tap"}],
    "cites": ["E3"],
    "reason": "The flag of pay was turned on.",
}


class Configured:
    """What is configured, as far as a deployment says."""

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        self._facts = facts

    def facts(self) -> Mapping[str, Fact]:
        return self._facts


class Desk:
    """One incident whose cause is located, at the node that plans."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder / 'store.sqlite'}")
        self.store.create()
        self.store.incidents.open(Incident(id="inc-1", title="t", opened_at=NOW, updated_at=NOW))
        self.model = PolicyModel(say=lambda _texts, _schema: "{}")
        self.facts: dict[str, Fact] = {}
        self.limits = Limits()
        self.playbooks = playbooks()

    def plans(
        self,
        reply: dict[str, Any],
        arm: Literal["rules", "llm"] = "llm",
        certainty: Certainty = "likely",
    ) -> Plan | None:
        self.model.say = lambda _texts, _schema: json.dumps(reply)
        deps = Deps(
            store=self.store,
            sources=Sources(configuration=Configured(self.facts)),
            clock=CLOCK,
            runner=Refusing(),
            playbooks=self.playbooks,
            limits=self.limits,
            arm=arm,
            model=self.model,
            memory=Memory(documents),
        )
        state = IncidentState(
            incident_id="inc-1",
            run_id="run-1",
            group=GROUP,
            onset=Onset(at=NOW - 60, confidence=0.9, reason="given"),
            evidence=list(EVIDENCE),
            gathered=GatherProgress(rounds=1),
            ranking=located().model_copy(update={"certainty": certainty}),
        )
        return plan(state, Runtime(context=deps))["plan"]

    def journal(self, kind: str) -> list[Event]:
        return [one for one in self.store.journal.events("inc-1", limit=100) if one.kind == kind]


class Refusing:
    """No step is run here."""

    def run(self, step: object, key: str) -> Any:
        raise DigestError(f"{key}: planning runs nothing")

    def touches(self, step: object) -> bool:
        return False


GROUP = AlertGroup(
    id="g",
    title="pay answers errors",
    fingerprints=(),
    services=("pay",),
    first_service="pay",
    started_at=NOW - 60,
    severity="critical",
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.store.close()


def test_it_fills_what_the_rules_lack_and_a_person_is_asked(desk: Desk) -> None:
    found = desk.plans(FILLS)
    assert found is not None
    assert found.parameters == {"service": "pay", "flag": "one-tap"}
    assert found.evidence == ("E1", "E3")
    (request,) = desk.store.approvals.pending()
    assert request.plan.digest == found.digest
    (planned,) = desk.journal("planned")
    assert "E3 shows that" in str(planned.detail["reason"])
    (asked,) = desk.journal("asked")
    assert "plan.en@" in str(asked.detail["prompt"])


@pytest.mark.parametrize("certainty", ["ambiguous", "insufficient"])
def test_nothing_is_proposed_where_the_cause_is_neither_proven_nor_likely(
    desk: Desk, certainty: Certainty
) -> None:
    assert desk.plans(FILLS, certainty=certainty) is None
    (said,) = desk.journal("abstained")
    assert "not sure enough to act on" in str(said.detail)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"parameters": [{"name": "flag", "value": "dark-mode"}]}, id="not measured"),
        pytest.param({"cites": ["E2"]}, id="a log line"),
        pytest.param({"playbook": "restart"}, id="not offered"),
        pytest.param({"reason": "Run kubectl delete ns prod."}, id="a command in its reason"),
        pytest.param({"steps": ["rm -rf /"]}, id="a field nobody asked for"),
    ],
)
def test_what_is_not_confirmed_leaves_it_to_a_person(desk: Desk, change: dict[str, Any]) -> None:
    assert desk.plans({**FILLS, **change}) is None
    assert desk.store.approvals.pending() == ()
    said = " ".join(str(one.detail) for one in desk.journal("abstained") + desk.journal("asked"))
    assert "kubectl delete" not in said
    assert "rm -rf" not in said


def test_it_is_not_asked_where_no_answer_could_change_anything(desk: Desk) -> None:
    desk.facts = {"flag:pay": "one-tap"}
    desk.playbooks = tuple(one for one in desk.playbooks if one.id == "disable-feature")
    found = desk.plans({**FILLS, "playbook": "", "parameters": []})
    assert found is not None
    assert found.playbook_id == "disable-feature"
    assert desk.model.requests == []


def test_the_rules_arm_asks_no_model_and_neither_does_an_empty_budget(desk: Desk) -> None:
    assert desk.plans(FILLS, "rules") is None
    desk.limits = Limits(model_calls=0)
    assert desk.plans(FILLS) is None
    assert desk.model.requests == []
