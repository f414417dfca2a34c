"""What the service shows of an incident; stored values become text and ISO times here."""

from typing import Literal

from copilot.store import ApprovalRequest, ApprovalStatus, StoredAlert
from copilot.types.incident import (
    Clocks,
    Hypothesis,
    Incident,
    IncidentStatus,
    Opinion,
    RecalledDocument,
)
from copilot.types.time_format import iso
from tools.clusterer import SUPPRESSED
from tools.types import (
    Evidence,
    FrozenModel,
    Plan,
    Ranking,
    StepResult,
    Subject,
    Timestamp,
    VerificationOutcome,
)

Language = Literal["en", "zh"]

LIMITS = {"detected": 60.0, "located": 300.0, "recovered": 600.0}
"""1-5-10: seconds from the onset within which each should have happened."""


class ClockView(FrozenModel):
    """One of the clocks: when, and how many seconds after the onset; None = not yet."""

    at: str | None
    seconds: float | None
    limit_s: float | None = None


class IncidentLine(FrozenModel):
    """An incident in the list."""

    id: str
    status: IncidentStatus
    title: str
    severity: str
    services: tuple[str, ...]
    opened_at: str | None
    updated_at: str | None
    clocks: dict[str, ClockView]


class AlertView(FrozenModel):
    """An alert and what became of it; `suppressed` ones do not count for the incident."""

    key: int
    fingerprint: str
    name: str
    status: str
    severity: str
    service: str
    subject: Subject
    told_by: str
    why: str
    heartbeat: bool
    lease: str | None
    starts_at: str | None
    ends_at: str | None
    accepted_at: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    source: str
    generator_url: str
    incident_id: str | None
    action: str
    reason: str
    suppressed: bool


class ApprovalView(FrozenModel):
    """Where the approval of a plan stands."""

    plan_id: str
    digest: str
    status: ApprovalStatus
    expires_at: str | None
    approver: str = ""
    reason: str = ""
    decided_at: str | None = None


class IncidentView(IncidentLine):
    """Everything of one incident, brief and report in one language."""

    brief: str
    evidence: tuple[Evidence, ...]
    ranking: Ranking
    hypotheses: tuple[Hypothesis, ...]
    opinion: Opinion | None
    recalled: tuple[RecalledDocument, ...]
    plan: Plan | None
    approval: ApprovalView | None
    results: tuple[StepResult, ...]
    verdict: VerificationOutcome | None
    report: str
    alerts: tuple[AlertView, ...]


def line(incident: Incident) -> IncidentLine:
    """The incident as the list shows it."""
    return IncidentLine(
        id=incident.id,
        status=incident.status,
        title=incident.title,
        severity=incident.severity,
        services=incident.services,
        opened_at=iso(incident.opened_at),
        updated_at=iso(incident.updated_at),
        clocks=clocks(incident.clocks),
    )


def whole(
    incident: Incident,
    alerts: tuple[StoredAlert, ...],
    request: ApprovalRequest | None,
    language: Language,
) -> IncidentView:
    """The incident as a person reads it."""
    return IncidentView(
        **dict(line(incident)),
        brief=spoken(incident.brief, language),
        evidence=incident.evidence,
        ranking=incident.ranking,
        hypotheses=incident.hypotheses,
        opinion=incident.opinion,
        recalled=incident.recalled,
        plan=incident.plan,
        approval=None if request is None else _approval(request),
        results=incident.results,
        verdict=incident.verdict,
        report=spoken(incident.report, language),
        alerts=tuple(map(alert, alerts)),
    )


def clocks(read: Clocks) -> dict[str, ClockView]:
    """Each clock with its distance from the onset."""
    return {
        name: ClockView(
            at=iso(moment),
            seconds=_since(read.onset, moment),
            limit_s=LIMITS.get(name),
        )
        for name, moment in dict(read).items()
    }


def alert(stored: StoredAlert) -> AlertView:
    """A stored alert with the decision on it."""
    fields = stored.alert.model_dump(exclude={"subject", "starts_at", "ends_at", "lease", "value"})
    return AlertView(
        **fields,
        key=stored.key,
        subject=stored.alert.subject,
        lease=iso(stored.alert.lease),
        starts_at=iso(stored.alert.starts_at),
        ends_at=iso(stored.alert.ends_at),
        accepted_at=iso(stored.accepted_at),
        incident_id=stored.incident_id,
        action=stored.action,
        reason=stored.reason,
        suppressed=stored.action in SUPPRESSED,
    )


def spoken(texts: dict[str, str], language: Language) -> str:
    """The text in the language asked for; in English where there is no other."""
    return texts.get(language) or texts.get("en", "")


def _since(onset: Timestamp | None, moment: Timestamp | None) -> float | None:
    return None if onset is None or moment is None else round(moment - onset, 3)


def _approval(request: ApprovalRequest) -> ApprovalView:
    answer = request.approval
    return ApprovalView(
        plan_id=request.plan.id,
        digest=request.plan.digest,
        status=request.status,
        expires_at=iso(request.plan.expires_at),
        approver=answer.approver if answer else "",
        reason=answer.reason if answer else "",
        decided_at=iso(answer.decided_at) if answer else None,
    )
