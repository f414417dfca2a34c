"""`/` and `/console`: the pages for people. What they show is chosen in `copilot.surfaces.console`.

Nothing of a page is loaded from elsewhere and no script or style stands in it: the policy that is
sent along lets a browser run our own files and nothing that an alert, a log or a model wrote.
"""

import gzip
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Cookie, Header, Path, Query
from starlette.responses import HTMLResponse, Response

from copilot.store import UnknownIncidentError
from copilot.surfaces.console import assets, rendered
from copilot.surfaces.console.pages import (
    PlanCard,
    by_urgency,
    foretold,
    incident_page,
    incident_row,
    quiet_since,
)
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.incident import CLOSED, Incident
from prompts import LANGUAGES, Language

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

SHOWN_OPEN, SHOWN_ENDED, SHOWN_HELD = 100, 10, 20
"""Rows of the first page; the rest is counted and one request away."""

SHOWN_ALERTS = 200
SHOWN_EVENTS = 2000

YEAR_S = 31_536_000

Asked = Annotated[Language | None, Query(alias="lang", description="Kept in a cookie.")]
Kept = Annotated[str, Cookie(alias="lang")]
Accepted = Annotated[str, Header(alias="accept-language")]
Packed = Annotated[str, Header(alias="accept-encoding")]


def console(engine: ServiceEngine) -> APIRouter:
    """The pages; HTML, and so outside of the schema for programs."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def now(
        asked: Asked = None, kept: Kept = "", accepted: Accepted = "", packed: Packed = ""
    ) -> Response:
        language = chosen(asked, kept, accepted)
        return _page("now", language, asked, packed, _now(engine, language))

    @router.get("/console/incidents/{incident_id}")
    def one(
        incident_id: Annotated[str, Path(max_length=200)],
        asked: Asked = None,
        kept: Kept = "",
        accepted: Accepted = "",
        packed: Packed = "",
    ) -> Response:
        language = chosen(asked, kept, accepted)
        try:
            incident = engine.store.incidents.require(incident_id)
        except UnknownIncidentError:
            return _page("missing", language, asked, packed, {"wanted": incident_id}, 404)
        return _page("incident", language, asked, packed, _one(engine, incident, language))

    @router.get("/console/static/{name}")
    def static(name: str, packed: Packed = "", v: str = "") -> Response:
        asset = assets().get(name)
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        kept_for = f"public, max-age={YEAR_S}, immutable" if v == asset.version else "no-cache"
        headers = {"cache-control": kept_for, "x-content-type-options": "nosniff"}
        return _sent(asset.content, asset.media_type, packed, 200, headers)

    return router


def _now(engine: ServiceEngine, language: Language) -> dict[str, object]:
    store = engine.store
    count = store.incidents.count()
    active = store.incidents.active(SHOWN_OPEN)
    ended = store.incidents.ended(SHOWN_ENDED)
    fires = by_urgency([one for one in active if not foretold(one)])
    return {
        "now": engine.now(),
        "seq": store.journal.last(),
        "open": [incident_row(one, language) for one in fires],
        "foretold": [incident_row(one, language) for one in active if foretold(one)],
        "hidden": sum(n for status, n in count.items() if status not in CLOSED) - len(active),
        "ended": [incident_row(one, language) for one in ended],
        "held": store.alerts.decisions(None, SHOWN_HELD, newest_first=True),
        "quiet_since": None if fires else quiet_since(ended),
    }


def _one(engine: ServiceEngine, incident: Incident, language: Language) -> dict[str, object]:
    store = engine.store
    seq = store.journal.last()
    request = store.approvals.get(incident.plan.id) if incident.plan else None
    card = PlanCard(request, engine.terms(request.plan)) if request else None
    events = store.journal.events(incident.id, limit=SHOWN_EVENTS)
    alerts = store.alerts.decisions(incident.id, SHOWN_ALERTS)
    page = incident_page(incident, events, card, alerts, language)
    return {"now": engine.now(), "seq": seq, "page": page}


def chosen(asked: Language | None, kept: str, accepted: str) -> Language:
    """The language asked for, else the one kept, else the first the browser accepts that we have.

    >>> chosen(None, "", "fr;q=0.9, zh-CN, en;q=0.5"), chosen("en", "zh", "zh")
    ('zh', 'en')
    """
    if asked is not None:
        return asked
    for language in LANGUAGES:
        if kept == language:
            return language
    wanted = sorted(map(_weighed, accepted[:500].split(",")), key=lambda one: -one[1])
    for name, _ in wanted:
        for language in LANGUAGES:
            if name.partition("-")[0] == language:
                return language
    return LANGUAGES[0]


def _weighed(part: str) -> tuple[str, float]:
    name, _, weight = part.strip().lower().partition(";q=")
    try:
        return name, float(weight or 1)
    except ValueError:
        return name, 0.0


def _page(
    name: str,
    language: Language,
    asked: Language | None,
    packed: str,
    values: Mapping[str, object],
    status: int = 200,
) -> Response:
    text = rendered(name, language, **values)
    answer = _sent(text.encode(), HTMLResponse.media_type, packed, status, _HEADERS)
    if asked is not None:
        answer.set_cookie("lang", asked, max_age=YEAR_S, samesite="strict", httponly=True)
    return answer


def _sent(
    content: bytes, media_type: str | None, packed: str, status: int, headers: dict[str, str]
) -> Response:
    """Packed where the browser says that it unpacks."""
    if "gzip" in packed and len(content) > 1024:
        content = gzip.compress(content, compresslevel=5)
        headers = {**headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, status, headers, media_type)
