"""Every value of the state survives a checkpoint, and nothing else is read back."""

import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from copilot.case import wiring as case_wiring
from copilot.case.graph import drawing
from copilot.case.state import (
    STATE_TYPES,
    Diagnosis,
    GatherProgress,
    IncidentState,
    PlanVerification,
)
from copilot.types.incident import Clocks, FollowUp, Hypothesis, Opinion
from tools.detector import Onset
from tools.types import (
    AlertGroup,
    Anomaly,
    Approval,
    Candidate,
    Evidence,
    MetricCheck,
    Plan,
    PlanStep,
    Precondition,
    Ranking,
    StepResult,
    Term,
    Verification,
    Window,
)

ANOMALY = Anomaly(
    owner="cart->db",
    metric="latency_p90_ms",
    onset=1e9,
    end=None,
    direction="up",
    kind="level_shift",
    score=1e-12,
    observed=300.0,
    low=1.0,
    high=2.5,
    reason="延迟 above its band",
)
STEP = PlanStep(
    index=0, title="Scale", action="kubernetes", arguments={"verb": "scale", "replicas": 3}
)
LOOK = FollowUp(kind="metrics_of", component="cart")
SAID = Hypothesis(component="cart", statement="s", evidence=("E1",), contradicts=("E2",), by="llm")
VALUES: dict[type, BaseModel] = {
    AlertGroup: AlertGroup(
        id="i",
        title="t",
        fingerprints=("a", "b"),
        services=(),
        first_service="",
        started_at=1.5,
        severity="high",
        reasons={"a": "opened"},
    ),
    Anomaly: ANOMALY,
    Approval: Approval(
        plan_id="p", digest="d", decision="reject", approver="anna", reason="no", decided_at=2.0
    ),
    Diagnosis: Diagnosis(
        hypotheses=(SAID,),
        opinion=Opinion(model="qwen", hypotheses=(SAID,), agrees=True),
        wanted=(LOOK,),
        repeated=1,
    ),
    Evidence: Evidence(
        id="E12",
        kind="metric",
        subject="cart",
        name="cpu",
        source="metrics",
        query="q",
        window=Window(start=1, end=2),
        value=3.5,
        figures={"z": 8.25},
        statement="cpu rose",
    ),
    GatherProgress: GatherProgress(
        rounds=2, lookback_s=3600, missing=("logs: not configured",), answered=(LOOK,), follow_ups=1
    ),
    Onset: Onset(at=5.0, confidence=0.5, anomalies=(ANOMALY,), reason="r"),
    Plan: Plan(
        id="p",
        incident_id="i",
        playbook_id="scale-out",
        title="t",
        risk="B",
        component="cart",
        parameters={"replicas": 3},
        steps=(STEP,),
        rollback=(STEP,),
        preconditions=(Precondition(fact="replicas", comparison=">=", value=1.0),),
        verification=Verification(
            checks=(MetricCheck(owner="cart", metric="cpu", comparison="<", value=5.0),)
        ),
        created_at=1.0,
        expires_at=2.0,
        digest="0" * 64,
    ),
    Ranking: Ranking(
        certainty="likely",
        candidates=(
            Candidate(
                component="cart",
                score=0.5,
                fault_kind="errors",
                terms=(Term(name="own errors", weight=0.5, evidence=("E1", "E2")),),
            ),
        ),
        reason="r",
    ),
    StepResult: StepResult(key="k", ok=True, output="done", started_at=1.0, ended_at=2.0),
    PlanVerification: PlanVerification(plan_id="p", outcome="worse", reason="r"),
}


@pytest.mark.parametrize("kind", STATE_TYPES, ids=lambda kind: kind.__name__)
def test_a_value_comes_back_from_a_checkpoint_as_it_went_in(kind: type, tmp_path: Path) -> None:
    value = VALUES[kind]
    with case_wiring.checkpointer(tmp_path / "c.sqlite", lambda: "0:") as saver:
        back = saver.serde.loads_typed(saver.serde.dumps_typed({"one": value, "more": [value]}))
    assert back == {"one": value, "more": [value]}
    assert type(back["one"]) is kind


def test_every_type_that_the_state_names_may_be_read_back() -> None:
    hints = " ".join(str(hint) for hint in typing.get_type_hints(IncidentState).values())
    assert {one.__name__ for one in STATE_TYPES if one.__name__ not in hints} == {"Anomaly"}


def test_a_type_that_is_not_of_the_state_is_not_rebuilt(tmp_path: Path) -> None:
    with case_wiring.checkpointer(tmp_path / "c.sqlite", lambda: "0:") as saver:
        back = saver.serde.loads_typed(saver.serde.dumps_typed(Clocks(onset=1.0)))
    assert not isinstance(back, Clocks)


def test_the_state_has_at_most_twelve_keys() -> None:
    assert len(IncidentState.__annotations__) <= 12


def test_the_drawing_shows_the_loops() -> None:
    drawn = drawing()
    for arrow in ("diagnose -.-> gather", "act -.-> act", "verify -.-> gather", "approve -.-> act"):
        assert arrow in drawn
