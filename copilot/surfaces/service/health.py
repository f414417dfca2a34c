"""For probes and Prometheus."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from copilot.store import StoreError
from copilot.surfaces.service.meters import Meters
from copilot.surfaces.service.ports import ServiceEngine


def health(engine: ServiceEngine, meters: Meters) -> APIRouter:
    """`/healthz`: the process answers; `/readyz`: it can take alerts; `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive")
    def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", summary="Can it take alerts")
    def readyz() -> JSONResponse:
        try:
            checks = dict(engine.ready())
        except StoreError as problem:
            checks = {"store": str(problem)}
        ready = all(outcome == "ok" for outcome in checks.values())
        word = "ok" if ready else "not ready"
        return JSONResponse({"status": word, "checks": checks}, 200 if ready else 503)

    @router.get("/metrics", summary="Figures for Prometheus")
    def metrics() -> Response:
        return Response(meters.text(), media_type=CONTENT_TYPE_LATEST)

    return router
