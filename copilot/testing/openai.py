"""A server of OpenAI's API of our own: real HTTP, strict, with a scripted model behind it.

It speaks as vLLM does (its `/v1/models` says how long a request may be, and one that is longer is
refused), takes the same policies as the one that plays Ollama, and fails in the same ways.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from copilot.testing.ollama.counting import counted
from copilot.testing.ollama.protocol import ChatMessage, ChatOptions, ChatRequest, RequestError
from copilot.testing.ollama.reply import ReplyPolicy
from copilot.testing.ollama.runners import PulledModel, Runners, checked
from copilot.testing.ollama.script import ConnectionDrop, ErrorResponse, RawBytes, ScriptedAction
from copilot.testing.ollama.server import OllamaHandler, OllamaServer, running

EXTRAS = ("top_k", "min_p", "chat_template_kwargs")
"""What vLLM, SGLang and llama.cpp take beside OpenAI's own fields."""


class _StrictFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JsonSchemaFormat(_StrictFields):
    """`response_format.json_schema`."""

    name: str
    schema_: dict[str, JsonValue] = {}
    strict: bool = False

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_")
    )


class ResponseFormat(_StrictFields):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class UsageOption(_StrictFields):
    """`stream_options`."""

    include_usage: bool = False


class VllmRequest(_StrictFields):
    """`POST /v1/chat/completions`, with the fields of vLLM."""

    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool = False
    stream_options: UsageOption = UsageOption()
    max_tokens: int = 16_384
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    response_format: ResponseFormat | None = None
    tools: tuple[dict[str, JsonValue], ...] = ()
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    chat_template_kwargs: dict[str, JsonValue] = {}

    def as_ollama(self) -> ChatRequest:
        """The same question as a policy reads it."""
        asked = self.response_format and self.response_format.json_schema
        return ChatRequest(
            model=self.model,
            messages=self.messages,
            stream=True,
            format=asked.schema_ if asked else None,
            tools=self.tools,
            think=bool(self.chat_template_kwargs.get("enable_thinking", True)),
            options=ChatOptions(num_predict=self.max_tokens, seed=self.seed),
            truncate=False,
            shift=False,
        )


class OpenAIServer(OllamaServer):
    """Plays vLLM. Without `takes_extras` it is a gateway that refuses what OpenAI has not."""

    chat_path = "/v1/chat/completions"

    def __init__(
        self,
        policy: ReplyPolicy,
        models: tuple[PulledModel, ...] = (PulledModel(context=32_768),),
        *,
        port: int = 0,
        runners: Runners | None = None,
        takes_extras: bool = True,
    ) -> None:
        longest = max((one.context for one in models), default=0)
        kept = runners or Runners(models, lambda: 0.0, default_context=longest)
        super().__init__(policy, models, port=port, runners=kept)
        self.takes_extras = takes_extras

    def handler(self) -> type[OllamaHandler]:
        """What answers a connection."""
        return OpenAIHandler

    @property
    def url(self) -> str:
        """Where it listens, as its clients want it."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class OpenAIHandler(OllamaHandler):
    """Answers one connection in OpenAI's words."""

    server: OpenAIServer
    stream_type = "text/event-stream; charset=utf-8"

    def refuse(self, refused: RequestError) -> None:
        """Say what is wrong with a request."""
        self.json(refused.status, _error(refused.error, refused.status))

    def answer_to(self, method: str, path: str, raw: bytes) -> None:
        """Serve one request."""
        if (method, path) == ("GET", "/v1/models"):
            listed = [_listed(one) for one in self.server.runners.pulled]
            self.json(200, {"object": "list", "data": listed})
        elif (method, path) == ("POST", self.server.chat_path):
            self._complete(raw)
        else:
            self.json(404, {"detail": "Not Found"})

    def _complete(self, raw: bytes) -> None:
        asked = self._parsed(raw)
        try:
            model = checked(asked.as_ollama(), self.server.runners)
        except RequestError as error:
            if error.status == 404:
                raise RequestError(404, f"The model `{asked.model}` does not exist.") from error
            raise
        shown = counted(asked.messages)
        if shown + asked.max_tokens > model.context:
            raise RequestError(
                400,
                f"This model's maximum context length is {model.context} tokens. However, you "
                f"requested {asked.max_tokens} output tokens and your prompt contains {shown}.",
            )
        if asked.stream:
            self.reply_to(asked.as_ollama(), model)
        else:
            offered = asked.tools if "tools" in model.capabilities else ()
            calls = [_called(one) for one in offered[:1]]
            message = {"role": "assistant", "content": "ok", "tool_calls": calls}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.json(200, {**_head(asked.model), "object": "chat.completion", "choices": [choice]})

    def _parsed(self, raw: bytes) -> VllmRequest:
        try:
            asked = VllmRequest.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RequestError(400, f"{where or 'body'}: {first['msg']}") from error
        extra = next((one for one in EXTRAS if one in asked.model_fields_set), "")
        if extra and not self.server.takes_extras:
            raise RequestError(400, f"Unrecognized request argument supplied: {extra}")
        return asked

    def play(self, actions: Iterable[ScriptedAction], stream: bool) -> None:
        """Write a reply out as server-sent events."""
        super().play(_events(actions), stream)


def _events(actions: Iterable[ScriptedAction]) -> Iterator[ScriptedAction]:
    """What would be written by Ollama, line by line, as events."""
    rest = b""
    for action in actions:
        match action:
            case RawBytes():
                *whole, rest = (rest + action.raw).split(b"\n")
                yield from (RawBytes(_event(line)) for line in whole)
            case ErrorResponse():
                yield _refusal(action)
            case ConnectionDrop():
                if rest:
                    yield RawBytes(b"data: " + rest)
                yield action
            case _:
                yield action


def _event(line: bytes) -> bytes:
    try:
        said = json.loads(line)
    except ValueError:
        return b"data: " + line + b"\n\n"
    if "error" in said:
        return _data(_error(said["error"], 500))
    message, head = said["message"], _head(said["model"])
    delta = {"role": "assistant", "content": message["content"]}
    if message.get("thinking"):
        delta = {"role": "assistant", "reasoning_content": message["thinking"]}
    reason = {"length": "length"}.get(said.get("done_reason"), "stop") if said["done"] else None
    chunk = _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    if not said["done"]:
        return chunk
    counts = said.get("prompt_eval_count"), said.get("eval_count")
    if counts[0] is None or counts[1] is None:
        return chunk + b"data: [DONE]\n\n"
    usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1]}
    usage["total_tokens"] = sum(usage.values())
    return chunk + _data({**head, "choices": [], "usage": usage}) + b"data: [DONE]\n\n"


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _head(model: str) -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}


def _called(tool: dict[str, JsonValue]) -> dict[str, object]:
    function = tool["function"]
    assert isinstance(function, dict)
    called = {"name": function["name"], "arguments": "{}"}
    return {"id": "call_1", "type": "function", "function": called}


def _error(text: str, status: int) -> dict[str, object]:
    kind = "NotFoundError" if status == 404 else "BadRequestError"
    return {"error": {"message": text, "type": kind, "param": None, "code": status}}


def _refusal(refusal: ErrorResponse) -> ErrorResponse:
    """The same refusal in OpenAI's words, where it is Ollama's and not of something before it."""
    try:
        said = json.loads(refusal.body)["error"]
    except ValueError:
        return refusal
    return ErrorResponse(refusal.status, json.dumps(_error(said, refusal.status)))


def _listed(model: PulledModel) -> dict[str, object]:
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": "vllm",
        "max_model_len": model.context,
    }


@contextmanager
def openai_server(
    policy: ReplyPolicy,
    models: tuple[PulledModel, ...] = (PulledModel(context=32_768),),
    *,
    port: int = 0,
    runners: Runners | None = None,
    takes_extras: bool = True,
) -> Iterator[OpenAIServer]:
    """A running server, stopped at the end; raises what its policy raised meanwhile."""
    server = OpenAIServer(policy, models, port=port, runners=runners, takes_extras=takes_extras)
    with running(server):
        yield server
