"""What people decide on the page of an incident: forms of our own pages, and of no others."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.case.answers import check_right
from copilot.case.confirming import CauseStatement, confirm
from copilot.case.on_call import OnCallWord, say
from copilot.store import PolicyRefusedError, UnknownPlanError
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.console import incident_values
from copilot.surfaces.service.forms import Sent, meant
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.visit import Visit, page, visits
from copilot.types.incident import Incident
from tools.clusterer import Matcher, Silence
from tools.log_retriever.sanitize import plain
from tools.types import Approval, FrozenModel, Timestamp


def deciding(engine: ServiceEngine, access: Access) -> APIRouter:
    """The forms; outside of the schema, since programs decide by the routes with a token."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.post("/console/incidents/{incident_id}/decision")
    def decide(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
        session = meant(request, visit, sent)

        def work(_incident: Incident) -> None:
            said = PlanDecision.model_validate({k: v for k, v in sent.items() if k != "csrf"})
            request_of = engine.store.approvals.get(said.plan_id)
            if request_of is None or request_of.plan.incident_id != incident_id:
                raise UnknownPlanError(f"incident {incident_id!r} has no plan {said.plan_id!r}")
            engine.decide(Approval(**dict(said), approver=session.name, decided_at=engine.now()))

        return answered(incident_id, visit, work)

    def answered(incident_id: str, visit: Visit, work: Callable[[Incident], object]) -> Response:
        """Back to the page, or the page with what was wrong."""
        incident = engine.store.incidents.require(incident_id)
        try:
            work(incident)
        except (PolicyRefusedError, ValidationError) as refusal:
            problem = str(refusal) if isinstance(refusal, PolicyRefusedError) else "bad form"
            values = incident_values(engine, incident, visit, drawn=False) | {"problem": problem}
            return page("incident.html", visit, values, 409)
        return RedirectResponse(f"/console/incidents/{quote(incident_id)}", 303)

    @router.post("/console/incidents/{incident_id}/on-call")
    def on_call(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
        who = meant(request, visit, sent).name

        def work(_incident: Incident) -> object:
            given = {k: v for k, v in sent.items() if k != "csrf"}
            word = OnCallWord.model_validate({**given, "by": who})
            return say(engine.store, engine.policy, incident_id, word, engine.now())

        return answered(incident_id, visit, work)

    @router.post("/console/incidents/{incident_id}/cause")
    def cause(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
        who = meant(request, visit, sent).name

        def work(_incident: Incident) -> object:
            given = {k: v for k, v in sent.items() if k in ("component", "fault_kind", "note")}
            said = CauseStatement.model_validate({**given, "by": who, "close": "close" in sent})
            return confirm(engine.store, engine.policy, incident_id, said, engine.now())

        return answered(incident_id, visit, work)

    return router


def silencing(engine: ServiceEngine, access: Access) -> APIRouter:
    """The form of the page of alerts."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.post("/console/silences")
    def silence(request: Request, visit: Visiting, sent: Sent) -> Response:
        who = meant(request, visit, sent).name
        check_right(engine.policy, who, "silence")
        engine.store.silences.set(_silence(sent, who, engine.now()), engine.now())
        engine.heed()
        return RedirectResponse("/console/alerts", 303)

    return router


def _silence(sent: Mapping[str, str], who: str, now: Timestamp) -> Silence:
    """What a form of the page of alerts asks for; raises 422 for what no form of ours says."""
    hours = {"1": 1.0, "4": 4.0, "24": 24.0}.get(sent.get("hours", ""))
    name, service = sent.get("alertname", "")[:500], sent.get("service", "")[:500]
    if hours is None or not name:
        raise HTTPException(422, "which alert, and for how many hours (1, 4, 24)?")
    matchers = [Matcher(label="alertname", value=name)]
    matchers += [Matcher(label="service", value=service)] if service else []
    return Silence(
        id="",
        matchers=tuple(matchers),
        starts_at=now,
        ends_at=now + hours * 3600,
        created_by=who,
        comment=plain(sent.get("comment", ""), 500) or "silenced from the console",
    )


class PlanDecision(FrozenModel):
    """The form of a page: to which plan, to which content of it, what, and why."""

    plan_id: CleanName
    digest: CleanName
    decision: Literal["approve", "reject"]
    reason: CleanText = ""
