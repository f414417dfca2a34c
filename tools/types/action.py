"""What may be done: playbooks, filled plans, approvals, step results."""

from typing import Literal

from pydantic import Field, JsonValue

from tools.types.base import FrozenModel, Timestamp
from tools.types.conditions import Precondition, Verification

RiskClass = Literal["A", "B", "C"]
"""A reads only · B is reversible · C is disruptive."""

StepAction = Literal[
    "http", "command", "kubernetes", "feature_flag", "config", "wait", "check", "manual"
]


class PlanStep(FrozenModel):
    """One step as it will be run: every parameter filled in, nothing left to substitute."""

    index: int = Field(ge=0)
    title: str
    title_zh: str = ""
    action: StepAction
    target: str = ""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_s: float = Field(default=30.0, gt=0, le=600)


class Plan(FrozenModel):
    """A filled playbook. `digest` is the SHA-256 a person approves; the executor checks it.

    The digest covers every other field but `id`, which is made of it.
    """

    id: str
    incident_id: str
    playbook_id: str
    title: str
    title_zh: str = ""
    risk: RiskClass
    component: str
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    steps: tuple[PlanStep, ...]
    rollback: tuple[PlanStep, ...] = ()
    preconditions: tuple[Precondition, ...] = ()
    verification: Verification = Verification()
    lock: str = ""
    cooldown_s: float = Field(default=0.0, ge=0)
    evidence: tuple[str, ...] = ()
    expected_effect: str = ""
    expected_effect_zh: str = ""
    blast_radius: str = ""
    blast_radius_zh: str = ""
    created_at: Timestamp
    expires_at: Timestamp
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Approval(FrozenModel):
    """A person's decision on one digest. `reason` is required to reject."""

    plan_id: str
    digest: str
    decision: Literal["approve", "reject"]
    approver: str
    reason: str = ""
    decided_at: Timestamp


class StepResult(FrozenModel):
    """What a runner reports of one step."""

    key: str
    ok: bool
    dry_run: bool = False
    output: str = ""
    error: str = ""
    started_at: Timestamp
    ended_at: Timestamp


VerificationOutcome = Literal["recovered", "unchanged", "worse", "unknown"]
