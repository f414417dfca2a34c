"""What every model promises, the scripted one and the adapter in front of a real server."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from copilot.model import ReplyCheck, ask
from copilot.model.ollama import Client
from copilot.model.openai_api import OpenAIClient
from copilot.model.served import Endpoint, ServedModel
from copilot.model.server import ModelAddress, Timeouts
from copilot.ports import Model, ModelError
from copilot.testing.model import ScriptedModel
from copilot.testing.ollama import ScriptedPolicy, ollama_server
from copilot.testing.openai import openai_server
from copilot.types.breaker import Breaker
from copilot.types.model_io import Message, ModelRequest, Piece, ReplyEnd
from tools.types import FrozenModel

TEXTS = {
    "English": "The payment service answers slowly since the deploy at 14:02.",
    "Chinese": "支付服务从 14:02 的发布开始响应变慢，连接池已耗尽。",
    "code": "def act(state: State) -> None:\n    return runner.run(step, key=f'{id}:{n}')\n",
    "JSON": '{"p99_ms": [812.4416, 790.0312], "service": "checkout-7d9f4b6c5-x2k9q"}',
    "hexadecimal": "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "nothing": "",
}


class Verdict(FrozenModel):
    component: str


@contextmanager
def scripted(*replies: str) -> Iterator[Model]:
    yield ScriptedModel(list(replies))


@contextmanager
def on_ollama(*replies: str) -> Iterator[Model]:
    timeouts = Timeouts(first_token_s=10, between_tokens_s=10)
    with ollama_server(ScriptedPolicy(*replies)) as server:
        client = Client(ModelAddress(server.url), timeouts)
        model = ServedModel("qwen3:30b", [Endpoint(client, Breaker(time.monotonic))])
        yield model
        model.close()


@contextmanager
def on_openai(*replies: str) -> Iterator[Model]:
    timeouts = Timeouts(first_token_s=10, between_tokens_s=10)
    with openai_server(ScriptedPolicy(*replies)) as server:
        client = OpenAIClient(ModelAddress(server.url), timeouts)
        model = ServedModel("qwen3:30b", [Endpoint(client, Breaker(time.monotonic))])
        yield model
        model.close()


Made = Callable[..., AbstractContextManager[Model]]
every = pytest.mark.parametrize("made", [scripted, on_ollama, on_openai])


def asked(text: str, **more: object) -> ModelRequest:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=text))
    return ModelRequest.model_validate({"messages": messages, **more})


@every
@pytest.mark.parametrize(
    "reply", ["payment", "支付服务超时，重启后恢复。", "a\nb\n\n  c", "x" * 3000]
)
def test_a_reply_comes_in_pieces_and_ends_in_done(made: Made, reply: str) -> None:
    with made(reply) as model:
        *pieces, done = model.stream(asked("who?"))
    assert "".join(one.text for one in pieces if isinstance(one, Piece)) == reply
    assert isinstance(done, ReplyEnd)
    assert done.reason == "stop"
    assert done.model == model.name
    assert done.prompt_tokens
    assert done.reply_tokens


@every
def test_replies_are_given_in_the_order_they_are_asked_for(made: Made) -> None:
    with made("one", "two") as model:
        texts = [_text(model) for _ in range(2)]
    assert texts == ["one", "two"]


@every
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_estimate_is_never_below_what_is_counted(made: Made, text: str) -> None:
    with made("ok", "ok") as model:
        bare = _done(model, "").prompt_tokens
        full = _done(model, text).prompt_tokens
        assert bare is not None
        assert full is not None
        assert model.tokens(text) >= full - bare


@every
def test_an_estimate_grows_with_the_text(made: Made) -> None:
    with made() as model:
        assert model.tokens("") == 0
        assert model.tokens("payment " * 200) > model.tokens("payment " * 100)
        assert model.context_tokens > 0


@every
def test_a_reply_that_is_not_read_to_its_end_leaves_the_model_usable(made: Made) -> None:
    with made("the first reply is long enough for three pieces", "second") as model:
        stream = model.stream(asked("who?"))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert _text(model) == "second"


@every
def test_a_value_is_asked_for_by_its_schema(made: Made) -> None:
    with made('{"component": "payment"}') as model:
        answer = ask(model, asked("who?"), Verdict, ReplyCheck)
    assert answer.value == Verdict(component="payment")


def test_who_is_away_is_said_to_be_unreachable() -> None:
    client = Client(ModelAddress("http://127.0.0.1:9"), Timeouts())
    away = ServedModel(
        "qwen3:30b", [Endpoint(client, Breaker(time.monotonic))], sleep=lambda _s: None
    )
    for model in (ScriptedModel(), away):
        with pytest.raises(ModelError) as raised:
            list(model.stream(asked("who?")))
        assert raised.value.fault == "unreachable"


def _text(model: Model) -> str:
    events = model.stream(asked("who?"))
    return "".join(one.text for one in events if isinstance(one, Piece))


def _done(model: Model, text: str) -> ReplyEnd:
    *_, done = model.stream(asked(text))
    assert isinstance(done, ReplyEnd)
    return done
