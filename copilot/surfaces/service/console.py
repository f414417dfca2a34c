"""`/` and `/console`: the pages for people. What they show is chosen in `copilot.surfaces.console`.

Nothing of a page is loaded from elsewhere and no script or style stands in it: the policy that is
sent along lets a browser run our own files and nothing that an alert, a log or a model wrote.
"""

import gzip
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.sources.deployment import MetricSnapshot
from copilot.store import PolicyRefusedError, UnknownIncidentError, UnknownPlanError
from copilot.surfaces.console import assets, rendered
from copilot.surfaces.console.chart import Chart, chart
from copilot.surfaces.console.pages import (
    IncidentPage,
    PlanCard,
    by_urgency,
    deciding_series,
    drawn_window,
    foretold,
    incident_page,
    incident_row,
    quiet_since,
    time_marks,
)
from copilot.surfaces.service.access import COOKIE, AdminAccess, Session, TooManyTriesError
from copilot.surfaces.service.body import body
from copilot.surfaces.service.gate import SIGN_IN
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.incident import CLOSED, Incident
from prompts import LANGUAGES, Language
from tools.log_retriever.sanitize import plain
from tools.types import Approval, FrozenModel, Timestamp, Window

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A picture's own style; it runs nothing and loads nothing."""

KEPT_S = 15.0
"""Seconds for which measured series are drawn again before the source is asked anew."""

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
LONGEST_NAME = 80

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""

_BY_LINK = {"reason": "by the admin link"}


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for a page and how it is to be sent; without a session it can be read."""

    language: Language
    asked: Language | None
    packed: bool
    secure: bool
    origin: str
    session: Session | None
    csrf: str
    cookie: str | None


Measuring = Callable[[Incident, Window, Timestamp], MetricSnapshot]
"""The metrics of an incident in a window, and how they were before a moment."""


class ChartDesk:
    """Draws an incident's series, for many viewers no more often than every `KEPT_S`."""

    def __init__(self, measure: Measuring) -> None:
        self._measure = measure
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, MetricSnapshot]] = {}

    def drawn(self, incident: Incident, page: IncidentPage, now: Timestamp) -> Chart | None:
        """The chart; None where nothing that decides is a series, or no onset is known."""
        onset, names = incident.clocks.onset, deciding_series(incident, page)
        if onset is None or not names:
            return None
        window = drawn_window(incident, onset, now)
        told = self._asked(incident, window)
        held = {one.name: one for one in told.series}
        shown = [held[name].between(window) for name in names if name in held]
        marks = time_marks(incident, page, onset)
        return chart(shown, told.baseline, window, onset, marks) if shown else None

    def _asked(self, incident: Incident, window: Window) -> MetricSnapshot:
        with self._lock:
            at, told = self._told.get(incident.id, (0.0, None))
            if told is None or time.monotonic() - at > KEPT_S:
                told = self._measure(incident, window, window.start)
                self._told = {
                    **dict([*self._told.items()][-7:]),
                    incident.id: (time.monotonic(), told),
                }
            return told


def console(
    engine: ServiceEngine, access: AdminAccess | None = None, measure: Measuring | None = None
) -> APIRouter:
    """The pages; HTML, and so outside of the schema for programs. Without `access` nobody signs in
    and nothing is decided here."""
    router = APIRouter(include_in_schema=False)

    def visiting(
        request: Request,
        asked: Annotated[Language | None, Query(alias="lang")] = None,
    ) -> Visit:
        session = access.session(request.cookies.get(COOKIE, "")) if access else None
        accepted = request.headers.get("accept-language", "")
        return Visit(
            language=chosen(asked, request.cookies.get("lang", ""), accepted),
            asked=asked,
            packed="gzip" in request.headers.get("accept-encoding", ""),
            secure=request.url.scheme == "https",
            origin=f"{request.url.scheme}://{request.headers.get('host', '')}",
            session=session,
            csrf=access.csrf(session) if access and session else "",
            cookie=access.renewed(session) if access and session else None,
        )

    Visiting = Annotated[Visit, Depends(visiting)]

    @router.get("/")
    def now(visit: Visiting) -> Response:
        return _page("now.html", visit, _now(engine, visit.language))

    @router.get("/console/incidents/{incident_id}")
    def one(incident_id: Annotated[str, Path(max_length=200)], visit: Visiting) -> Response:
        try:
            incident = engine.store.incidents.require(incident_id)
        except UnknownIncidentError:
            return _page("missing.html", visit, {"wanted": incident_id}, 404)
        return _page(
            "incident.html", visit, _one(engine, incident, visit, drawn=measure is not None)
        )

    charts = ChartDesk(measure) if measure is not None else None

    @router.get("/console/incidents/{incident_id}/series.svg")
    def series(incident_id: str, visit: Visiting) -> Response:
        incident = engine.store.incidents.require(incident_id)
        page = incident_page(
            incident,
            (),
            None,
            engine.store.alerts.decisions(incident_id, SHOWN_ALERTS),
            visit.language,
        )
        picture = charts.drawn(incident, page, engine.now()) if charts else None
        if picture is None:
            return Response("nothing to draw", 404, media_type="text/plain")
        text = rendered("chart.svg", visit.language, chart=picture)
        headers = {**_HEADERS, "content-security-policy": PICTURE_POLICY}
        return _sent(text.encode(), "image/svg+xml", visit, 200, headers)

    @router.get("/console/static/{name}")
    def static(name: str, visit: Visiting, v: str = "") -> Response:
        asset = assets().get(name)
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        kept_for = f"public, max-age={YEAR_S}, immutable" if v == asset.version else "no-cache"
        headers = {"cache-control": kept_for, "x-content-type-options": "nosniff"}
        return _sent(asset.content, asset.media_type, visit, 200, headers)

    if access is not None:
        _deciding(router, engine, access, visiting)
    return router


def _deciding(
    router: APIRouter,
    engine: ServiceEngine,
    access: AdminAccess,
    visiting: Callable[..., Visit],
) -> None:
    """Signing in and out, and answering a plan: forms of our own pages, and of no others."""
    Visiting = Annotated[Visit, Depends(visiting)]
    Sent = Annotated[dict[str, str], Depends(_form)]

    @router.get(SIGN_IN)
    def door(visit: Visiting, token: str = "") -> Response:
        return _page("sign_in.html", visit, {"token": token[:200], "problem": ""})

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
            return _page("sign_in.html", visit, values, status)
        engine.store.journal.append(EVERYWHERE, "signed_in", name, _BY_LINK, engine.now())
        answer = RedirectResponse("/", 303)
        _keep(answer, visit, cookie)
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
            values = _one(engine, incident, visit, drawn=False) | {"problem": problem}
            return _page("incident.html", visit, values, 409)
        return RedirectResponse(f"/console/incidents/{quote(incident_id)}", 303)


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


def _meant(request: Request, visit: Visit, sent: Mapping[str, str]) -> Session:
    """Who sent the form, and meant to; raises 403 with what to do."""
    _same_origin(request, visit)
    if visit.session is None:
        raise HTTPException(403, "you are not signed in: open the admin link, then try again")
    if not hmac.compare_digest(sent.get("csrf", "").encode(), visit.csrf.encode()):
        raise HTTPException(403, "the form is of another session: open the page again")
    return visit.session


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


def _one(
    engine: ServiceEngine, incident: Incident, visit: Visit, *, drawn: bool
) -> dict[str, object]:
    store = engine.store
    seq = store.journal.last()
    request = store.approvals.get(incident.plan.id) if incident.plan else None
    card = PlanCard(request, engine.terms(request.plan)) if request else None
    events = store.journal.events(incident.id, limit=SHOWN_EVENTS)
    alerts = store.alerts.decisions(incident.id, SHOWN_ALERTS)
    page = incident_page(incident, events, card, alerts, visit.language)
    name = visit.session.name if visit.session else ""
    return {
        "now": engine.now(),
        "seq": seq,
        "page": page,
        "drawn": drawn and bool(deciding_series(incident, page)),
        "problem": "",
        "may_approve": bool(name) and engine.policy.may_approve(name),
        "may_reject": bool(name) and engine.policy.may_reject(name),
    }


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


def _page(name: str, visit: Visit, values: Mapping[str, object], status: int = 200) -> Response:
    text = rendered(name, visit.language, visit=visit, **values)
    answer = _sent(text.encode(), HTMLResponse.media_type, visit, status, _HEADERS)
    if visit.asked is not None:
        answer.set_cookie("lang", visit.asked, max_age=YEAR_S, samesite="strict", httponly=True)
    if visit.cookie is not None:
        _keep(answer, visit, visit.cookie)
    return answer


def _keep(answer: Response, visit: Visit, cookie: str) -> None:
    """Of no other site's requests, of no script, and gone with the browser."""
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=visit.secure)


def _sent(
    content: bytes, media_type: str | None, visit: Visit, status: int, headers: dict[str, str]
) -> Response:
    """Packed where the browser says that it unpacks."""
    if visit.packed and len(content) > 1024:
        content = gzip.compress(content, compresslevel=5)
        headers = {**headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, status, headers, media_type)
