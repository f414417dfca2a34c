"""What clients send and what they are answered, as far as both go; unknown fields are ignored."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import JSONResponse

from copilot.types.conversation import Answer

MODEL = "incident-copilot"
"""The name clients choose; `incident-copilot:INCIDENT` is about that incident."""


class LenientModel(BaseModel):
    """What others send: more than we read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ContentPart(LenientModel):
    """A piece of a message; only text is read."""

    type: str = "text"
    text: str = ""


class CompletionMessage(LenientModel):
    """One message of the history."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | tuple[ContentPart, ...] | None = None

    @property
    def text(self) -> str:
        """Its text, whatever shape it came in."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(part.text for part in self.content if part.type == "text")


class StreamOptions(LenientModel):
    """What a stream should carry besides."""

    include_usage: bool = False


class CompletionRequest(LenientModel):
    """A request for the next message."""

    model: str = Field(default=MODEL, max_length=200)
    messages: tuple[CompletionMessage, ...] = Field(min_length=1, max_length=2_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str = Field(default="", max_length=200)
    metadata: dict[str, JsonValue] | None = None

    @property
    def questions(self) -> tuple[str, ...]:
        """What the person said, in order; the last is the question."""
        return tuple(one.text for one in self.messages if one.role == "user")

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with what it cost."""
        return self.stream_options is not None and self.stream_options.include_usage


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all chunks of one reply share."""

    id: str
    created: int
    model: str

    def whole(self, text: str, usage: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The reply in one."""
        message: JsonValue = {"role": "assistant", "content": text, "refusal": None}
        choice: JsonValue = {
            "index": 0,
            "message": message,
            "finish_reason": "stop",
            "logprobs": None,
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage}

    def chunk(self, delta: dict[str, JsonValue], finish: str | None = None) -> str:
        """One event of the stream."""
        choice: JsonValue = {
            "index": 0,
            "delta": delta,
            "finish_reason": finish,
            "logprobs": None,
        }
        return _data({**self._head("chat.completion.chunk"), "choices": [choice]})

    def usage(self, usage: dict[str, JsonValue]) -> str:
        """The event that tells the cost."""
        return _data({**self._head("chat.completion.chunk"), "choices": [], "usage": usage})

    def _head(self, kind: str) -> dict[str, JsonValue]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
        }


def pieces(text: str) -> Iterator[str]:
    """The text in lines: it was checked whole, so it may come in any pieces."""
    yield from text.splitlines(keepends=True)


def usage_of(answer: Answer | None) -> dict[str, JsonValue]:
    """Tokens of the model that was asked; none where none was."""
    cost = answer.cost if answer is not None else None
    prompt, reply = (cost.prompt_tokens, cost.reply_tokens) if cost else (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def _data(document: dict[str, JsonValue]) -> str:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"


OpenAIErrorType = Literal[
    "invalid_request_error", "authentication_error", "not_found_error", "api_error"
]


def speaks_openai(path: str) -> bool:
    """Whether a path is one of that API; others under /v1 are not."""
    return path == "/v1/models" or path.startswith(("/v1/models/", "/v1/chat/"))


def openai_error(status: int, message: str) -> dict[str, JsonValue]:
    """The error object."""
    kind: OpenAIErrorType = "api_error" if status >= 500 else "invalid_request_error"
    if status == 401:
        kind = "authentication_error"
    if status == 404:
        kind = "not_found_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def refused(status: int, message: str) -> JSONResponse:
    """The error as an answer."""
    return JSONResponse(openai_error(status, message), status)
