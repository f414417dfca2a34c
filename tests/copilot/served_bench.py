"""Scripted servers of either API with the adapter in front of them: what its tests work at."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import pytest

from copilot.model.ollama import Client
from copilot.model.openai_api import OpenAIClient
from copilot.model.served import Endpoint, ServedModel
from copilot.model.server import ModelAddress, ModelServer, ServingOptions, Timeouts
from copilot.ports import ModelError
from copilot.testing.ollama import (
    OllamaReply,
    OllamaServer,
    PulledModel,
    ReplyPolicy,
    Runners,
    ScriptedPolicy,
    ollama_server,
)
from copilot.testing.openai import openai_server
from copilot.types.breaker import Breaker
from copilot.types.model_io import (
    Message,
    ModelEvent,
    ModelRequest,
    Piece,
    Priority,
)

PATIENT = Timeouts(first_token_s=20, between_tokens_s=20, queue_s=20)
HASTY = Timeouts(first_token_s=0.3, between_tokens_s=0.3, queue_s=20)
TEXT = "Payment is slow: its connection pool is exhausted since 14:02. 支付服务变慢。"


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class RealTime(Time):
    def now(self) -> float:
        return time.monotonic()


Api = Literal["ollama", "openai"]


class ServedBench:
    """Servers of one API, and the adapter in front of them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._opened: list[ServedModel] = []

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def server(
        self,
        policy: ReplyPolicy,
        models: tuple[PulledModel, ...] = (PulledModel(),),
        runners: Runners | None = None,
    ) -> AbstractContextManager[OllamaServer]:
        if self.api == "openai":
            return openai_server(policy, models, runners=runners)
        return ollama_server(policy, models, runners=runners)

    def client(self, access: ModelAddress, timeouts: Timeouts = PATIENT) -> ModelServer:
        made = OpenAIClient if self.api == "openai" else Client
        return made(access, timeouts)

    def model(
        self,
        *servers: OllamaServer,
        timeouts: Timeouts = PATIENT,
        options: ServingOptions = ServingOptions(),  # noqa: B008 - frozen
        clock: Time | None = None,
        failures: int = 5,
        parallel: int = 1,
        name: str = "qwen3:30b",
        access: ModelAddress | None = None,
        expected: bool = False,
    ) -> ServedModel:
        clock = clock or Time()
        places = [access] if access else [ModelAddress(one.url) for one in servers]
        endpoints = [
            Endpoint(self.client(one, timeouts), Breaker(clock.now, failures)) for one in places
        ]
        model = ServedModel(
            name,
            endpoints,
            options,
            timeouts,
            parallel,
            now=clock.now,
            sleep=clock.sleep,
            expected=expected,
        )
        self._opened.append(model)
        return model

    @contextmanager
    def served(
        self,
        *replies: OllamaReply | str,
        timeouts: Timeouts = PATIENT,
        options: ServingOptions = ServingOptions(),  # noqa: B008
        name: str = "qwen3:30b",
    ) -> Iterator[tuple[ServedModel, OllamaServer]]:
        with self.server(ScriptedPolicy(*replies), (PulledModel(name=name),)) as server:
            yield self.model(server, timeouts=timeouts, options=options, name=name), server


def asked(text: str = "who?", priority: Priority = "responder", most: int = 512) -> ModelRequest:
    message = Message(role="user", content=text)
    return ModelRequest(messages=(message,), priority=priority, max_tokens=most)


def said(events: Sequence[ModelEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, Piece))


def fault_of(model: ServedModel, request: ModelRequest | None = None) -> ModelError:
    with pytest.raises(ModelError) as raised:
        list(model.stream(request or asked()))
    return raised.value


@pytest.fixture(params=["ollama", "openai"], name="bench")
def bench_of_each(request: pytest.FixtureRequest) -> Iterator[ServedBench]:
    """Once for each API."""
    made = ServedBench(request.param)
    yield made
    made.close()


@pytest.fixture(name="ollama")
def bench_of_ollama() -> Iterator[ServedBench]:
    """Ollama's alone."""
    made = ServedBench("ollama")
    yield made
    made.close()
