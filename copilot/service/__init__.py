"""Service: the HTTP door. Alerts come in, incidents are read, plans are answered."""

from fastapi import FastAPI

import copilot
from copilot.received import Received
from copilot.service.approval import approval
from copilot.service.boundary import Boundary
from copilot.service.changes import changes
from copilot.service.deliveries import deliveries
from copilot.service.events import events
from copilot.service.gate import Gate
from copilot.service.health import health
from copilot.service.incidents import incidents
from copilot.service.meters import Meters
from copilot.service.otlp import otlp
from copilot.service.ports import Counters, Engine, ServiceSettings, Streams
from copilot.service.refusals import refusals

__all__ = ["Counters", "Engine", "ServiceSettings", "Streams", "create_app"]

DEFAULT_STREAMS = Streams()


def create_app(
    engine: Engine,
    settings: ServiceSettings,
    streams: Streams = DEFAULT_STREAMS,
    received: Received | None = None,
) -> FastAPI:
    """The app over an engine that somebody else starts and stops; it holds no state of its own.

    With an API key set, every request but `/healthz` and `/readyz` has to carry it; without one,
    only this machine is answered. With `received`, exporters may post telemetry to it.
    """
    # The interactive pages load their scripts from elsewhere; the schema itself stays.
    app = FastAPI(
        title="Incident copilot", version=copilot.__version__, docs_url=None, redoc_url=None
    )
    meters = Meters(engine, received)
    app.include_router(deliveries(engine, settings))
    app.include_router(changes(engine))
    if received is not None:
        app.include_router(otlp(engine, received))
    app.include_router(incidents(engine.store))
    app.include_router(events(engine.store, streams))
    app.include_router(approval(engine))
    app.include_router(health(engine, meters))
    refusals(app)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Boundary, meters=meters)
    return app
