"""Pages of what is known before an incident: documents, drafts of postmortems, playbooks."""

from collections.abc import Mapping, Sequence
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from copilot.case.answers import check_right
from copilot.case.postmortem import NotClosedError, accept, document_id, draft
from copilot.knowledge import LibraryError
from copilot.store import PolicyRefusedError, UnknownIncidentError
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.forms import Sent, meant
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.visit import Visit, page, visits
from copilot.types.incident import CLOSED, Incident
from knowledge_base import Document, DocumentError, Kind
from knowledge_base.documents import MAX_CHARS
from tools.playbook_executor.weighing import Posterior
from tools.types import FaultKind, PlaybookOutcome

HITS = 10
"""Documents that a search shows; what comes later answers something else."""

MOST_DRAFTS, RECALLED_IN, MOST_EVENTS = 20, 100, 10_000
"""Ended incidents that are offered for review, incidents that are looked through for those that
recalled a document, and rows of the journal that a draft is written from."""

NEWEST = 20
"""Runs of a playbook that its page lists."""

Id = Annotated[str, Path(max_length=200)]


def knowledge(engine: ServiceEngine, shelf: Bookshelf, access: Access | None = None) -> APIRouter:
    """Search and read; HTML, and so outside of the schema for programs."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    def listed(
        visit: Visit, searched: str = "", text: str = "", refusal: str = "", status: int = 200
    ) -> Response:
        known = shelf.memory.knowledge()
        hits = known.search(searched, HITS) if searched else ()
        own, problem = _own(shelf)
        values = {
            "q": searched,
            "hits": hits,
            "matched": {one.document.id: _matched(one.reason) for one in hits},
            "own": own,
            "problem": refusal or problem,
            "text": text,
            "body": text.partition("\n---\n")[2][:MAX_CHARS],
            "may_add": visit.session is not None and engine.policy.may_reject(visit.session.name),
            "drafts": () if searched else _drafts(engine, own),
            "shelves": [
                (kind, listed)
                for kind in get_args(Kind)
                if (listed := [one for one in known.documents if one.kind == kind])
            ],
        }
        return page("knowledge.html", visit, values, status)

    @router.get("/console/knowledge")
    def listing(visit: Visiting, q: Annotated[str, Query(max_length=500)] = "") -> Response:
        return listed(visit, q.strip())

    @router.post("/console/knowledge")
    def add(request: Request, visit: Visiting, sent: Sent) -> Response:
        who = meant(request, visit, sent).name
        text = sent.get("text", "").replace("\r\n", "\n")
        if sent.get("step") == "preview":
            return listed(visit, text=text)
        try:
            check_right(engine.policy, who, "add a document")
            taken = shelf.library.take(engine.store.redactor.text(text), "the document")
        except (DocumentError, LibraryError, PolicyRefusedError) as refusal:
            return listed(visit, text=text, refusal=str(refusal), status=409)
        detail = {"reason": f"{taken.kind} {taken.id} added to the knowledge base"}
        engine.store.journal.append("", "documented", who, {**detail}, engine.now())
        return RedirectResponse(f"/console/knowledge/{taken.id}", 303)

    @router.get("/console/knowledge/{document_id}")
    def read(document_id: Id, visit: Visiting) -> Response:
        documents = {one.id: one for one in shelf.memory.knowledge().documents}
        found = documents.get(document_id)
        if found is None:
            return page("missing.html", visit, {"wanted": document_id, "said": "no such"}, 404)
        url = found.origin.url if found.origin else ""
        values = {
            "one": found,
            "own": found.id in _own(shelf)[0],
            "incident": url.removeprefix("incident:") if url.startswith("incident:") else "",
            "recalled": [
                one
                for one in engine.store.incidents.list(limit=RECALLED_IN)
                if any(item.document == found.id for item in one.recalled)
            ],
        }
        return page("document.html", visit, values)

    return router


def reviewing(engine: ServiceEngine, shelf: Bookshelf, access: Access | None = None) -> APIRouter:
    """Drafts of postmortems: read, edited and accepted."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    def reviewed(
        incident: Incident, visit: Visit, text: str, problem: str = "", status: int = 200
    ) -> Response:
        name = visit.session.name if visit.session else ""
        values = {
            "one": incident,
            "text": text,
            # What is longer is refused, and would be long in setting.
            "body": (text.partition("\n---\n")[2] or text)[:MAX_CHARS],
            "problem": problem,
            "accepted": document_id(incident) if document_id(incident) in _own(shelf)[0] else "",
            "may_accept": bool(name) and engine.policy.may_reject(name),
        }
        return page("draft.html", visit, values, status)

    @router.get("/console/drafts/{incident_id}")
    def review(incident_id: Id, visit: Visiting) -> Response:
        try:
            incident = engine.store.incidents.require(incident_id)
            events = engine.store.journal.events(incident_id, limit=MOST_EVENTS)
            written = draft(incident, events, visit.language)
        except (UnknownIncidentError, NotClosedError):
            return page("missing.html", visit, {"wanted": incident_id, "said": "no draft"}, 404)
        return reviewed(incident, visit, _kept(shelf, incident) or written)

    if access is None:
        return router

    @router.post("/console/drafts/{incident_id}")
    def take(incident_id: Id, request: Request, visit: Visiting, sent: Sent) -> Response:
        who = meant(request, visit, sent).name
        incident = engine.store.incidents.require(incident_id)
        if incident.status not in CLOSED:
            raise NotClosedError(incident)
        text = sent.get("text", "").replace("\r\n", "\n")
        if sent.get("step") == "preview":
            return reviewed(incident, visit, text)
        try:
            check_right(engine.policy, who, "accept a postmortem")
            taken = accept(engine.store, shelf.library, incident, text, who, engine.now())
        except (DocumentError, LibraryError, PolicyRefusedError) as refusal:
            return reviewed(incident, visit, text, str(refusal), 409)
        return RedirectResponse(f"/console/knowledge/{taken.id}", 303)

    return router


def _matched(reason: str) -> str:
    """The words that both have, out of a hit's reason; empty where it gives another one."""
    return reason.removeprefix("matched on ") if reason.startswith("matched on ") else ""


def _own(shelf: Bookshelf) -> tuple[frozenset[str], str]:
    """Ids of documents that were added here, and what is wrong where one cannot be read."""
    try:
        return frozenset(one.id for one in shelf.library.own()), ""
    except DocumentError as error:
        return frozenset(), str(error)


def _drafts(engine: ServiceEngine, own: frozenset[str]) -> Sequence[Incident]:
    """Incidents that ended and whose postmortem nobody has accepted, newest first."""
    ended = engine.store.incidents.ended(MOST_DRAFTS)
    return [one for one in ended if document_id(one) not in own]


def _kept(shelf: Bookshelf, incident: Incident) -> str | None:
    try:
        return shelf.library.text(document_id(incident))
    except DocumentError:
        return None


def playbooks(engine: ServiceEngine, shelf: Bookshelf, access: Access | None = None) -> APIRouter:
    """The catalogue by kind of fault, and the card of each with how it ended before."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.get("/console/playbooks")
    def catalogue(visit: Visiting) -> Response:
        past = _past(engine.store.outcomes.all())
        values = {
            "count": len(shelf.playbooks),
            "kinds": [
                (kind, rows)
                for kind in get_args(FaultKind)
                if (rows := shelf.cards_for(kind, engine.policy, visit.language))
            ],
            "past": past,
        }
        return page("playbooks.html", visit, values)

    @router.get("/console/playbooks/{playbook_id}")
    def card(playbook_id: Id, visit: Visiting) -> Response:
        found = shelf.card(playbook_id, engine.policy, visit.language)
        if found is None:
            return page("missing.html", visit, {"wanted": playbook_id, "said": "no such"}, 404)
        outcomes = [one for one in engine.store.outcomes.all() if one.playbook_id == playbook_id]
        values = {
            "card": found,
            "past": [(kind, past) for (_, kind), past in _past(outcomes).items()],
            "newest": outcomes[::-1][:NEWEST],
            "documents": _naming(shelf, playbook_id),
        }
        return page("playbook.html", visit, values)

    return router


def _past(outcomes: Sequence[PlaybookOutcome]) -> Mapping[tuple[str, FaultKind], Posterior]:
    """How often each playbook recovered each kind of fault: what the arm `ml` decides by, with
    components of every kind together.
    """
    ends: dict[tuple[str, FaultKind], list[bool]] = {}
    for one in outcomes:
        ends.setdefault((one.playbook_id, one.fault_kind), []).append(one.recovered)
    return {key: Posterior(sum(found), len(found) - sum(found), "") for key, found in ends.items()}


def _naming(shelf: Bookshelf, playbook_id: str) -> Sequence[Document]:
    known = shelf.memory.knowledge().documents
    return [one for one in known if playbook_id in one.playbooks]
