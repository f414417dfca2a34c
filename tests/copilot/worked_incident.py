"""Recorded incidents, worked on once, for the tests of a conversation about them."""

from collections.abc import Iterator
from contextlib import contextmanager

from copilot import wiring
from copilot.ports import Model
from copilot.settings import Settings
from copilot.sources.recorded import RecordedBundle
from copilot.surfaces.chat import ChatService
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.types.incident import Incident
from evals.localization.cases import RECORDINGS

POOL = "lab-851d38"  # cart: its connection pool is exhausted
DOWN = "lab-25b1b2"  # shipping: its process is gone; an hour later


def work_on(settings: Settings, name: str) -> Incident:
    """Deliver the alerts of a recorded incident and let the graph end or wait."""
    folder = RECORDINGS / "incidents" / name
    whole = RecordedBundle(folder)
    alerts = sorted(whole.alerts(whole.window), key=lambda one: one.starts_at)
    bundle = RecordedBundle(folder, clock_at=alerts[0].starts_at)
    sources = wiring.recorded_sources(bundle)
    with wiring.engine(settings, "test", sources=sources, clock=bundle) as engine:
        for alert in alerts:
            bundle.advance(max(bundle.now(), alert.starts_at))
            engine.accept([alert], engine.now())
            engine.group()
        bundle.advance(bundle.window.end)
        engine.drain()
        found = engine.store.incidents.list(limit=1)[0]
        return engine.store.incidents.update(found.id, engine.now(), origin=str(folder))


@contextmanager
def desk_over(settings: Settings, model: Model | None = None) -> Iterator[ChatService]:
    """The desk of this data folder, with a model or without."""
    with local_chat_service(settings) as desk:
        desk.model = model
        yield desk
