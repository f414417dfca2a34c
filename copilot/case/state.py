"""The graph's state: conclusions and references, never telemetry. Each key has one writer."""

from typing import TypedDict

from pydantic import Field

from copilot.types.incident import FollowUp, Hypothesis, Opinion
from tools.detector import Onset
from tools.types import (
    AlertGroup,
    Anomaly,
    Approval,
    Evidence,
    FrozenModel,
    Plan,
    Ranking,
    StepResult,
    Timestamp,
    VerificationOutcome,
)


class GatherProgress(FrozenModel):
    """How often `gather` looked with enough to see, how far back (seconds), until when, what not.

    `answered` are the looks that were asked for and taken, in `follow_ups` rounds.
    """

    rounds: int = Field(default=0, ge=0)
    lookback_s: float = 0.0
    until: float = 0.0
    missing: tuple[str, ...] = ()
    answered: tuple[FollowUp, ...] = ()
    follow_ups: int = Field(default=0, ge=0)


class Diagnosis(FrozenModel):
    """Hypotheses in the order of the ranking, and beside them what a model holds for likely.

    `wanted` are further looks it asks for; `repeated` counts those it had asked for before.
    """

    hypotheses: tuple[Hypothesis, ...] = ()
    opinion: Opinion | None = None
    wanted: tuple[FollowUp, ...] = ()
    repeated: int = Field(default=0, ge=0)


class PlanVerification(FrozenModel):
    """What fresh data say of one plan that ran.

    Until it is `over` it is looked at again at `next_at`; no look up to `sound` said "worse". The
    look at `mending` was the last to say, past the plan's time, that it is on its way.
    """

    plan_id: str
    outcome: VerificationOutcome
    reason: str
    over: bool = True
    next_at: Timestamp = 0.0
    sound: Timestamp = 0.0
    mending: Timestamp = 0.0


class IncidentState(TypedDict, total=False):
    """Twelve keys; limits live in Deps, and what was spent follows from the keys and the store."""

    incident_id: str  # the caller
    run_id: str  # the caller
    group: AlertGroup  # triage
    onset: Onset  # triage
    evidence: list[Evidence]  # gather
    gathered: GatherProgress  # gather
    ranking: Ranking  # locate
    diagnosis: Diagnosis  # diagnose
    plan: Plan | None  # plan
    approvals: list[Approval]  # approve
    results: list[StepResult]  # act
    verified: PlanVerification | None  # verify


STATE_TYPES: tuple[type, ...] = (
    AlertGroup,
    Anomaly,
    Approval,
    Diagnosis,
    Evidence,
    GatherProgress,
    Onset,
    Plan,
    Ranking,
    StepResult,
    PlanVerification,
)
"""The only types a checkpoint may hold; anything else is refused when it is read back."""
