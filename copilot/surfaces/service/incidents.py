"""`/incidents` and `/alerts`: what is stored, as the JSON that people and programs read.

Every moment is ISO 8601 in UTC; a clock also says its distance from the onset in seconds.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from starlette.responses import Response

from copilot.case.postmortem import draft
from copilot.store import ApprovalRequest, ApprovalStatus, StoredAlert
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.incident import (
    LIMITS_S,
    ApprovalCount,
    Clocks,
    CommitAnswer,
    ConfirmedCause,
    Hypothesis,
    Incident,
    IncidentStatus,
    MeasuredFrom,
    Opinion,
    PlanTerms,
    RecalledDocument,
    UnsettledStep,
)
from copilot.types.time_format import iso
from prompts import Language, word
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


class ClockView(FrozenModel):
    """One of the clocks: when, and how many seconds after the onset; None = not yet."""

    at: str | None
    seconds: float | None
    limit_s: float | None = None


class ClocksView(FrozenModel):
    """The clocks; `measured_from` None: not measurable, and then no limit holds.

    `why` says what they are measured from, or why they cannot be.
    """

    measured_from: MeasuredFrom | None
    why: str
    onset: ClockView
    detected: ClockView
    located: ClockView
    recovered: ClockView


class IncidentLine(FrozenModel):
    """An incident in the list."""

    id: str
    status: IncidentStatus
    title: str
    severity: str
    services: tuple[str, ...]
    opened_at: str | None
    updated_at: str | None
    clocks: ClocksView


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
    dated: str | None
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
    """Where the approval of a plan stands, and what it means: a `dry_run` touches nothing."""

    plan_id: str
    digest: str
    status: ApprovalStatus
    dry_run: bool
    approvals: ApprovalCount
    expires_at: str | None
    approver: str = ""
    reason: str = ""
    decided_at: str | None = None


class IncidentView(IncidentLine):
    """Everything of one incident, brief and report in one language."""

    brief: str
    evidence: tuple[Evidence, ...]
    ranking: Ranking
    commit: CommitAnswer | None
    hypotheses: tuple[Hypothesis, ...]
    opinion: Opinion | None
    recalled: tuple[RecalledDocument, ...]
    plan: Plan | None
    approval: ApprovalView | None
    results: tuple[StepResult, ...]
    unsettled: UnsettledStep | None
    outcome: VerificationOutcome | None
    cause: ConfirmedCause | None
    report: str
    taken_by: str
    alerts: tuple[AlertView, ...]


def incident_line(incident: Incident) -> IncidentLine:
    """The incident as the list shows it."""
    return IncidentLine(
        id=incident.id,
        status=incident.status,
        title=incident.title,
        severity=incident.severity,
        services=incident.services,
        opened_at=iso(incident.opened_at),
        updated_at=iso(incident.updated_at),
        clocks=clock_views(incident.clocks),
    )


def incident_view(
    incident: Incident,
    alerts: tuple[StoredAlert, ...],
    approval: ApprovalView | None,
    language: Language,
) -> IncidentView:
    """The incident as a person reads it."""
    return IncidentView(
        **dict(incident_line(incident)),
        brief=spoken(incident.brief, language),
        evidence=incident.evidence,
        ranking=incident.ranking,
        commit=incident.commit,
        hypotheses=incident.hypotheses,
        opinion=incident.opinion,
        recalled=incident.recalled,
        plan=incident.plan,
        approval=approval,
        results=incident.results,
        unsettled=incident.unsettled,
        outcome=incident.outcome,
        cause=incident.cause,
        report=spoken(incident.report, language),
        taken_by=incident.taken_by,
        alerts=tuple(map(alert_view, alerts)),
    )


def clock_views(read: Clocks) -> ClocksView:
    """Each clock with its distance from the onset, where that measures anything."""
    measurable = read.measurable

    def view(name: str, moment: Timestamp | None) -> ClockView:
        return ClockView(
            at=iso(moment),
            seconds=_since(read.onset, moment) if measurable else None,
            limit_s=LIMITS_S.get(name) if measurable else None,
        )

    return ClocksView(
        measured_from=read.measured_from if measurable else None,
        why=word("measured_from", read.measured_from, "en"),
        onset=view("onset", read.onset),
        detected=view("detected", read.detected),
        located=view("located", read.located),
        recovered=view("recovered", read.recovered),
    )


def alert_view(stored: StoredAlert) -> AlertView:
    """A stored alert with the decision on it."""
    apart = {"subject", "starts_at", "dated", "ends_at", "lease", "value"}
    fields = stored.alert.model_dump(exclude=apart)
    return AlertView(
        **fields,
        key=stored.key,
        subject=stored.alert.subject,
        lease=iso(stored.alert.lease),
        starts_at=iso(stored.alert.starts_at),
        dated=iso(stored.alert.dated),
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


def _approval(request: ApprovalRequest, terms: PlanTerms) -> ApprovalView:
    answer = request.approval
    return ApprovalView(
        plan_id=request.plan.id,
        digest=request.plan.digest,
        status=request.status,
        dry_run=terms.dry_run,
        approvals=terms.approvals,
        expires_at=iso(request.plan.expires_at),
        approver=answer.approver if answer else "",
        reason=answer.reason if answer else "",
        decided_at=iso(answer.decided_at) if answer else None,
    )


_SHOWN_ALERTS = 200

Limit = Annotated[int, Query(ge=1, le=100_000)]

_LINES = TypeAdapter(tuple[IncidentLine, ...])
_ALERTS = TypeAdapter(tuple[AlertView, ...])


def incidents(engine: ServiceEngine) -> APIRouter:
    """The list, one of them, and the alerts with what was decided on each."""
    store = engine.store
    router = APIRouter(tags=["incidents"])

    @router.get("/incidents", summary="Incidents, newest first")
    def newest(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str | None, Query(description="Id of the last one seen.")] = None,
        status: IncidentStatus | None = None,
    ) -> Response:
        page = store.incidents.list(limit=limit, before=before, status=status)
        return _json(_LINES.dump_json(tuple(map(incident_line, page))))

    @router.get("/incidents/{incident_id}", summary="One incident")
    def one(incident_id: str, lang: Language = "en") -> Response:
        incident = store.incidents.require(incident_id)
        alerts = store.alerts.decisions(incident_id, limit=_SHOWN_ALERTS)
        request = store.approvals.get(incident.plan.id) if incident.plan else None
        approval = _approval(request, engine.terms(request.plan)) if request else None
        return _json(incident_view(incident, alerts, approval, lang).model_dump_json().encode())

    @router.get("/incidents/{incident_id}/alerts", summary="Its alerts, suppressed ones too")
    def alerts_of(incident_id: str, limit: Limit = 1000) -> Response:
        store.incidents.require(incident_id)
        decided = store.alerts.decisions(incident_id, limit=limit)
        return _json(_ALERTS.dump_json(tuple(map(alert_view, decided))))

    @router.get("/incidents/{incident_id}/postmortem", summary="Draft of a closed one, Markdown")
    def postmortem(incident_id: str, lang: Language = "en") -> Response:
        incident = store.incidents.require(incident_id)
        events = store.journal.events(incident_id, limit=10_000)
        return Response(draft(incident, events, lang), media_type="text/markdown; charset=utf-8")

    @router.get("/alerts", summary="Alerts that belong to no incident, each with the reason")
    def unrelated(limit: Limit = 1000) -> Response:
        decided = store.alerts.decisions(None, limit=limit)
        return _json(_ALERTS.dump_json(tuple(map(alert_view, decided))))

    return router


def _json(document: bytes) -> Response:
    # Serialized by pydantic, which writes NaN as null; the standard library would raise.
    return Response(document, media_type="application/json")
