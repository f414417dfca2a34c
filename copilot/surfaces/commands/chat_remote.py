"""The chat of a service that owns the data folder, over its event stream."""

import json
from collections.abc import Iterator

import httpx

from copilot.settings import Settings
from copilot.surfaces.chat import AnswerEvent, Heartbeat, Progress, Question, QuestionError
from copilot.surfaces.remote import credential
from copilot.types.conversation import Turn
from copilot.types.errors import OperatorError


class ServiceError(OperatorError):
    """The running service did not answer as a service does."""


class RemoteChat:
    """Questions go to `POST /chat`; the service keeps the conversation."""

    def __init__(self, settings: Settings, address: str, conversation_id: str) -> None:
        self._address = address.rstrip("/")
        key = credential(settings, address)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.conversation_id = conversation_id

    def asked(self, question: Question) -> "RemoteAnswer":
        """Hand the question over; the stream begins when it is written down."""
        body = question.model_dump(mode="json", exclude={"key"})
        return RemoteAnswer(self, f"{self._address}/chat", self._headers, body)


class RemoteAnswer:
    """The event stream of one answer; closing it cancels."""

    def __init__(
        self, line: RemoteChat, url: str, headers: dict[str, str], body: dict[str, object]
    ) -> None:
        self._line, self._url, self._headers, self._body = line, url, headers, body
        self._cancelled = False

    def cancel(self) -> None:
        """Close the stream at its next event; the service sees that nobody waits."""
        self._cancelled = True

    def events(self, every_s: float) -> Iterator[AnswerEvent]:
        """Progress as the service tells it; at last the turn."""
        timeout = httpx.Timeout(10.0, read=60.0)
        try:
            with httpx.stream(
                "POST", self._url, json=self._body, headers=self._headers, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                    raise QuestionError(_detail(response))
                yield from self._told(response)
        except httpx.HTTPError as error:
            raise ServiceError(f"the service at {self._url} did not answer: {error}") from error

    def _told(self, response: httpx.Response) -> Iterator[AnswerEvent]:
        kind = ""
        for line in response.iter_lines():
            if self._cancelled:
                return
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                event = self._event(kind, line.removeprefix("data: "))
                if event is not None:
                    yield event
            elif line.startswith(":"):
                yield Heartbeat()

    def _event(self, kind: str, data: str) -> AnswerEvent | None:
        if kind == "conversation":
            self._line.conversation_id = json.loads(data)["conversation_id"]
        if kind == "progress":
            return Progress.model_validate_json(data)
        if kind == "done":
            return Turn.model_validate_json(data)
        if kind == "error":
            raise ServiceError(str(json.loads(data)["detail"]))
        return None


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError):
        return f"the service answered {response.status_code}"
