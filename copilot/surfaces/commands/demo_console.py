"""`copilot demo --console`: the re-enacted incident on the console's pages, until Ctrl-C."""

import threading
from functools import partial

from rich.console import Console

from copilot import wiring
from copilot.case.engine import Engine
from copilot.settings import Settings
from copilot.sources.recorded import IncidentReplay
from copilot.surfaces.commands.chat_wiring import build_chat_service
from copilot.surfaces.commands.demo import folder_of, keep, replayed, room
from copilot.surfaces.commands.serve import access_of, answered, listening, measured, shelf_of
from copilot.surfaces.service import create_app

BETWEEN_ALERTS_S = 1.5
"""As long as a viewer waits for the next alert at most."""

LOOK_S = 0.2


def demo_console(settings: Settings, *, incident: str) -> int:
    """Who opens the link sees the incident happen, and decides."""
    folder, stopping = folder_of(incident), threading.Event()
    shown = IncidentReplay(folder)
    with (
        listening(settings) as (listener, address),
        room(settings) as (apart, kept),
        wiring.engine(
            apart, f"service at {address}", sources=replayed(shown), clock=shown, runner=shown
        ) as engine,
    ):
        access = access_of(apart, engine.store)
        desk = build_chat_service(apart, engine.deps)
        measure = partial(measured, engine)
        shelf = shelf_of(apart, engine.deps)
        app = create_app(engine, apart, access=access, desk=desk, measure=measure, shelf=shelf)
        player = threading.Thread(target=_play, args=(engine, shown, stopping))
        player.start()
        Console(markup=False, highlight=False).print(
            f"Incident {folder.name} happens again at {address}/\n"
            f"To look on and to decide, open: {access.link(address)}\n"
            "Nothing real is touched. Ctrl-C ends it.",
            soft_wrap=True,
        )
        try:
            answered(app, engine, listener)
        finally:
            stopping.set()
            player.join()
            if kept:
                keep(apart, folder.name, shown)
    return 0


def _play(engine: Engine, shown: IncidentReplay, stopping: threading.Event) -> None:
    """The alerts at a pace that can be followed, then whatever people decide."""
    at = None
    for alert in shown.alerts():
        stopping.wait(0 if at is None else min(alert.starts_at - at, BETWEEN_ALERTS_S))
        at = alert.starts_at
        shown.advance(at)
        engine.accept([alert], engine.now())
        engine.group()
    while not stopping.wait(LOOK_S):
        engine.drain()
