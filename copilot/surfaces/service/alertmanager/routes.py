"""The routes of Alertmanager's API, version 2, and of its probes."""

from typing import Annotated

import yaml
from fastapi import APIRouter, Depends, Query, Request
from pydantic import JsonValue
from starlette.responses import JSONResponse, PlainTextResponse, Response

import copilot
from copilot.store import StoreError
from copilot.surfaces.service.alertmanager import alerts, silences
from copilot.surfaces.service.alertmanager.errors import NO_STORE
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine, ServiceSettings
from copilot.surfaces.service.rights import Calling
from copilot.types.time_format import iso_millis
from tools.clusterer import Inhibition


def alertmanager(engine: ServiceEngine, settings: ServiceSettings) -> APIRouter:
    """What amtool, Prometheus and dashboards ask an Alertmanager for."""
    router = APIRouter(tags=["Alertmanager's API"])
    _alerts(router, engine, settings)
    _silences(router, engine)
    _status(router, engine)
    return router


def _alerts(router: APIRouter, engine: ServiceEngine, settings: ServiceSettings) -> None:
    @router.post("/api/v2/alerts", summary="Deliver alerts, as Prometheus does")
    def post(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        alerts.post(engine, settings, content, request.headers)
        return Response(headers=NO_STORE)

    @router.get("/api/v2/alerts", summary="What fires, and what mutes it")
    def listed(asked: Annotated[alerts.AlertQuery, Depends(_query)]) -> JSONResponse:
        return _json([*alerts.listed(engine, asked)])

    @router.get("/api/v2/alerts/groups", summary="What fires, by incident")
    def groups(asked: Annotated[alerts.AlertQuery, Depends(_query)]) -> JSONResponse:
        return _json([*alerts.grouped(engine, asked)])

    @router.get("/api/v2/receivers", summary="Who is told: the copilot")
    def receivers() -> JSONResponse:
        return _json([{"name": alerts.RECEIVER}])


def _silences(router: APIRouter, engine: ServiceEngine) -> None:
    @router.post("/api/v2/silences", summary="Declare a silence, or change one")
    def declare(caller: Calling, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        return _json({"silenceID": silences.declared(engine, content, caller)})

    @router.get("/api/v2/silences", summary="Silences declared here")
    def listed(
        matchers: Annotated[list[str] | None, Query(alias="filter")] = None,
    ) -> JSONResponse:
        return _json([*silences.listed(engine, matchers or [])])

    @router.get("/api/v2/silence/{silence_id}", summary="One silence")
    def shown(silence_id: str) -> Response:
        found = silences.shown(engine, silence_id)
        return Response(status_code=404, headers=NO_STORE) if found is None else _json(found)

    @router.delete("/api/v2/silence/{silence_id}", summary="End a silence")
    def expire(silence_id: str, caller: Calling) -> Response:
        silences.expired(engine, silence_id, caller)
        return Response(headers=NO_STORE)


def _status(router: APIRouter, engine: ServiceEngine) -> None:
    began = engine.now()

    @router.get("/api/v2/status", summary="Who answers here")
    def status() -> JSONResponse:
        return _json(
            {
                "cluster": {"peers": [], "status": "disabled"},
                "config": {"original": _config(engine.announced.inhibitions)},
                "uptime": iso_millis(began),
                "versionInfo": {
                    "branch": "incident-copilot",
                    "buildDate": "",
                    "buildUser": "",
                    "goVersion": "",
                    "revision": "",
                    "version": copilot.__version__,
                },
            }
        )

    @router.head("/-/healthy", include_in_schema=False)
    @router.get("/-/healthy", summary="Is the process alive")
    def healthy() -> PlainTextResponse:
        return PlainTextResponse("OK")

    @router.head("/-/ready", include_in_schema=False)
    @router.get("/-/ready", summary="Can it take alerts")
    def ready() -> PlainTextResponse:
        try:
            checks = dict(engine.ready())
        except StoreError as problem:
            checks = {"store": str(problem)}
        wrong = [f"{name}: {said}" for name, said in checks.items() if said != "ok"]
        return PlainTextResponse("\n".join(wrong) or "OK", 503 if wrong else 200)


def _query(
    active: str = "true",
    silenced: str = "true",
    inhibited: str = "true",
    matchers: Annotated[list[str] | None, Query(alias="filter")] = None,
    receiver: str = "",
) -> alerts.AlertQuery:
    return alerts.query(active, silenced, inhibited, matchers or [], receiver)


def _config(inhibitions: tuple[Inhibition, ...]) -> str:
    """Of an Alertmanager's configuration what is true of us; amtool can read it."""
    rules: list[JsonValue] = [
        {
            "source_matchers": [str(matcher) for matcher in rule.source],
            "target_matchers": [str(matcher) for matcher in rule.target],
            "equal": list(rule.equal),
        }
        for rule in inhibitions
    ]
    document: dict[str, JsonValue] = {
        "route": {"receiver": alerts.RECEIVER},
        "inhibit_rules": rules,
        "receivers": [{"name": alerts.RECEIVER}],
    }
    said = (
        f"# incident-copilot {copilot.__version__} answers here, not an Alertmanager.\n"
        "# Alerts become incidents; there are no routes, receivers or notifications.\n"
    )
    return said + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _json(document: JsonValue) -> JSONResponse:
    return JSONResponse(document, headers=NO_STORE)
