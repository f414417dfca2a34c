"""A playbook of the catalogue: what it is for, what it may be given, what it does and undoes."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from tools.types.action import (
    AnotherWay,
    OnFailure,
    Precondition,
    RiskClass,
    StepAction,
    Verification,
    VerificationOutcome,
)
from tools.types.base import FrozenModel, Text, Timestamp
from tools.types.findings import FaultKind

ComponentKind = Literal[
    "service", "gateway", "database", "cache", "queue", "node", "external", "unknown"
]

Scalar = str | int | float | bool


class Parameter(FrozenModel):
    """One declared hole of a playbook, and where its value comes from.

    `name` is a strictly validated token (a service, a node, a flag), `names` up to ten of them with
    commas between; `text` needs a pattern or allowed values. A value taken from a number is
    multiplied by `factor`, rounded up for an integer and clamped to the bounds; one that is not
    multiplied, or that was handed over, is refused outside of them.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    type: Literal["name", "names", "text", "integer", "number", "boolean"]
    title: Text
    source: Literal["component", "fact", "default"]
    fact: str = ""
    factor: float = Field(default=1.0, gt=0, le=10)
    default: Scalar | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    allowed: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type in ("integer", "number") and (self.minimum is None or self.maximum is None):
            raise ValueError(f"parameter {self.name!r}: a number needs a minimum and a maximum")
        patterned = self.pattern and self.default is not None
        if self.type == "text" and not (patterned or self.allowed):
            problem = "a text needs allowed values, or a pattern and a default"
            raise ValueError(f"parameter {self.name!r}: {problem}")
        if self.source == "fact" and not self.fact:
            raise ValueError(f"parameter {self.name!r}: source 'fact' needs the name of the fact")
        if self.source == "default" and self.default is None:
            raise ValueError(f"parameter {self.name!r}: source 'default' needs a default")
        return self


class PlaybookStep(FrozenModel):
    """One step before filling: `${name}` stands for a parameter in its arguments and title.

    `idempotent` as in `PlanStep`; a step that only reads need not say so. With `each`, a parameter
    of type `names`, the step is one for every name, which its hole stands for. The steps of
    `canary` only read: they run after the first of these, and the others where they succeed.
    """

    title: Text
    action: StepAction
    target: str = ""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    idempotent: bool = False
    each: str = ""
    canary: tuple["PlaybookStep", ...] = Field(default=(), max_length=4)

    @model_validator(mode="after")
    def _canary_of_many(self) -> Self:
        if self.canary and not self.each:
            raise ValueError(
                "`canary` needs `each`: the parameter of type names it is the first of"
            )
        if any(one.each for one in self.canary):
            raise ValueError("a step of `canary` has no `each`")
        return self


PlaybookEffect = Literal["mends", "buys_time", "returns", "looks"]
"""Ends the fault · makes it bearable meanwhile · takes back what bought time · only reads."""


class Applicability(FrozenModel):
    """A case a playbook is for: fault kinds × component kinds × facts; higher preference first.

    `stays` names the readings that the cure leaves as they are in this case: more workers do not
    make one job faster. They become `stays` of the plan's verification.
    """

    faults: tuple[FaultKind, ...] = Field(min_length=1)
    components: tuple[ComponentKind, ...] = ()
    when: tuple[Precondition, ...] = ()
    preference: int = Field(default=50, ge=1, le=100)
    effect: PlaybookEffect = "mends"
    stays: tuple[str, ...] = ()


class BlastRadius(FrozenModel):
    """How many instances a run may touch at once, and what users may notice."""

    instances: int = Field(ge=0, le=100)
    notice: Text


class Playbook(FrozenModel):
    """A recovery that a person can approve, as it stands in the catalogue.

    A playbook that changes something has a rollback or says why there is none (`irreversible`).
    With `on_failure: roll_back` a step that fails after one that acted has the roll-back run.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+){0,5}$", max_length=60)
    title: Text
    risk: RiskClass
    applies: tuple[Applicability, ...] = Field(min_length=1)
    parameters: tuple[Parameter, ...] = Field(min_length=1, max_length=12)
    preconditions: tuple[Precondition, ...] = ()
    steps: tuple[PlaybookStep, ...] = Field(min_length=1, max_length=12)
    rollback: tuple[PlaybookStep, ...] = Field(default=(), max_length=12)
    irreversible: Text | None = None
    on_failure: OnFailure = "stop"
    verification: Verification
    expected_effect: Text
    check: Text
    blast_radius: BlastRadius
    cooldown_s: float = Field(ge=0, le=86_400)
    lock: str = Field(min_length=1, max_length=120)

    @property
    def every_step(self) -> Iterator[PlaybookStep]:
        """Steps, those between a canary and the rest, and the way back."""
        for step in (*self.steps, *self.rollback):
            yield step
            yield from step.canary

    def stays(self, kind: FaultKind | None) -> tuple[str, ...]:
        """The readings that stay as they are when this mends that kind of fault."""
        return tuple(name for case in self.applies if kind in case.faults for name in case.stays)

    @model_validator(mode="after")
    def _can_be_undone(self) -> Self:
        if self.risk != "A" and not self.rollback and self.irreversible is None:
            raise ValueError("class B and C need a rollback, or `irreversible` saying why none")
        if self.on_failure == "roll_back" and not (
            self.rollback and all(step.idempotent for step in self.rollback)
        ):
            raise ValueError("`on_failure: roll_back` needs a rollback whose steps are idempotent")
        return self


class PlaybookOutcome(FrozenModel):
    """How a playbook once ended on a component: what the `ml` arm learns from."""

    playbook_id: str
    fault_kind: FaultKind
    component: str
    component_kind: ComponentKind = "unknown"
    recovered: bool
    at: Timestamp


class Proposal(FrozenModel):
    """What a model would do: data, until something independent of it says the same.

    No playbook means that it would rather have a person look.
    """

    playbook_id: str = ""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    reason: str = ""


class ConsideredPlaybook(FrozenModel):
    """A playbook that was for this fault kind, and why it was taken or left."""

    playbook_id: str
    taken: bool
    reason: str


class Choice(FrozenModel):
    """A playbook with its parameters, or an abstention with what a person should check."""

    playbook_id: str = ""
    component: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    reason: str
    reason_zh: str = ""
    check: Text | None = None
    considered: tuple[ConsideredPlaybook, ...] = ()
    another: AnotherWay | None = None
    arm: Literal["rules", "ml", "llm"] = "rules"

    @property
    def abstained(self) -> bool:
        """True if no playbook was chosen."""
        return not self.playbook_id


class Judgement(FrozenModel):
    """What fresh series say of a plan that ran: the outcome, one sentence, and the figures.

    `done_at` is when what is `recovering` will be normal, if it goes on as it does.
    """

    outcome: VerificationOutcome
    done_at: Timestamp | None = None
    statement: str
    statement_zh: str = ""
    figures: dict[str, float] = Field(default_factory=dict)
