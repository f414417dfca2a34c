"""Changing the values of a plan that waits: it becomes another plan, to be approved anew."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.responses import JSONResponse

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import from_validation
from copilot.case.editing import Edit
from copilot.store import UnknownPlanError
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine


def editing(engine: ServiceEngine) -> APIRouter:
    """`POST /incidents/{id}/plan`: the new plan's id and digest; refused edits say why."""
    router = APIRouter(tags=["approvals"])

    @router.post("/incidents/{incident_id}/plan", summary="Edit the values of a waiting plan")
    def edit(incident_id: str, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        wanted = _read(content)
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
            }
        )

    return router


def _read(content: bytes) -> Edit:
    try:
        return Edit.model_validate(decoded(content))
    except ValidationError as problem:
        raise from_validation(problem) from problem
