"""Recorded incidents, worked on once, for the tests of a conversation about them."""

from collections.abc import Iterator
from contextlib import contextmanager

from copilot.ports import Model
from copilot.settings import Settings
from copilot.surfaces.chat import ChatService
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.types.incident import Incident
from evals import worked_incident
from evals.localization.cases import RECORDINGS

POOL = "lab-851d38"  # cart: its connection pool is exhausted
DOWN = "lab-25b1b2"  # shipping: its process is gone; an hour later


def work_on(settings: Settings, name: str) -> Incident:
    """Deliver the alerts of a recorded incident and let the graph end or wait."""
    return worked_incident.work_on(settings, RECORDINGS / "incidents" / name)


@contextmanager
def desk_over(settings: Settings, model: Model | None = None) -> Iterator[ChatService]:
    """The desk of this data folder, with a model or without."""
    with local_chat_service(settings) as desk:
        desk.model = model
        yield desk
