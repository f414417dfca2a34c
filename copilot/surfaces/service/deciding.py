"""What people decide on the page of an incident: forms of our own pages, and of no others."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.store import PolicyRefusedError, UnknownPlanError
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.console import incident_values
from copilot.surfaces.service.forms import Sent, meant
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.visit import Visit, page, visits
from tools.types import Approval, FrozenModel


def deciding(engine: ServiceEngine, access: Access) -> APIRouter:
    """The forms; outside of the schema, since programs decide by the routes with a token."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.post("/console/incidents/{incident_id}/decision")
    def decide(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
        session = meant(request, visit, sent)
        incident = engine.store.incidents.require(incident_id)
        try:
            said = PlanDecision.model_validate({k: v for k, v in sent.items() if k != "csrf"})
            request_of = engine.store.approvals.get(said.plan_id)
            if request_of is None or request_of.plan.incident_id != incident_id:
                raise UnknownPlanError(f"incident {incident_id!r} has no plan {said.plan_id!r}")
            engine.decide(Approval(**dict(said), approver=session.name, decided_at=engine.now()))
        except (PolicyRefusedError, ValidationError) as refusal:
            problem = str(refusal) if isinstance(refusal, PolicyRefusedError) else "bad form"
            values = incident_values(engine, incident, visit, drawn=False) | {"problem": problem}
            return page("incident.html", visit, values, 409)
        return RedirectResponse(f"/console/incidents/{quote(incident_id)}", 303)

    return router


class PlanDecision(FrozenModel):
    """The form of a page: to which plan, to which content of it, what, and why."""

    plan_id: CleanName
    digest: CleanName
    decision: Literal["approve", "reject"]
    reason: CleanText = ""
