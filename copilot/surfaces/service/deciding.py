"""What people decide on the page of an incident: forms of our own pages, and of no others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from copilot.case.editing import Edit
from copilot.case.merging import MergeWish, SplitWish
from copilot.case.on_call import OnCallWord, first_on_call, say
from copilot.store import ApprovalRequest, PolicyRefusedError, UnknownPlanError
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.console import incident_values
from copilot.surfaces.service.forms import Sent, meant
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.visit import Visit, page, visits
from tools.clusterer import Matcher, Silence
from tools.log_retriever.sanitize import plain
from tools.playbook_executor import ParameterError
from tools.playbook_executor.parameters import read_values
from tools.types import Approval, FrozenModel, Timestamp

VALUE, ALERT = "value.", "alert."
"""How fields are called that hold a value of the plan, and that choose an alert by its key."""


@dataclass(frozen=True, slots=True)
class SentDecision:
    """A form of the page of an incident: who sent it, and what stands in it."""

    engine: ServiceEngine
    shelf: Bookshelf | None
    incident_id: str
    who: str
    fields: Mapping[str, str]

    def asked(self, plan_id: str) -> ApprovalRequest:
        """The request of a plan of this incident; raises `UnknownPlanError`."""
        found = self.engine.store.approvals.get(plan_id)
        if found is None or found.plan.incident_id != self.incident_id:
            raise UnknownPlanError(f"incident {self.incident_id!r} has no plan {plan_id!r}")
        return found


def _decide(form: SentDecision) -> None:
    said = PlanDecision.model_validate(form.fields)
    form.asked(said.plan_id)
    now = form.engine.now()
    form.engine.decide(Approval(**dict(said), approver=form.who, decided_at=now))


def _edit(form: SentDecision) -> None:
    plan = form.asked(form.fields.get("plan_id", "")).plan
    wanted = form.fields.get("playbook_id") or plan.playbook_id
    book = form.shelf.playbooks.get(wanted) if form.shelf else None
    if book is None:
        raise UnknownPlanError(f"playbook {wanted!r} is not in the catalogue")
    given = {k.removeprefix(VALUE): v for k, v in form.fields.items() if k.startswith(VALUE)}
    told = {k: form.fields.get(k, "") for k in ("plan_id", "digest", "playbook_id", "reason")}
    values = read_values(book, given)
    form.engine.edit(Edit.model_validate({**told, "editor": form.who, "parameters": values}))


def _say(form: SentDecision) -> None:
    engine = form.engine
    to = form.fields.get("to") or first_on_call(engine.rota, engine.now())
    word = OnCallWord.model_validate({**form.fields, "by": form.who, "to": to})
    say(engine.store, engine.policy, form.incident_id, word, engine.now())


def _confirm(form: SentDecision) -> None:
    given = {k: form.fields[k] for k in ("component", "fault_kind", "note") if k in form.fields}
    closes = "close" in form.fields
    said = CauseStatement.model_validate({**given, "by": form.who, "close": closes})
    engine = form.engine
    confirm(engine.store, engine.policy, form.incident_id, said, engine.now())


def _merge(form: SentDecision) -> None:
    wish = {"into": form.fields.get("into", ""), "reason": form.fields.get("reason", "")}
    form.engine.merge(MergeWish(incident_id=form.incident_id, by=form.who, **wish))


def _split(form: SentDecision) -> None:
    keys = [name.removeprefix(ALERT) for name in form.fields if name.startswith(ALERT)]
    wish = {"alerts": keys, "reason": form.fields.get("reason", "")}
    told = {"incident_id": form.incident_id, "by": form.who, **wish}
    form.engine.split(SplitWish.model_validate(told))


FORMS: Mapping[str, Callable[[SentDecision], None]] = {
    "decision": _decide,
    "plan": _edit,
    "on-call": _say,
    "cause": _confirm,
    "merge": _merge,
    "split": _split,
}
"""Under which name below the page each form is sent, and what it does."""


def deciding(engine: ServiceEngine, access: Access, shelf: Bookshelf | None = None) -> APIRouter:
    """The forms; outside of the schema, since programs decide by the routes with a token."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    def taken(name: str, work: Callable[[SentDecision], None]) -> None:
        @router.post(f"/console/incidents/{{incident_id}}/{name}", name=name)
        def answered(incident_id: str, request: Request, visit: Visiting, sent: Sent) -> Response:
            """Back to the page, or the page with what was wrong."""
            who = meant(request, visit, sent).name
            incident = engine.store.incidents.require(incident_id)
            fields = {k: v for k, v in sent.items() if k != "csrf"}
            try:
                work(SentDecision(engine, shelf, incident_id, who, fields))
            except (PolicyRefusedError, ParameterError, ValidationError) as refusal:
                problem = "bad form" if isinstance(refusal, ValidationError) else str(refusal)
                values = incident_values(engine, incident, visit, shelf) | {"problem": problem}
                return page("incident.html", visit, values, 409)
            return RedirectResponse(f"/console/incidents/{quote(incident_id)}", 303)

    for name, work in FORMS.items():
        taken(name, work)
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
