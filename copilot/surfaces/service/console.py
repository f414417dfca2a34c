"""`/` and `/console`: the pages for people. What they show is chosen in `copilot.surfaces.console`.

Nothing of a page is loaded from elsewhere and no script or style stands in it: the policy that is
sent along lets a browser run our own files and nothing that an alert, a log or a model wrote.
"""

import re
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Path, Query
from markupsafe import Markup
from starlette.responses import Response

from copilot.case.confirming import components_of
from copilot.case.on_call import schedules_now
from copilot.sources.deployment import MetricSnapshot
from copilot.store import UnknownIncidentError
from copilot.surfaces.chat import ChatService
from copilot.surfaces.console import assets, rendered
from copilot.surfaces.console.card import Bookshelf
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
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.chat import asked_values
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.shared_look import SharedLooks, TooManyLooksError
from copilot.surfaces.service.visit import HEADERS, YEAR_S, Visit, page, sent, visits
from copilot.types.checks import CheckReport
from copilot.types.incident import CLOSED, Incident
from prompts import LANGUAGES, Language
from tools.types import FaultKind, Timestamp, Window

PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A picture's own style; it runs nothing and loads nothing."""

BOARD_S = 1.0
"""How old the first page may be where the journal tells nothing new: held alerts, ages."""

SHOWN_OPEN, SHOWN_ENDED, SHOWN_HELD = 100, 10, 20
"""Rows of the first page; the rest is counted and one request away."""

LOOKED_AT, SHOWN_ROWS = 2000, 200
"""Rows of the journal that one page looks through, and shows; the next page goes on."""

SHOWN_ALERTS = 200
SHOWN_EVENTS = 2000

Measuring = Callable[[Incident, Window, Timestamp], MetricSnapshot]
"""The metrics of an incident in a window, and how they were before a moment."""


class ChartDesk:
    """Draws an incident's series, which many viewers share."""

    def __init__(self, measure: Measuring) -> None:
        self._measure = measure
        self._looks: SharedLooks[MetricSnapshot] = SharedLooks()

    def of(self, engine: ServiceEngine, incident_id: str, language: Language) -> Chart | None:
        """As `drawn`, of the incident as it stands."""
        incident = engine.store.incidents.require(incident_id)
        alerts = engine.store.alerts.decisions(incident_id, SHOWN_ALERTS)
        told = incident_page(incident, (), None, alerts, language)
        return self.drawn(incident, told, engine.now())

    def drawn(self, incident: Incident, page: IncidentPage, now: Timestamp) -> Chart | None:
        """The chart; None where nothing that decides is a series, or no onset is known.

        Raises `TooManyLooksError`.
        """
        onset, names = incident.clocks.onset, deciding_series(incident, page)
        if onset is None or not names:
            return None
        window = drawn_window(incident, onset, now)
        look = partial(self._measure, incident, window, window.start)
        told = self._looks.take(incident.id, look)
        held = {one.name: one for one in told.series}
        shown = [held[name].between(window) for name in names if name in held]
        marks = time_marks(incident, page, onset)
        return chart(shown, told.baseline, window, onset, marks) if shown else None


class NowBoard:
    """What stands on the first page, set once for all who look within a second: hundreds of live
    pages ask for it when something happens.
    """

    def __init__(self, engine: ServiceEngine) -> None:
        self._engine = engine
        self._kept: dict[Language, tuple[float, object, dict[str, object]]] = {}
        self._locks = {one: threading.Lock() for one in LANGUAGES}

    def values(self, language: Language) -> Mapping[str, object]:
        """The page's values; nothing that the journal tells is older than the asking."""
        store = self._engine.store
        seen = store.journal.last(), store.incidents.count()
        with self._locks[language]:
            made_at, known, values = self._kept.get(language, (0.0, None, {}))
            now = self._engine.now()
            if not values or known != seen or not 0 <= now - made_at < BOARD_S:
                found = _now(self._engine, language)
                values = {
                    **{name: found[name] for name in ("now", "seq", "open")},
                    "content": Markup(rendered("board.html", language, **found)),
                }
                self._kept[language] = now, seen, values
            return values


def console(
    engine: ServiceEngine,
    access: Access | None = None,
    measure: Measuring | None = None,
    desk: ChatService | None = None,
    shelf: Bookshelf | None = None,
) -> APIRouter:
    """The pages; HTML, and so outside of the schema for programs."""
    router = APIRouter(include_in_schema=False)

    Visiting = Annotated[Visit, Depends(visits(access))]

    board = NowBoard(engine)

    @router.get("/")
    def now(visit: Visiting) -> Response:
        return page("now.html", visit, board.values(visit.language))

    @router.get("/console/incidents/{incident_id}")
    def one(incident_id: Annotated[str, Path(max_length=200)], visit: Visiting) -> Response:
        try:
            incident = engine.store.incidents.require(incident_id)
        except UnknownIncidentError:
            return page("missing.html", visit, {"wanted": incident_id}, 404)
        values = incident_values(engine, incident, visit, shelf, drawn=measure is not None)
        if desk is not None:
            values["ask"] = asked_values(engine, desk, visit, "", incident_id)
        return page("incident.html", visit, values)

    charts = ChartDesk(measure) if measure is not None else None

    @router.get("/console/incidents/{incident_id}/series.svg")
    def series(incident_id: str, visit: Visiting) -> Response:
        try:
            picture = charts.of(engine, incident_id, visit.language) if charts else None
        except TooManyLooksError:
            return _busy()
        if picture is None:
            return Response("nothing to draw", 404, media_type="text/plain")
        text = rendered("chart.svg", visit.language, chart=picture)
        headers = {**HEADERS, "content-security-policy": PICTURE_POLICY}
        return sent(text.encode(), "image/svg+xml", visit, 200, headers)

    @router.get("/console/static/{name}")
    def static(name: str, visit: Visiting, v: str = "") -> Response:
        asset = assets().get(name)
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        kept_for = f"public, max-age={YEAR_S}, immutable" if v == asset.version else "no-cache"
        headers = {"cache-control": kept_for, "x-content-type-options": "nosniff"}
        return sent(asset.content, asset.media_type, visit, 200, headers)

    return router


def _busy() -> Response:
    said = "others wait for the same sources already; try again"
    return Response(said, 503, {"retry-after": "5"}, media_type="text/plain")


def listings(
    engine: ServiceEngine,
    access: Access | None = None,
    examine: Callable[[], CheckReport] | None = None,
    report: FilePath | None = None,
) -> APIRouter:
    """What is in the journal, what is held, how the service is, and how well it does."""
    router = APIRouter(include_in_schema=False)
    looks: SharedLooks[CheckReport] = SharedLooks()
    Visiting = Annotated[Visit, Depends(visits(access))]

    @router.get("/console/journal")
    def journal(
        visit: Visiting,
        incident: Annotated[str, Query(max_length=200)] = "",
        kind: Annotated[str, Query(max_length=80)] = "",
        before: Annotated[int, Query(ge=0, le=2**62)] = 0,
    ) -> Response:
        store = engine.store
        until = before or store.journal.last() + 1
        rows = store.journal.events(incident or None, max(0, until - 1 - LOOKED_AT), LOOKED_AT)
        shown = [one for one in rows if one.seq < until and kind in ("", one.kind)]
        values = {
            "rows": shown[::-1][:SHOWN_ROWS],
            "incident": incident,
            "kind": kind,
            "older": max(1, until - LOOKED_AT) if until > LOOKED_AT else 0,
        }
        return page("journal.html", visit, values)

    @router.get("/console/alerts")
    def held(visit: Visiting) -> Response:
        rows = engine.store.alerts.decisions(None, SHOWN_ROWS, newest_first=True)
        name = visit.session.name if visit.session else ""
        values = {
            "rows": rows,
            "names": sorted({one.alert.name for one in rows}),
            "may_silence": bool(name) and engine.policy.may_reject(name),
        }
        return page("alerts.html", visit, values)

    @router.get("/console/health")
    def health(visit: Visiting) -> Response:
        try:
            checks = looks.take("health", examine) if examine else None
        except TooManyLooksError:
            return _busy()
        return page("health.html", visit, {"report": checks})

    @router.get("/console/evals")
    def evals(visit: Visiting) -> Response:
        found = report.stat() if report is not None and report.is_file() else None
        told = {"path": str(report or ""), "written": found.st_mtime if found else None}
        return page("evals.html", visit, told)

    @router.get("/console/evals/report")
    def evals_report(visit: Visiting) -> Response:
        if report is None or not report.is_file():
            return page(
                "missing.html", visit, {"wanted": str(report or ""), "said": "no such"}, 404
            )
        content = report.read_bytes()
        headers = {**HEADERS, "content-security-policy": report_policy(content)}
        return sent(content, "text/html; charset=utf-8", visit, 200, headers)

    return router


def report_policy(content: bytes) -> str:
    """What the report may do: run the scripts that stand in it, with no session and no network."""
    hashed = (b64encode(sha256(one).digest()).decode() for one in _SCRIPTS.findall(content))
    scripts = " ".join(f"'sha256-{one}'" for one in hashed) or "'none'"
    inner = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"
    return f"sandbox allow-scripts; {inner}; script-src {scripts}; frame-ancestors 'none'"


_SCRIPTS = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


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
        "on_call": schedules_now(engine.rota, engine.now()),
        "quiet_since": None if fires else quiet_since(ended),
    }


def incident_values(
    engine: ServiceEngine,
    incident: Incident,
    visit: Visit,
    shelf: Bookshelf | None = None,
    *,
    drawn: bool = False,
) -> dict[str, object]:
    """What the page of an incident is filled with, for who looks at it."""
    store = engine.store
    seq = store.journal.last()
    request = store.approvals.get(incident.plan.id) if incident.plan else None
    book = shelf.playbooks.get(request.plan.playbook_id) if request and shelf else None
    card = PlanCard(request, engine.terms(request.plan), book) if request else None
    events = store.journal.events(incident.id, limit=SHOWN_EVENTS)
    alerts = store.alerts.decisions(incident.id, SHOWN_ALERTS)
    told = incident_page(incident, events, card, alerts, visit.language)
    name = visit.session.name if visit.session else ""
    return {
        "now": engine.now(),
        "seq": seq,
        "page": told,
        "drawn": drawn and bool(deciding_series(incident, told)),
        "problem": "",
        "on_call": schedules_now(engine.rota, engine.now()),
        "ask": None,
        "others": [
            (one.id, one.title)
            for one in store.incidents.active(SHOWN_OPEN)
            if one.id != incident.id and one.origin == incident.origin
        ]
        if name
        else [],
        "components": components_of(incident),
        "fault_kinds": get_args(FaultKind),
        "may_approve": bool(name) and engine.policy.may_approve(name, incident.plan),
        "may_reject": bool(name) and engine.policy.may_reject(name),
    }
