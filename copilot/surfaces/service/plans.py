"""What people decide: on a plan that waits (approve, reject, edit), what a cause was, whether a
step ran whose end nobody saw, and that what was set aside be tried again.

An edited plan is another plan, with a digest of its own, and has to be approved anew.
"""

from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query
from pydantic import Field, JsonValue, ValidationError
from starlette.responses import JSONResponse

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import from_validation
from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.case.answers import RetryWish, StepAnswer
from copilot.case.confirming import CauseStatement, answer_of, confirm, withdraw
from copilot.case.editing import Edit
from copilot.case.merging import MOST_SPLIT, MergeWish, SplitWish
from copilot.case.on_call import OnCallAction, OnCallWord, first_on_call, say, schedules_now
from copilot.case.terms import outcome_line
from copilot.store import UnknownPlanError
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.rights import Calling
from copilot.types.incident import Incident
from copilot.types.on_call import OnCallNow
from prompts import Language
from tools.types import Approval, FrozenModel, Plan, Scalar

ReadT = TypeVar("ReadT", bound=FrozenModel)


class ApprovalDecision(FrozenModel):
    """To which plan, to which content of it, what, and why.

    `approver` is wanted while nobody has an account; else it is whose token it is.
    """

    plan_id: Annotated[CleanName, Field(min_length=1)]
    digest: Annotated[CleanName, Field(min_length=1)]
    decision: Literal["approve", "reject"]
    approver: CleanName = ""
    reason: CleanText = ""


def approval(engine: ServiceEngine) -> APIRouter:
    """Answering the plan of an incident; refused answers say why with 409."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/approval", summary="Approve or reject a plan")
    def answer(
        incident_id: str,
        caller: Calling,
        content: Annotated[bytes, Depends(body)],
        lang: Language = "en",
    ) -> JSONResponse:
        said = document_of(content, ApprovalDecision)
        engine.store.incidents.require(incident_id)
        request = engine.store.approvals.get(said.plan_id)
        if request is None or request.plan.incident_id != incident_id:
            raise UnknownPlanError(f"incident {incident_id!r} has no plan {said.plan_id!r}")
        fields = {**dict(said), "approver": caller.decider(said.approver, "approver")}
        decided = engine.decide(Approval(**fields, decided_at=engine.now()))
        agreed, by = engine.terms(decided.plan), fields["approver"]
        told = f"rejected by {by}; the service goes on without {said.plan_id}"
        if said.decision == "approve":
            runs = "服务" if lang == "zh" else "the service"
            told = outcome_line(by, agreed, runs, lang)
        return JSONResponse(
            {
                "status": "recorded",
                "said": told,
                "plan_id": said.plan_id,
                "by": fields["approver"],
                "decision": said.decision,
                "plan_status": decided.status,  # pending: another person is needed
                **_terms(engine, decided.plan),
            }
        )

    return router


def _terms(engine: ServiceEngine, plan: Plan) -> dict[str, JsonValue]:
    """`dry_run`, and how many `approvals` are given and needed."""
    return engine.terms(plan).model_dump(mode="json", exclude={"only_shown"})


def document_of(content: bytes, shape: type[ReadT]) -> ReadT:
    """What was posted, in the shape that a route takes; raises `PayloadError`."""
    try:
        return shape.model_validate(decoded(content))
    except ValidationError as problem:
        raise from_validation(problem) from problem


class PlanEdit(FrozenModel):
    """To which plan, to which content of it, which values, and why; `editor` as an `approver`.

    `playbook_id` takes the way that the plan shows as `another`.
    """

    plan_id: Annotated[CleanName, Field(min_length=1)]
    digest: Annotated[CleanName, Field(min_length=1)]
    parameters: dict[str, Scalar] = Field(default_factory=dict, max_length=12)
    playbook_id: CleanName = ""
    editor: CleanName = ""
    reason: CleanText = ""


def editing(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/plan`: the new plan's id and digest; refused edits say why."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/plan", summary="Edit a waiting plan or take another")
    def edit(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        said = document_of(content, PlanEdit)
        wanted = Edit(**{**dict(said), "editor": caller.decider(said.editor, "editor")})
        engine.store.incidents.require(incident_id)
        asked = engine.store.approvals.get(wanted.plan_id)
        if asked is None or asked.plan.incident_id != incident_id:
            raise UnknownPlanError(f"incident {incident_id!r} has no plan {wanted.plan_id!r}")
        request = engine.edit(wanted)
        return JSONResponse(
            {
                "status": "edited",
                "replaces": wanted.plan_id,
                "plan_id": request.plan.id,
                "digest": request.plan.digest,
                **_terms(engine, request.plan),
            }
        )

    return router


class StepWord(FrozenModel):
    """Whether the step ran, and how they know; `key` as the incident shows it."""

    ran: bool
    by: CleanName = ""
    reason: CleanText = ""
    key: CleanName = ""


class RetryOrder(FrozenModel):
    """Why it is to be tried again."""

    by: CleanName = ""
    reason: CleanText = ""


def settling(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/step` and `/retry`; what nobody asked for is refused with 409."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/step", summary="Say whether a step ran")
    def step(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        said = document_of(content, StepWord)
        fields = {**dict(said), "by": caller.decider(said.by)}
        incident = engine.settle(StepAnswer(incident_id=incident_id, **fields))
        return JSONResponse({"status": "recorded", "incident_status": incident.status})

    @router.post("/incidents/{incident_id}/retry", summary="Work again on what was set aside")
    def retry(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        said = document_of(content, RetryOrder)
        by = caller.decider(said.by)
        incident = engine.retry(RetryWish(incident_id=incident_id, by=by, reason=said.reason))
        return JSONResponse({"status": "recorded", "incident_status": incident.status})

    return router


class MergeOrder(FrozenModel):
    """Into which incident, and why; `by` as an `approver`."""

    into: Annotated[CleanName, Field(min_length=1)]
    by: CleanName = ""
    reason: CleanText = ""


class SplitOrder(FrozenModel):
    """Which alerts, by their keys, and why; `by` as an `approver`."""

    alerts: tuple[int, ...] = Field(max_length=MOST_SPLIT)
    by: CleanName = ""
    reason: CleanText = ""


def merging(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/merge` and `/split`: what is refused says why with 409."""
    router = APIRouter(tags=["incidents"])

    @router.post("/incidents/{incident_id}/merge", summary="It is part of another incident")
    def merge(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        said = document_of(content, MergeOrder)
        fields = {**dict(said), "by": caller.decider(said.by)}
        home = engine.merge(MergeWish(incident_id=incident_id, **fields))
        told = {"status": "recorded", "incident": home.id, "incident_status": home.status}
        return JSONResponse(told)

    @router.post("/incidents/{incident_id}/split", summary="Some alerts of it are another one")
    def split(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        said = document_of(content, SplitOrder)
        fields = {**dict(said), "by": caller.decider(said.by)}
        made = engine.split(SplitWish(incident_id=incident_id, **fields))
        told = {"status": "recorded", "incident": made.id, "incident_status": made.status}
        return JSONResponse(told)

    return router


class CauseWord(CauseStatement):
    """What was at fault and how; `by` as an `approver`."""

    by: CleanName = ""


def confirming(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/cause`: what a person says it was; `DELETE` takes it back."""
    router = APIRouter(tags=["incidents"])

    @router.post("/incidents/{incident_id}/cause", summary="Say what the cause was")
    def confirmed(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        told = document_of(content, CauseWord)
        said = CauseStatement(**{**dict(told), "by": caller.decider(told.by)})
        found = confirm(engine.store, engine.policy, incident_id, said, engine.now())
        return _told(found, "confirmed")

    @router.delete("/incidents/{incident_id}/cause", summary="Take the confirmed cause back")
    def take_back(
        incident_id: str,
        caller: Calling,
        by: Annotated[CleanName, Query()] = "",
        reason: Annotated[CleanText, Query()] = "",
    ) -> JSONResponse:
        who = caller.decider(by)
        found = withdraw(engine.store, engine.policy, incident_id, who, reason, engine.now())
        return _told(found, "withdrawn")

    return router


class OnCallOrder(FrozenModel):
    """What somebody on call says of an incident; `by` as an `approver`."""

    action: OnCallAction
    by: CleanName = ""
    to: CleanName = ""
    text: CleanText = ""


class OnCallListing(FrozenModel):
    """Whom every schedule names now; none: no file of schedules is set."""

    schedules: tuple[OnCallNow, ...]


def on_call(engine: ServiceEngine) -> APIRouter:
    """`GET /on-call`, and `POST /incidents/{id}/on-call`: taken, handed over, noted, resolved."""
    router = APIRouter(tags=["incidents"])

    @router.get("/on-call", summary="Who is on call now, by each schedule")
    def now() -> OnCallListing:
        return OnCallListing(schedules=schedules_now(engine.rota, engine.now()))

    @router.post("/incidents/{incident_id}/on-call", summary="Take, hand over, note or resolve")
    def told(
        incident_id: str, caller: Calling, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        order = document_of(content, OnCallOrder)
        to = order.to or first_on_call(engine.rota, engine.now())
        word = OnCallWord(**{**dict(order), "by": caller.decider(order.by), "to": to})
        incident = say(engine.store, engine.policy, incident_id, word, engine.now())
        return JSONResponse(
            {
                "status": "recorded",
                "by": word.by,
                "incident_status": incident.status,
                "taken_by": incident.taken_by,
            }
        )

    return router


def _told(incident: Incident, status: str) -> JSONResponse:
    """What was recorded, and beside it what the copilot had said."""
    component, kind = answer_of(incident)
    cause = incident.cause.model_dump(mode="json") if incident.cause else None
    said = {"component": component, "fault_kind": kind}
    return JSONResponse({"status": status, "cause": cause, "copilot_said": said})
