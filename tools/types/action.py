"""What may be done: filled plans with their conditions, approvals, step results."""

from typing import Literal

from pydantic import Field, JsonValue

from tools.types.base import FrozenModel, Text, Timestamp

Comparison = Literal["<", "<=", "==", ">=", ">"]

Fact = str | float
"""What is known of a component: a number or a word, under the key `<fact>:<component>`."""


class Precondition(FrozenModel):
    """A fact about the component that must hold before a plan is proposed and before it runs.

    `missing` says what an unknown fact means; by default it does not hold.
    """

    fact: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    comparison: Comparison
    value: str | float
    missing: Literal["fails", "holds"] = "fails"


class MetricCheck(FrozenModel):
    """One series against a fixed bound, judged on the median over the holding time."""

    owner: str
    metric: str
    comparison: Literal["<", ">"]
    value: float


class Verification(FrozenModel):
    """What must be true of which series, for how long, within what, for a plan to have worked.

    `watch` names whose anomalous series must be normal again: the component's own (with its edges
    and versions), those at the front door, those of all others (a server that was taken out of
    service stays dead: its callers tell), or every anomalous series of the incident. Left out are
    the readings of `ignore`, and those of `stays` anywhere but at the front door.
    """

    watch: tuple[Literal["component", "entry", "others", "all"], ...] = Field(
        default=("all",), min_length=1
    )
    ignore: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    checks: tuple[MetricCheck, ...] = ()
    hold_s: float = Field(default=60.0, ge=0, le=3600)
    within_s: float = Field(default=600.0, gt=0, le=86_400)


RiskClass = Literal["A", "B", "C"]
"""A reads only · B is reversible · C is disruptive."""

StepAction = Literal[
    "http",
    "command",
    "kubernetes",
    "feature_flag",
    "config",
    "traffic",
    "database",
    "cache",
    "job",
    "switch",
    "wait",
    "check",
    "manual",
]


OnFailure = Literal["stop", "roll_back"]
"""What follows a step that failed: the plan stops there, or its roll-back steps run."""


class PlanStep(FrozenModel):
    """One step as it will be run: every parameter filled in, nothing left to substitute.

    `idempotent`: the playbook says that its target recognises the step's key, or that asking
    twice does no more than asking once; only such a step is repeated after a crash. `stands_for` is
    what the names in it mean here: the program's path and hash, the address, the namespace.
    """

    index: int = Field(ge=0)
    title: str
    title_zh: str = ""
    action: StepAction
    target: str = ""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    idempotent: bool = False
    stands_for: str = ""


class AnotherWay(FrozenModel):
    """A second answer to the same cause, hardly worse than the plan, and why it is not the plan.

    A person may take it instead; then it is filled from these parameters.
    """

    playbook_id: str
    title: Text
    risk: RiskClass
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    why: Text


class Plan(FrozenModel):
    """A filled playbook. `digest` is the SHA-256 a person approves; the executor checks it.

    The digest covers every other field but `id`, which is made of it, and `another` where there is
    none: plans from before there was such a field keep theirs.
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
    on_failure: OnFailure = "stop"
    another: AnotherWay | None = None
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


VerificationOutcome = Literal["recovered", "recovering", "unchanged", "worse", "unknown"]
