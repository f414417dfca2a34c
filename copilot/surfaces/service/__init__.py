"""Service: the HTTP door. Alerts come in, incidents are read, plans are answered."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import copilot
from copilot.sources.received import ReceivedTelemetry
from copilot.surfaces.chat import ChatService
from copilot.surfaces.service.alertmanager import alertmanager
from copilot.surfaces.service.approval import approval
from copilot.surfaces.service.boundary import Boundary
from copilot.surfaces.service.changes import changes
from copilot.surfaces.service.chat import chat
from copilot.surfaces.service.deliveries import deliveries
from copilot.surfaces.service.editing import editing
from copilot.surfaces.service.events import events
from copilot.surfaces.service.gate import Gate
from copilot.surfaces.service.health import health
from copilot.surfaces.service.incidents import incidents
from copilot.surfaces.service.meters import Meters
from copilot.surfaces.service.openai import openai
from copilot.surfaces.service.otlp import otlp
from copilot.surfaces.service.ports import ServiceCounters, ServiceEngine, ServiceSettings, Streams
from copilot.surfaces.service.refusals import refusals

__all__ = ["ServiceCounters", "ServiceEngine", "ServiceSettings", "Streams", "create_app"]

DEFAULT_STREAMS = Streams()


def create_app(
    engine: ServiceEngine,
    settings: ServiceSettings,
    streams: Streams = DEFAULT_STREAMS,
    received: ReceivedTelemetry | None = None,
    desk: ChatService | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The app over an engine that somebody else starts and stops; it holds no state of its own.

    With an API key set, every request but those of probes has to carry it; without one,
    only this machine is answered. With `received`, exporters may post telemetry to it; with
    `desk`, people may ask. Pages of `origins` may do so from a browser.
    """
    # The interactive pages load their scripts from elsewhere; the schema itself stays.
    app = FastAPI(
        title="Incident copilot", version=copilot.__version__, docs_url=None, redoc_url=None
    )
    meters = Meters(engine, received)
    app.include_router(alertmanager(engine, settings))
    app.include_router(deliveries(engine, settings))
    app.include_router(changes(engine))
    if received is not None:
        app.include_router(otlp(engine, received))
    app.include_router(incidents(engine.store))
    app.include_router(events(engine.store, streams))
    app.include_router(approval(engine))
    app.include_router(editing(engine))
    app.include_router(health(engine, meters))
    if desk is not None:
        app.include_router(chat(desk))
        app.include_router(openai(desk, engine.now))
    refusals(app)
    app.add_middleware(Gate, settings=settings)
    if origins:
        # Outside of the gate: a browser asks whether it may before it sends the key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-conversation-id"],
            expose_headers=["x-conversation-id"],
        )
    app.add_middleware(Boundary, meters=meters)
    return app
