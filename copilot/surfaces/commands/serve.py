"""`copilot serve`: the service, until somebody stops it."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from rich.console import Console

from copilot import wiring
from copilot.alerts.formats import mapped
from copilot.settings import Settings, SettingsError
from copilot.surfaces.commands.chat_wiring import build_chat_service
from copilot.surfaces.service import create_app
from copilot.surfaces.service.pull import pulled
from copilot.surfaces.service.subscriptions import SubscriptionDesk

SWITCH_S = 0.001
"""How long a busy thread keeps the interpreter from the others: an answer waits for it at every
step, and the default of 5 ms cost a fifth of the alerts accepted per second."""

BACKLOG = 2048
"""Connections that wait while the rest is opened: whoever reads the address may use it."""

STOP_S = 10
"""How long open requests may take to end at shutdown."""


def serve(settings: Settings) -> int:
    """Listen, work, and stop cleanly on SIGINT or SIGTERM."""
    mappings = mapped.read(settings.alert_mappings_file)
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        received, alerts = wiring.received(settings), wiring.open_alerts(settings)
        purpose = f"service at {address}"
        with wiring.engine(settings, purpose, lasting=True, received=received) as engine:
            sys.setswitchinterval(SWITCH_S)
            engine.start()
            Console(stderr=True, markup=False, highlight=False).print(
                f"copilot listens at {address}\n"
                f"alerts: POST {address}/api/v2/alerts, {address}/webhooks/auto or one "
                f"of docs/alert-formats.md\n"
                f"telemetry: POST {address}/v1/traces, {address}/v1/logs, "
                f"{address}/v1/metrics, {address}/changes\n"
                f"incidents: GET {address}/incidents\n"
                f"chat: copilot chat, POST {address}/chat, {address}/v1 (OpenAI-compatible)",
                soft_wrap=True,
            )
            try:
                app = create_app(
                    engine,
                    settings,
                    received=received,
                    desk=build_chat_service(settings, engine.deps),
                    origins=settings.chat_origins,
                    mappings=mappings,
                    subscriptions=SubscriptionDesk(settings.sns_confirm_hosts),
                )
                config = uvicorn.Config(
                    app, log_level="warning", timeout_graceful_shutdown=STOP_S, access_log=False
                )
                with pulled(engine, alerts, settings.alertmanager_every_s):
                    uvicorn.Server(config).run(sockets=[listener])
            finally:
                engine.stop()
    return 0


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind before anything is opened, so that a taken port is said at once and plainly."""
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
        yield listener
    finally:
        listener.close()
