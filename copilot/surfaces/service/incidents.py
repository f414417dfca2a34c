"""Incidents for people and programs to read."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from starlette.responses import Response

from copilot.case.postmortem import draft
from copilot.store import Store
from copilot.surfaces.service import views
from copilot.types.incident import IncidentStatus

_SHOWN_ALERTS = 200

Limit = Annotated[int, Query(ge=1, le=100_000)]

_LINES = TypeAdapter(tuple[views.IncidentLine, ...])
_ALERTS = TypeAdapter(tuple[views.AlertView, ...])


def incidents(store: Store) -> APIRouter:
    """The list, one of them, and the alerts with what was decided on each."""
    router = APIRouter(tags=["incidents"])

    @router.get("/incidents", summary="Incidents, newest first")
    def newest(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str | None, Query(description="Id of the last one seen.")] = None,
        status: IncidentStatus | None = None,
    ) -> Response:
        page = store.incidents.list(limit=limit, before=before, status=status)
        return _json(_LINES.dump_json(tuple(map(views.line, page))))

    @router.get("/incidents/{incident_id}", summary="One incident")
    def one(incident_id: str, lang: views.Language = "en") -> Response:
        incident = store.incidents.require(incident_id)
        alerts = store.alerts.decisions(incident_id, limit=_SHOWN_ALERTS)
        request = store.approvals.get(incident.plan.id) if incident.plan else None
        return _json(views.whole(incident, alerts, request, lang).model_dump_json().encode())

    @router.get("/incidents/{incident_id}/alerts", summary="Its alerts, suppressed ones too")
    def alerts_of(incident_id: str, limit: Limit = 1000) -> Response:
        store.incidents.require(incident_id)
        decided = store.alerts.decisions(incident_id, limit=limit)
        return _json(_ALERTS.dump_json(tuple(map(views.alert, decided))))

    @router.get("/incidents/{incident_id}/postmortem", summary="Draft of a closed one, Markdown")
    def postmortem(incident_id: str, lang: views.Language = "en") -> Response:
        incident = store.incidents.require(incident_id)
        events = store.journal.events(incident_id, limit=10_000)
        return Response(draft(incident, events, lang), media_type="text/markdown; charset=utf-8")

    @router.get("/alerts", summary="Alerts that belong to no incident, each with the reason")
    def unrelated(limit: Limit = 1000) -> Response:
        decided = store.alerts.decisions(None, limit=limit)
        return _json(_ALERTS.dump_json(tuple(map(views.alert, decided))))

    return router


def _json(document: bytes) -> Response:
    # Serialized by pydantic, which writes NaN as null; the standard library would raise.
    return Response(document, media_type="application/json")
