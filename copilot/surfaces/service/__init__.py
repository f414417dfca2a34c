"""Service: the HTTP API. Alerts come in, incidents are read, plans are answered.

Errors of ours become a status and one sentence in `detail`, never what was sent.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue, SecretStr
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import copilot
from copilot.alerts.formats import MalformedError, PayloadError, TooManyAlertsError
from copilot.alerts.formats.mapped import MappingsFile
from copilot.case.postmortem import NotClosedError
from copilot.sources.received import ReceivedTelemetry
from copilot.store import (
    PolicyRefusedError,
    StoreError,
    UnknownConversationError,
    UnknownIncidentError,
)
from copilot.surfaces.chat import ChatService, QuestionError
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.alertmanager.errors import (
    ApiRefusalError,
    api_refusal,
    not_routed,
    speaks_alertmanager,
    wrapped,
)
from copilot.surfaces.service.alertmanager.routes import alertmanager
from copilot.surfaces.service.changes import changes
from copilot.surfaces.service.chat import BusyError, asking, chat, places
from copilot.surfaces.service.console import Measuring, console, listings
from copilot.surfaces.service.deciding import deciding, silencing
from copilot.surfaces.service.deliveries import deliveries
from copilot.surfaces.service.described import DescribedApp
from copilot.surfaces.service.device import device
from copilot.surfaces.service.events import events, feed
from copilot.surfaces.service.gate import Gate
from copilot.surfaces.service.health import Boundary, Meters, doctor, health
from copilot.surfaces.service.hooks import HOOKS, ChannelDesk, hooks
from copilot.surfaces.service.incidents import incidents
from copilot.surfaces.service.knowledge import knowledge, playbooks, reviewing
from copilot.surfaces.service.openai.routes import openai
from copilot.surfaces.service.plans import (
    approval,
    confirming,
    editing,
    merging,
    on_call,
    settling,
)
from copilot.surfaces.service.ports import ServiceCounters, ServiceEngine, ServiceSettings, Streams
from copilot.surfaces.service.signing_in import by_provider, signing_in
from copilot.surfaces.service.subscriptions import SubscriptionDesk
from copilot.surfaces.service.telemetry import otlp
from copilot.surfaces.service.terminal import stopping, terminal
from copilot.surfaces.service.visit import refused, wants_page
from copilot.types.change_settings import SignedSender
from copilot.types.checks import CheckReport
from tools.playbook_executor import ParameterError

__all__ = ["ServiceCounters", "ServiceEngine", "ServiceSettings", "Streams", "create_app"]

CHAT = ("/chat", "/v1/models", "/v1/chat")
"""Where a person asks; everything else, plans and alerts above all, no other page may call."""


class ChatOrigins:
    """Lets pages of some origins ask from a browser, and nothing more."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._opened = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-conversation-id"],
            expose_headers=["x-conversation-id"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        asks = any(path == one or path.startswith(f"{one}/") for one in CHAT)
        await (self._opened if asks else self._app)(scope, receive, send)


DEFAULT_STREAMS = Streams()
NO_MAPPINGS = MappingsFile()
NOBODY_CONFIRMED = SubscriptionDesk()
NO_DESKS: Mapping[str, ChannelDesk] = {}
NO_SECRETS: Mapping[SignedSender, SecretStr] = {}


def create_app(
    engine: ServiceEngine,
    settings: ServiceSettings,
    streams: Streams = DEFAULT_STREAMS,
    received: ReceivedTelemetry | None = None,
    desk: ChatService | None = None,
    origins: Sequence[str] = (),
    mappings: MappingsFile = NO_MAPPINGS,
    subscriptions: SubscriptionDesk = NOBODY_CONFIRMED,
    examine: Callable[[], CheckReport] | None = None,
    fetch_commits: Callable[[], object] | None = None,
    change_secrets: Mapping[SignedSender, SecretStr] = NO_SECRETS,
    access: Access | None = None,
    measure: Measuring | None = None,
    desks: Mapping[str, ChannelDesk] = NO_DESKS,
    shelf: Bookshelf | None = None,
    report: Path | None = None,
) -> FastAPI:
    """The app over an engine that somebody else starts and stops; it holds no state of its own.

    With an API key set, every request but those of probes has to carry it; without one,
    only this machine is answered. With `received`, exporters may post telemetry to it; with
    `desk`, people may ask. Pages of `origins` may do so from a browser. `mappings` read alerts of
    senders that have no format of their own; `subscriptions` answers topics that want to send;
    `examine` answers `copilot doctor`; `fetch_commits` is called when changes were told;
    senders of changes with a secret are believed by their signature. With `access` whoever decides
    holds its token; without, whoever is let in. `measure` gives the series that pages draw,
    `shelf` the documents and playbooks that they show, `report` the page of evals. By `desks`
    people decide and ask in channels, each checked by its platform's signature.
    """
    # The interactive pages load their scripts from elsewhere; the schema itself stays.
    app = DescribedApp(
        title="Incident copilot", version=copilot.__version__, docs_url=None, redoc_url=None
    )
    meters = Meters(engine, received)
    told = [
        alertmanager(engine, settings),
        deliveries(engine, settings, mappings, subscriptions),
        changes(engine, change_secrets, fetch_commits),
        *([otlp(engine, received)] if received is not None else ()),
    ]
    shown = [
        incidents(engine),
        events(engine.store, streams),
        feed(engine.store, streams),
        console(engine, access, measure, desk, shelf),
        listings(engine, access, examine, report),
    ]
    signed_in = (signing_in, by_provider, device, partial(deciding, shelf=shelf), silencing)
    pages = [one(engine, access) for one in signed_in] if access is not None else []
    books = (knowledge, reviewing, playbooks)
    pages += [one(engine, shelf, access) for one in books] if shelf is not None else []
    asked, free = [], places()
    if desk is not None:
        asked = [chat(desk, free), asking(engine, desk, access, free), openai(desk, engine.now)]
    for router in (
        *told,
        *shown,
        *pages,
        *(one(engine) for one in (approval, editing, settling, confirming, on_call, merging)),
        *(one(engine) for one in (terminal, stopping)),
        health(engine, meters),
        *([doctor(examine)] if examine is not None else ()),
        *asked,
    ):
        app.include_router(router)
    refusals(app)
    app.include_router(hooks(desks))
    signed = [f"/changes/{sender}" for sender in change_secrets]
    signed += [f"{HOOKS}{name}" for name in desks]
    app.add_middleware(Gate, settings=settings, signed=signed, access=access)
    if origins:
        # Outside of the gate: a browser asks whether it may before it sends the key.
        app.add_middleware(ChatOrigins, origins=origins)
    app.add_middleware(Boundary, meters=meters)
    return app


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (MalformedError, 400),
    (TooManyAlertsError, 413),
    (PayloadError, 422),
    (PolicyRefusedError, 409),
    (BusyError, 503),
    (QuestionError, 422),
    (UnknownConversationError, 404),
    (UnknownIncidentError, 404),
    (NotClosedError, 409),
    (ParameterError, 422),
)


def refusals(app: FastAPI) -> None:
    """Let the app answer our errors in our words."""
    for error, status in _STATUS:
        app.add_exception_handler(error, _plain(status))
    app.add_exception_handler(StoreError, _unavailable)
    app.add_exception_handler(RequestValidationError, _parameter)
    app.add_exception_handler(ApiRefusalError, api_refusal)
    app.add_exception_handler(HTTPException, _routed)


def _plain(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return _said(request, status, str(error))

    return answer


def _said(request: Request, status: int, detail: str, **headers: str) -> Response:
    """The sentence in the shape of the API that was asked, or as a page where a person asked."""
    if wants_page(request.url.path, request.headers):
        return refused(request, status, detail, headers)
    said: dict[str, JsonValue] = {"detail": detail}
    if speaks_alertmanager(request.url.path):
        said = wrapped(status, detail)
    return JSONResponse(said, status, headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    """Nothing was accepted: whoever sent it keeps it and sends it again."""
    return _said(request, 503, str(error), **{"retry-after": "2"})


async def _parameter(request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _said(request, 422, f"{where}: {first['msg']}")


async def _routed(request: Request, error: Exception) -> Response:
    """What a handler refuses, and paths and methods there are none of."""
    found = cast(HTTPException, error)
    if wants_page(request.url.path, request.headers):
        return refused(request, found.status_code, str(found.detail), found.headers or {})
    return await not_routed(request, error)
