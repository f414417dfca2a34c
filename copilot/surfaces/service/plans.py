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
from copilot.store import UnknownPlanError
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.incident import Incident
from tools.types import Approval, FrozenModel, Plan

ReadT = TypeVar("ReadT", bound=FrozenModel)


class ApprovalDecision(FrozenModel):
    """To which plan, to which content of it, what, by whom, and why."""

    plan_id: Annotated[CleanName, Field(min_length=1)]
    digest: Annotated[CleanName, Field(min_length=1)]
    decision: Literal["approve", "reject"]
    approver: Annotated[CleanName, Field(min_length=1)]
    reason: CleanText = ""


def approval(engine: ServiceEngine) -> APIRouter:
    """Answering the plan of an incident; refused answers say why with 409."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/approval", summary="Approve or reject a plan")
    def answer(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        said = _read(content, ApprovalDecision)
        engine.store.incidents.require(incident_id)
        request = engine.store.approvals.get(said.plan_id)
        if request is None or request.plan.incident_id != incident_id:
            raise UnknownPlanError(f"incident {incident_id!r} has no plan {said.plan_id!r}")
        decided = engine.decide(Approval(**dict(said), decided_at=engine.now()))
        return JSONResponse(
            {
                "status": "recorded",
                "plan_id": said.plan_id,
                "decision": said.decision,
                "plan_status": decided.status,  # pending: another person is needed
                **_terms(engine, decided.plan),
            }
        )

    return router


def _terms(engine: ServiceEngine, plan: Plan) -> dict[str, JsonValue]:
    """`dry_run`, and how many `approvals` are given and needed."""
    return engine.terms(plan).model_dump(mode="json", exclude={"only_shown"})


def _read(content: bytes, shape: type[ReadT]) -> ReadT:
    try:
        return shape.model_validate(decoded(content))
    except ValidationError as problem:
        raise from_validation(problem) from problem


def editing(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/plan`: the new plan's id and digest; refused edits say why."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/plan", summary="Edit the values of a waiting plan")
    def edit(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        wanted = _read(content, Edit)
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
    """Whether the step ran, who says so, and how they know; `key` as the incident shows it."""

    ran: bool
    by: Annotated[CleanName, Field(min_length=1)]
    reason: CleanText = ""
    key: CleanName = ""


class RetryOrder(FrozenModel):
    """Who wants it tried again, and why."""

    by: Annotated[CleanName, Field(min_length=1)]
    reason: CleanText = ""


def settling(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/step` and `/retry`; what nobody asked for is refused with 409."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/step", summary="Say whether a step ran")
    def step(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        said = _read(content, StepWord)
        incident = engine.settle(StepAnswer(incident_id=incident_id, **dict(said)))
        return JSONResponse({"status": "recorded", "incident_status": incident.status})

    @router.post("/incidents/{incident_id}/retry", summary="Work again on what was set aside")
    def retry(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        said = _read(content, RetryOrder)
        incident = engine.retry(RetryWish(incident_id=incident_id, **dict(said)))
        return JSONResponse({"status": "recorded", "incident_status": incident.status})

    return router


def confirming(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/cause`: what a person says it was; `DELETE` takes it back."""
    router = APIRouter(tags=["incidents"])

    @router.post("/incidents/{incident_id}/cause", summary="Say what the cause was")
    def say(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        said = _read(content, CauseStatement)
        found = confirm(engine.store, engine.policy, incident_id, said, engine.now())
        return _told(found, "confirmed")

    @router.delete("/incidents/{incident_id}/cause", summary="Take the confirmed cause back")
    def take_back(
        incident_id: str,
        by: Annotated[CleanName, Query(min_length=1)],
        reason: Annotated[CleanText, Query()] = "",
    ) -> JSONResponse:
        found = withdraw(engine.store, engine.policy, incident_id, by, reason, engine.now())
        return _told(found, "withdrawn")

    return router


def _told(incident: Incident, status: str) -> JSONResponse:
    """What was recorded, and beside it what the copilot had said."""
    component, kind = answer_of(incident)
    cause = incident.cause.model_dump(mode="json") if incident.cause else None
    said = {"component": component, "fault_kind": kind}
    return JSONResponse({"status": status, "cause": cause, "copilot_said": said})
