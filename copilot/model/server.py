"""A server of models as the adapter sees it, whichever API it speaks."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, JsonValue

from copilot.model.families import ModelApi, Thinking, family_of
from copilot.types.checks import Check
from copilot.types.model_io import Message, ModelRequest

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of one line of a stream; a server that sends more without an end is broken."""

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of a whole reply. A line holds a token in about 120 bytes of JSON, so that this is more
than the longest context of a model we know, 262,144 tokens; source: its model card, Qwen3-2507."""


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """Where a server is and how it is reached; nothing of it is taken from the environment."""

    url: str
    key: str = ""
    headers: Mapping[str, str] | None = None
    proxy: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take, in seconds. The first token waits for a model to be loaded."""

    connect_s: float = 3.0
    queue_s: float = 60.0
    first_token_s: float = 180.0
    between_tokens_s: float = 60.0
    total_s: float = 600.0
    probe_s: float = 1.0

    def within(self, request: ModelRequest) -> "Timeouts":
        """The same, none longer than what the request as a whole may take."""
        most = request.within_s
        if most is None:
            return self
        return Timeouts(
            self.connect_s,
            min(self.queue_s, most),
            min(self.first_token_s, most),
            min(self.between_tokens_s, most),
            min(self.total_s, most),
            self.probe_s,
        )


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What is the same for every question to a model.

    `think` is the operator's word: `auto` is what the model's family is best at. Evals fix the seed
    and run several times. `keep_alive` is in seconds, or as "10m"; -1 keeps it for good.
    """

    context: int = 16_384
    think: bool | Literal["auto"] = "auto"
    keep_alive: float | str = -1
    seed: int = 42

    def thought(self, model: str, request: ModelRequest, api: ModelApi = "ollama") -> Thinking:
        """Whether this request lets this model think."""
        schema = request.reply_schema is not None
        return family_of(model).thought(self.think, request.kind, api, schema=schema)


class ReplyMessage(BaseModel):
    """The message of a line; tool calls are left out, since no tool is ever offered."""

    content: str = ""
    thinking: str | None = None


class ReplyLine(BaseModel):
    """One line of a streamed answer. Durations are in nanoseconds; zero counters are left out."""

    error: str = ""
    message: ReplyMessage = ReplyMessage()
    done: bool = False
    done_reason: str = ""
    load_duration: int = 0
    prompt_eval_count: int | None = None
    eval_count: int | None = None


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What a server says of a model; None where it says nothing."""

    found: str
    abilities: frozenset[str] | None = None
    most_context: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeTool:
    """A tool that a model is offered once, to see whether it calls it."""

    question: Message
    declared: JsonValue
    tokens: int


PROBE_TOOL = ProbeTool(
    Message(role="user", content="What is the error rate of checkout now? Call the tool."),
    {
        "type": "function",
        "function": {
            "name": "error_rate",
            "description": "The error rate of a service, in per cent.",
            "parameters": {
                "type": "object",
                "properties": {"service": {"type": "string"}},
                "required": ["service"],
            },
        },
    },
    256,
)


class ModelServer(Protocol):
    """One server; every call but `lines` is short. Raises `ModelError`."""

    url: str
    api: ModelApi

    def names(self) -> frozenset[str]:
        """The models it has."""
        ...

    def context_of(self, model: str) -> int | None:
        """The context a model is loaded with; None where it is not loaded or not said."""
        ...

    def lines(
        self, model: str, request: ModelRequest, most: int, options: ServingOptions
    ) -> AbstractContextManager[Iterator[ReplyLine]]:
        """A reply of at most `most` tokens as it streams; leaving the context cancels it."""
        ...

    def load(self, model: str, options: ServingOptions) -> None:
        """Have the model ready before it is asked, where that can be done."""
        ...

    def said(self) -> Check:
        """What it is, and which version."""
        ...

    def traits(self, model: str) -> ModelTraits:
        """What it says of a model."""
        ...

    def calls_tools(self, model: str, options: ServingOptions) -> bool:
        """Whether the model calls a tool that is offered, asked once."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
