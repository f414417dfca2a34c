"""`copilot serve`: the service, until somebody stops it; and the open alerts it fetches itself.

A webhook that was lost, or sent while the service was down, is fetched from Alertmanager; what was
delivered already is recognised by its identity and counts once. The silences come with the alerts:
our own watch must not tell what people asked not to be told of.
"""

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Protocol

import uvicorn
from fastapi import FastAPI
from rich.console import Console
from sqlalchemy.engine import make_url
from starlette.types import ASGIApp

from copilot import wiring
from copilot.alerts.formats import mapped
from copilot.case import wiring as case_wiring
from copilot.case.engine import Engine
from copilot.case.foretelling import FORECASTS, ForecastTeller
from copilot.case.loops import EVERY_ROLE, Role
from copilot.deps import Deps
from copilot.knowledge import Memory
from copilot.ports import AlertSource, SilenceSource
from copilot.settings import Settings, SettingsError, variables_without_effect
from copilot.sources.alertmanager import SUPPRESSED_BY, AlertmanagerSource
from copilot.sources.deployment import MetricSnapshot
from copilot.sources.on_call import EVERY_S as ON_CALL_EVERY_S
from copilot.sources.received import ReceivedTelemetry
from copilot.store import Store
from copilot.store.retention import Retention, RetentionLimits
from copilot.surfaces.commands import journal_head, journal_log
from copilot.surfaces.commands.chat_wiring import build_chat_service
from copilot.surfaces.commands.doctor import report_of
from copilot.surfaces.commands.playbook import on_a_yes, proposal
from copilot.surfaces.commands.rehearse import on_schedule
from copilot.surfaces.console.card import Bookshelf
from copilot.surfaces.console.picture import drawable, png
from copilot.surfaces.mcp.wiring import served_at_mcp
from copilot.surfaces.notify.wiring import doors, hold, routing, tell
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.connection import BoundedConnection
from copilot.surfaces.service.console import ChartDesk
from copilot.surfaces.service.hooks import desks_of
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.subscriptions import SubscriptionDesk
from copilot.surfaces.service.wiring import outside_word
from copilot.types import home
from copilot.types.incident import Incident
from tools.types import Timestamp, Window

SWITCH_S = 0.001
"""How long a busy thread keeps the interpreter from the others: an answer waits for it at every
step, and the default of 5 ms cost a fifth of the alerts accepted per second."""

BACKLOG = 2048
"""Connections that wait while the rest is opened: whoever reads the address may use it."""

STOP_S = 10
"""How long open requests may take to end at shutdown."""


class _Server(uvicorn.Server):
    """Tells the engine of a signal at once: open requests may take their time to end."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; in a thread, since the one that was interrupted may hold a lock."""
        threading.Thread(target=self._engine.halt, daemon=True).start()
        super().handle_exit(sig, frame)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it again when it is done: that must not end us, too.

    Only the main thread may say what signals do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def serve(settings: Settings, *, apart: bool = False) -> int:
    """Listen, work, and stop cleanly on SIGINT or SIGTERM: no new step, the running one ends.

    `apart`: it takes alerts and decides on them; others work and watch.
    """
    roles = frozenset[Role](("intake",)) if apart else EVERY_ROLE
    if apart:
        _needs_postgresql(settings, "serve --apart")
    mappings = mapped.read(settings.alert_mappings_file)
    _warn_of_variables()
    with listening(settings) as (listener, address):
        received, alerts = wiring.received(settings), wiring.open_alerts(settings)
        purpose = f"service at {address}"
        with (
            wiring.engine(
                settings, purpose, lasting=True, received=received, roles=roles
            ) as engine,
            journal_log.told(engine.store, settings.log_format, _said),
            journal_head.noted(engine.store, settings),
        ):
            sys.setswitchinterval(SWITCH_S)
            engine.start()
            _begin_loops(engine, settings, alerts)
            access = access_of(settings, engine.store)
            _refuse_an_open_door(settings, access)
            _greet(address, access, shared=settings.api_key is not None)
            try:
                tell(
                    engine,
                    settings,
                    partial(_picture, engine, ChartDesk(partial(measured, engine))),
                )
                app = _app(engine, settings, received, mappings, access)
                answered(app, engine, listener, behind=bool(settings.proxy_addresses))
            finally:
                engine.stop(settings.stop_grace_s)
    return 0


def _begin_loops(engine: Engine, settings: Settings, alerts: AlertmanagerSource | None) -> None:
    """What a service does now and then, beside what its engine does."""
    if alerts is not None:
        engine.every("pull", partial(pull, engine, alerts), settings.alertmanager_every_s)
    outlook = wiring.outlook(settings, engine.deps.sources)
    if outlook is not None and settings.forecast_every_s and settings.bundle is None:
        every = settings.forecast_every_s
        told = ForecastTeller(engine, outlook, settings.home / FORECASTS, every)
        engine.every("forecast", told.look, every)
    if (rota := engine.rota) is not None:
        engine.every("on call", lambda: rota.refresh(engine.now()), ON_CALL_EVERY_S)
    if settings.rehearse_every_s:
        rehearse = partial(on_schedule, engine, settings)
        engine.every("rehearsal", rehearse, settings.rehearse_every_s)
    prune = partial(_prune, engine, *case_wiring.retention(settings, engine.store))
    engine.every("retention", prune, settings.prune_every_s, settings.prune_every_s)


def _app(
    engine: Engine,
    settings: Settings,
    received: ReceivedTelemetry,
    mappings: mapped.MappingsFile,
    access: Access,
) -> FastAPI:
    """What is answered over HTTP, by chat and by MCP."""
    chat = build_chat_service(settings, engine.deps)
    desks = desks_of(engine, doors(routing(settings)), chat)
    hold(engine, desks)
    app = create_app(
        engine,
        settings,
        received=received,
        desk=chat,
        origins=settings.chat_origins,
        mappings=mappings,
        subscriptions=SubscriptionDesk(settings.sns_confirm_hosts),
        examine=partial(report_of, settings, engine, received),
        fetch_commits=lambda: engine.deps.sources.commits(engine.now()),
        change_secrets=settings.change_secrets,
        access=access,
        measure=partial(measured, engine),
        desks=desks,
        shelf=shelf_of(settings, engine.deps),
        report=settings.evals_report,
    )
    declares = settings.api_key is not None and not access.shut
    library, proposing = wiring.library(settings), partial(proposal, settings)
    served_at_mcp(app, chat, engine.heed, library, proposing, declares=declares)
    return app


def _picture(engine: Engine, charts: ChartDesk, incident_id: str) -> bytes:
    """The picture of an incident, in the words of programs; empty where there is none."""
    chart = charts.of(engine, incident_id, "en") if drawable() else None
    return png(chart) if chart else b""


def answered(
    app: ASGIApp, engine: Engine, listener: socket.socket, *, behind: bool = False
) -> None:
    """Answer until a signal comes.

    `behind` a proxy that is named: the address of a connection decides whose headers count, and so
    stays what it is.
    """
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        log_level="warning",
        timeout_graceful_shutdown=STOP_S,
        access_log=False,
        proxy_headers=not behind,
    )
    with _signals_end_quietly():
        _Server(config, engine).run(sockets=[listener])


def measured(
    engine: Engine, incident: Incident, window: Window, before: Timestamp
) -> MetricSnapshot:
    """The metrics of an incident: of its recording, or as the sources tell them now."""
    recorded = wiring.recorded_in(incident)
    sources = recorded[0] if recorded else engine.deps.sources
    return sources.measure(window, before)


def shelf_of(settings: Settings, deps: Deps) -> Bookshelf:
    """The documents and playbooks that pages show."""
    library, known = wiring.library(settings), {one.id: one for one in deps.playbooks}
    runs = {name: on_a_yes(settings, deps.unrunnable.get(name, "")) for name in known}
    return Bookshelf(library, deps.memory or Memory(library.documents), known, runs)


def access_of(settings: Settings, store: Store) -> Access:
    """Who asks: by the token of the data folder, the API key, accounts and their tokens."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    owner = home.owner(settings.home)
    token, outside = home.admin_token(settings.home), outside_word(settings)
    return Access(store, token, key, operator=owner, outside=outside)


def _refuse_an_open_door(settings: Settings, access: Access) -> None:
    """Raise where others reach the service and nothing asks who they are."""
    if settings.open_to_others and settings.api_key is None and not access.shut:
        raise SettingsError(
            f"host {settings.host!r} is reachable by others, so people need accounts (`copilot "
            "users add NAME --role admin`) or api_key must be set (COPILOT_API_KEY); or listen on "
            "127.0.0.1"
        )


def _greet(address: str, access: Access, *, shared: bool) -> None:
    """Say where what is sent and asked; standard output stays free."""
    warning = (
        "\nCOPILOT_API_KEY is one key for everybody, and may everything: `copilot tokens add` "
    )
    warning += "gives each program its own, `copilot users add` each person an account"
    sign_in = f"{address}/console/sign-in, or as {access.operator}: {access.link(address)}"
    Console(stderr=True, markup=False, highlight=False).print(
        f"copilot listens at {address}\n"
        f"console: {address}/\n"
        f"to decide there: {sign_in if access.shut else access.link(address)}\n"
        f"alerts: POST {address}/api/v2/alerts, {address}/webhooks/auto or one "
        f"of docs/alert-formats.md\n"
        f"telemetry: POST {address}/v1/traces, {address}/v1/logs, {address}/v1/metrics\n"
        f"changes: POST {address}/changes or one of docs/changes.md\n"
        f"incidents: GET {address}/incidents\n"
        f"chat: copilot chat, POST {address}/chat, {address}/v1 (OpenAI-compatible)"
        f"{warning if shared else ''}",
        soft_wrap=True,
    )


def worker(settings: Settings) -> int:
    """Work on incidents until stopped."""
    return _beside(settings, "work", "worker")


def watch(settings: Settings) -> int:
    """Scan the series until stopped."""
    if not settings.watch_every_s:
        raise SettingsError("watch_every_s is 0: the watch is switched off (COPILOT_WATCH_EVERY_S)")
    return _beside(settings, "watch", "watch")


def _beside(settings: Settings, role: Role, command: str) -> int:
    """One role in a process of its own, until SIGINT or SIGTERM."""
    _needs_postgresql(settings, command)
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    _warn_of_variables()
    with wiring.engine(settings, command, lasting=True, roles=frozenset((role,))) as engine:
        engine.start()
        where = make_url(settings.store_url).render_as_string()
        _said(f"copilot {command} works on {where}\n")
        try:
            # Woken now and then: a signal is only seen between two steps of the interpreter.
            while not stopping.wait(1.0):
                pass
        finally:
            engine.stop(settings.stop_grace_s)
    return 0


def _needs_postgresql(settings: Settings, command: str) -> None:
    """Two processes on one file would wait for each other at every write, and lock each other."""
    if make_url(settings.store_url).get_backend_name() == "sqlite":
        raise SettingsError(
            f"`copilot {command}` shares its work with other processes, and an SQLite file has one "
            "writer: set COPILOT_DATABASE_URL to a PostgreSQL, or run `copilot serve`, which does "
            "everything in one process"
        )


def _warn_of_variables() -> None:
    for name in variables_without_effect():
        log.warning("no such setting, it has no effect: %s", name)


def _said(line: str) -> None:
    """Whole, and at once: who pipes it must not wait."""
    sys.stderr.write(line)
    sys.stderr.flush()


@contextmanager
def listening(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Bind before anything is opened, so that a taken port is said at once; and the address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on, which holds every answer back by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
                "choose another with --port"
            ) from error
        host, port = listener.getsockname()[:2]
        yield listener, f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        listener.close()


log = logging.getLogger(__name__)

PULLED_LOOKBACK_S = 86_400.0
"""What has been firing for longer is no incident of today."""


class Pager(AlertSource, SilenceSource, Protocol):
    """Who knows what fires, and what nobody wants to hear of."""


def pull(engine: ServiceEngine, source: Pager) -> None:
    """Accept what `source` holds open, and heed its silences, where this process decides."""
    if not engine.leading:
        return
    now = engine.now()
    engine.silence(source.silences())
    held = source.alerts(Window(start=now - PULLED_LOOKBACK_S, end=now))
    alerts = [alert for alert in held if SUPPRESSED_BY not in alert.annotations]
    if alerts:
        engine.accept(alerts, now)


def _prune(engine: Engine, retention: Retention, limits: RetentionLimits) -> None:
    """Take out what is too old, where this process decides."""
    report = retention.prune(limits, engine.now()) if engine.leading else {}
    if any(report.values()):
        log.warning("too old, taken out: %s", report)
