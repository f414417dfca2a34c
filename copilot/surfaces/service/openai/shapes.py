"""What clients send and what they are answered, as far as both go; unknown fields are ignored."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
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


class ResponseInput(LenientModel):
    """A message of a Responses request; what is none, such as a tool's output, has no role."""

    role: str = ""
    content: str | tuple[ContentPart, ...] = ""

    @property
    def text(self) -> str:
        """Its text, whatever shape it came in."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(one.text for one in self.content if one.type in ("input_text", "text"))


class ResponseRequest(LenientModel):
    """A request of the Responses API: one text, or the history; tools and instructions are ignored.

    `previous_response_id` goes on with the conversation of that response.
    """

    model: str = Field(default=MODEL, max_length=200)
    input: str | tuple[ResponseInput, ...]
    stream: bool = False
    user: str = Field(default="", max_length=200)
    previous_response_id: str | None = Field(default=None, max_length=200)

    def completion(self) -> CompletionRequest:
        """The same question as the older API asks it."""
        whole = self.input if not isinstance(self.input, str) else ()
        said = [one.text for one in whole if one.role == "user"]
        texts = [self.input] if isinstance(self.input, str) else said
        before = (self.previous_response_id or "").removeprefix("resp_").rpartition(".")[0]
        return CompletionRequest(
            model=self.model,
            messages=tuple(CompletionMessage(role="user", content=one) for one in texts or [""]),
            stream=self.stream,
            stream_options=StreamOptions(include_usage=True),
            user=self.user,
            metadata={"conversation_id": before} if before else None,
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all chunks of one reply share."""

    id: str
    created: int
    model: str
    told: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

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


class ResponseEnvelope(Envelope):
    """The same reply as the Responses API tells it: one message, as typed events where streamed."""

    def whole(self, text: str, usage: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The response in one."""
        counted = {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}
        return {
            **self._response("completed", [self._message("completed", text)]),
            "usage": {
                **{f"{name}_tokens": count for name, count in counted.items()},
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            },
        }

    def chunk(self, delta: dict[str, JsonValue], finish: str | None = None) -> str:
        """The events of one piece; what tools did is not told in this API."""
        if delta.get("role"):
            begun = self._response("in_progress", [])
            return (
                self._event("response.created", response=begun)
                + self._event("response.in_progress", response=begun)
                + self._event("response.output_item.added", item=self._message("in_progress", None))
                + self._event("response.content_part.added", part=_part(""), **self._place())
            )
        if piece := delta.get("content"):
            self.told.append(str(piece))
            return self._event(
                "response.output_text.delta", delta=piece, logprobs=[], **self._place()
            )
        return ""

    def usage(self, usage: dict[str, JsonValue]) -> str:
        """The events that end it."""
        text = "".join(self.told)
        item = self._message("completed", text)
        return (
            self._event("response.output_text.done", text=text, logprobs=[], **self._place())
            + self._event("response.content_part.done", part=_part(text), **self._place())
            + self._event("response.output_item.done", item=item)
            + self._event("response.completed", response=self.whole(text, usage))
        )

    def _place(self) -> dict[str, JsonValue]:
        return {"item_id": f"msg_{self.id}", "content_index": 0}

    def _event(self, kind: str, **more: JsonValue) -> str:
        where: dict[str, JsonValue] = {} if "response" in more else {"output_index": 0}
        number = next(self.numbers)
        told: dict[str, JsonValue] = {"type": kind, "sequence_number": number, **where, **more}
        return f"event: {kind}\n{_data(told)}"

    def _message(self, status: str, text: str | None) -> JsonValue:
        content: list[JsonValue] = [] if text is None else [_part(text)]
        return {
            "id": f"msg_{self.id}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _response(self, status: str, output: list[JsonValue]) -> dict[str, JsonValue]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
        }


def _part(text: str) -> JsonValue:
    return {"type": "output_text", "text": text, "annotations": []}


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
    return path == "/v1/models" or path.startswith(("/v1/models/", "/v1/chat/", "/v1/responses"))


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
