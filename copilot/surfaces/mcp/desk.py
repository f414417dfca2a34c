"""What the tools read and the one thing they declare, wherever the incidents are kept."""

from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request

from copilot.case.postmortem import draft
from copilot.surfaces.chat import AnswerTask, ChatService, Question
from copilot.surfaces.service.incidents import (
    IncidentLine,
    IncidentView,
    incident_line,
    incident_view,
)
from copilot.surfaces.service.rights import LEAST, caller_of
from copilot.types.conversation import Turn
from copilot.types.errors import OperatorError
from copilot.types.incident import IncidentStatus
from prompts import Language
from tools.clusterer import Silence
from tools.types import Plan

TICK_S = 1.0

Propose = Callable[[str, str, dict[str, str]], Plan]
"""Fills a playbook, by its id, for a component, with values as a person would type them."""


class UnansweredError(OperatorError):
    """A question got no answer; the message says why."""


class MayNotSilenceError(OperatorError):
    """Who asks may look and ask here, and not silence."""


def silencer(request: object, by: str) -> str:
    """Whose silence it is: the caller's, where it was asked for over HTTP and the caller is known.

    Raises `MayNotSilenceError`.
    """
    if not isinstance(request, Request):
        return by
    caller = caller_of(request)
    if not caller.may("respond"):
        raise MayNotSilenceError(f"a silence needs {LEAST['respond']} or above; no program's token")
    return by if caller.declared else caller.name


class McpDesk(Protocol):
    """The incidents of a service, or of a data folder that none works on."""

    def incidents(self, limit: int, status: IncidentStatus | None) -> tuple[IncidentLine, ...]:
        """The newest first."""
        ...

    def incident(self, incident_id: str, language: Language) -> IncidentView:
        """All of one."""
        ...

    def postmortem(self, incident_id: str, language: Language) -> str:
        """The draft of a closed one, as Markdown."""
        ...

    def ask(self, question: Question) -> Turn:
        """The answered question."""
        ...

    def silence(self, wanted: Silence) -> str:
        """Declare it; returns its id."""
        ...


class StoreDesk:
    """Reads the store that the chat reads; `heed` makes a service go by a new silence."""

    def __init__(self, chat: ChatService, heed: Callable[[], None] = lambda: None) -> None:
        self._chat = chat
        self._store = chat.store
        self._heed = heed

    def incidents(self, limit: int, status: IncidentStatus | None) -> tuple[IncidentLine, ...]:
        """The newest first."""
        return tuple(map(incident_line, self._store.incidents.list(limit=limit, status=status)))

    def incident(self, incident_id: str, language: Language) -> IncidentView:
        """All of one, without where the approval of its plan stands."""
        found = self._store.incidents.require(incident_id)
        alerts = self._store.alerts.decisions(incident_id, limit=200)
        return incident_view(found, alerts, None, language)

    def postmortem(self, incident_id: str, language: Language) -> str:
        """The draft of a closed one, as Markdown."""
        events = self._store.journal.events(incident_id, limit=10_000)
        return draft(self._store.incidents.require(incident_id), events, language)

    def ask(self, question: Question) -> Turn:
        """Ask, and wait for the answer."""
        if question.incident_id:
            self._store.incidents.require(question.incident_id)
        turn = self._chat.take(question)
        for event in AnswerTask(self._chat, turn, question.language).events(TICK_S):
            if isinstance(event, Turn):
                return event
        raise UnansweredError("the question was not answered")

    def silence(self, wanted: Silence) -> str:
        """Declare it in the store."""
        kept = self._store.silences.set(wanted, wanted.starts_at)
        self._heed()
        return kept.silence.id
