"""Signing in and out, and answering a plan: forms of our own pages, and of no others."""

import hmac
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.store import PolicyRefusedError, UnknownPlanError
from copilot.surfaces.service.access import COOKIE, AdminAccess, SignedSession, TooManyTriesError
from copilot.surfaces.service.body import body
from copilot.surfaces.service.console import incident_values
from copilot.surfaces.service.gate import SIGN_IN
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.visit import Visit, keep_session, page, visits
from tools.log_retriever.sanitize import plain
from tools.types import Approval, FrozenModel

LONGEST_NAME = 80

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""

_BY_LINK = {"reason": "by the admin link"}


def deciding(engine: ServiceEngine, access: AdminAccess) -> APIRouter:
    """The forms; outside of the schema, since programs decide by the routes with a token."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]
    Sent = Annotated[dict[str, str], Depends(_form)]

    @router.get(SIGN_IN)
    def door(visit: Visiting, token: str = "") -> Response:
        return page("sign_in.html", visit, {"token": token[:200], "problem": ""})

    @router.post(SIGN_IN)
    def sign_in(request: Request, visit: Visiting, sent: Sent) -> Response:
        _same_origin(request, visit)
        name = plain(sent.get("name", ""), LONGEST_NAME)
        problem, status = "", 403
        try:
            cookie = access.sign_in(name, sent.get("token", "")) if name else None
            problem = "" if cookie else "wrong token" if name else "name missing"
        except TooManyTriesError:
            cookie, problem, status = None, "too many tries", 429
        if cookie is None:
            if problem == "wrong token":
                engine.store.journal.append(EVERYWHERE, "refused", name, _BY_LINK, engine.now())
            values = {"token": "", "problem": problem}
            return page("sign_in.html", visit, values, status)
        engine.store.journal.append(EVERYWHERE, "signed_in", name, _BY_LINK, engine.now())
        answer = RedirectResponse("/", 303)
        keep_session(answer, visit, cookie)
        return answer

    @router.post("/console/sign-out")
    def sign_out(request: Request, visit: Visiting, sent: Sent) -> Response:
        session = _meant(request, visit, sent)
        engine.store.journal.append(EVERYWHERE, "signed_out", session.name, _BY_LINK, engine.now())
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.post("/console/incidents/{incident_id}/decision")
    def decide(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
        session = _meant(request, visit, sent)
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


def _form(content: Annotated[bytes, Depends(body)]) -> dict[str, str]:
    """The fields of a form, each once; empty where it is none."""
    try:
        read = parse_qs(content.decode(), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in read.items()}


def _same_origin(request: Request, visit: Visit) -> None:
    """Raise unless a page of ours sent the form, as far as the browser tells."""
    origin = request.headers.get("origin", visit.origin)
    site = request.headers.get("sec-fetch-site", "same-origin")
    if origin != visit.origin or site not in ("same-origin", "none"):
        raise HTTPException(403, "this form was sent from another page")


def _meant(request: Request, visit: Visit, sent: Mapping[str, str]) -> SignedSession:
    """Who sent the form, and meant to; raises 403 with what to do."""
    _same_origin(request, visit)
    if visit.session is None:
        raise HTTPException(403, "you are not signed in: open the admin link, then try again")
    if not hmac.compare_digest(sent.get("csrf", "").encode(), visit.csrf.encode()):
        raise HTTPException(403, "the form is of another session: open the page again")
    return visit.session
