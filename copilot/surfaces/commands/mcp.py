"""`copilot mcp`: the tools of an assistant, over standard input and output.

Where a service works on the data folder, it is asked; else the store is read, nothing is locked.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

from pydantic import TypeAdapter

from copilot import wiring
from copilot.settings import Settings
from copilot.surfaces.chat import Question
from copilot.surfaces.commands.chat_remote import RemoteChat
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.surfaces.commands.playbook import proposal
from copilot.surfaces.mcp.desk import TICK_S, McpDesk, StoreDesk, UnansweredError
from copilot.surfaces.mcp.server import McpTools, server
from copilot.surfaces.remote import posted, service, text
from copilot.surfaces.service.incidents import IncidentLine, IncidentView
from copilot.types.conversation import Turn
from copilot.types.incident import IncidentStatus
from copilot.types.time_format import iso_millis
from prompts import Language
from tools.clusterer import Silence

_LINES = TypeAdapter(tuple[IncidentLine, ...])


class RemoteDesk:
    """The incidents of a running service, over its HTTP API and with its key."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings, self._address = settings, address

    def incidents(self, limit: int, status: IncidentStatus | None) -> tuple[IncidentLine, ...]:
        """The newest first."""
        wanted = f"&status={status}" if status else ""
        return _LINES.validate_json(self._text(f"/incidents?limit={limit}{wanted}"))

    def incident(self, incident_id: str, language: Language) -> IncidentView:
        """All of one."""
        path = f"/incidents/{quote(incident_id, safe='')}?lang={language}"
        return IncidentView.model_validate_json(self._text(path))

    def postmortem(self, incident_id: str, language: Language) -> str:
        """The draft of a closed one, as Markdown."""
        return self._text(f"/incidents/{quote(incident_id, safe='')}/postmortem?lang={language}")

    def ask(self, question: Question) -> Turn:
        """Ask, and wait for the answer."""
        line = RemoteChat(self._settings, self._address, question.conversation_id)
        for event in line.asked(question).events(TICK_S):
            if isinstance(event, Turn):
                return event
        raise UnansweredError(f"the service at {self._address} gave no answer")

    def silence(self, wanted: Silence) -> str:
        """Declare it as Alertmanager's clients do."""
        flags = (one.flags for one in wanted.matchers)
        matchers = [
            {"name": one.label, "value": one.value, "isRegex": regex, "isEqual": equal}
            for one, (regex, equal) in zip(wanted.matchers, flags, strict=True)
        ]
        document = {
            "matchers": json.loads(json.dumps(matchers)),
            "startsAt": iso_millis(wanted.starts_at),
            "endsAt": iso_millis(wanted.ends_at),
            "createdBy": wanted.created_by,
            "comment": wanted.comment,
        }
        return str(posted(self._settings, self._address, "/api/v2/silences", document)["silenceID"])

    def _text(self, path: str) -> str:
        return text(self._settings, self._address, path)


def mcp(settings: Settings) -> int:
    """Serve until the client closes standard input."""

    @contextmanager
    def desk() -> Iterator[McpDesk]:
        address = service(settings)
        if address:
            yield RemoteDesk(settings, address)
            return
        with local_chat_service(settings) as chat:
            yield StoreDesk(chat)

    tools = McpTools(desk, wiring.library(settings), partial(proposal, settings))
    server(tools, declares=True).run()
    return 0
