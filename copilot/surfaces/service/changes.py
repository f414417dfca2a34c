"""Where people and pipelines say what they changed. The answer is 202 only when it is on disk."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse

from copilot.alerts.formats.document import decoded
from copilot.sources.change_events import changes as read
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine


def changes(engine: ServiceEngine) -> APIRouter:
    """`POST /changes`: deploys, configuration, scaling, flags, by whoever makes them."""
    router = APIRouter(tags=["telemetry"])

    @router.post("/changes", status_code=202, summary="Say what was changed")
    def told(content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        now = engine.now()
        found = read(decoded(content), now)
        new = engine.store.changes.record(found, now)
        receipt = {"status": "success", "recorded": new, "repeated": len(found) - new}
        return JSONResponse(receipt, status_code=202)

    return router
