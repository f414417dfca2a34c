"""The OpenAI-compatible stream beside a model: our lines first, its checked ones under them."""

import json
import threading
import time
from collections.abc import Iterator, Sequence

import openai
import pytest

from copilot.surfaces.chat import ChatService
from copilot.testing.policies import PolicyModel, ReplySchema
from copilot.testing.service import CountedEngine
from tests.copilot import test_chat_service as chat_service

engine, desk, address = chat_service.engine, chat_service.desk, chat_service.address

HELD = "cart logged it 3 times."
LIE = "cart lost 57.3 % of its calls."


class HeldBackModel:
    """Asks for no tool; says its sentence only when it is let go."""

    def __init__(self, sentence: str) -> None:
        self.sentence, self.let_go = sentence, threading.Event()

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        if "sentences" not in json.dumps(schema):
            return '{"requests": []}'
        assert self.let_go.wait(20), "nobody read the beginning"
        return json.dumps({"sentences": [{"text": self.sentence, "cites": ["E1"]}]})


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="secret-key", max_retries=0) as opened:
        yield opened


def asked(client: openai.OpenAI) -> "openai.Stream[openai.types.chat.ChatCompletionChunk]":
    return client.chat.completions.create(
        model="incident-copilot",
        messages=[{"role": "user", "content": "why?"}],
        stream=True,
        stream_options={"include_usage": True},
    )


def read_until(
    stream: "Iterator[openai.types.chat.ChatCompletionChunk]", word: str = "\0"
) -> tuple[str, bool]:
    """The text up to a word, or to the end; and whether the last chunk told what it cost."""
    text, counted = "", False
    for one in stream:
        text += "".join(choice.delta.content or "" for choice in one.choices)
        counted = one.usage is not None
        if word in text:
            break
    return text, counted


@pytest.mark.parametrize(
    ("sentence", "under"),
    [pytest.param(HELD, HELD, id="holds"), pytest.param(LIE, "was not used", id="does not hold")],
)
def test_what_the_tools_found_is_read_while_the_model_still_writes(
    client: openai.OpenAI, desk: ChatService, engine: CountedEngine, sentence: str, under: str
) -> None:
    said = HeldBackModel(sentence)
    desk.model = PolicyModel(said)
    stream = asked(client)
    first, _ = read_until(stream, "cart")
    said.let_go.set()
    rest, counted = read_until(stream)
    (kept,) = engine.store.conversations.list()
    (turn,) = engine.store.conversations.turns(kept.id)
    assert turn.answer is not None
    assert first + rest == turn.answer.text
    assert under in rest
    assert LIE not in first + rest
    assert counted


def test_a_client_that_leaves_ends_the_answer(
    client: openai.OpenAI, desk: ChatService, engine: CountedEngine
) -> None:
    said = HeldBackModel(HELD)
    desk.model = PolicyModel(said)
    stream = asked(client)
    read_until(stream, "cart")
    stream.close()
    for _ in range(200):
        (kept,) = engine.store.conversations.list()
        (turn,) = engine.store.conversations.turns(kept.id)
        if turn.status != "asked":
            break
        time.sleep(0.05)
    said.let_go.set()
    assert turn.status == "cancelled"


def test_a_response_is_one_message_and_the_next_goes_on_with_it(client: openai.OpenAI) -> None:
    first = client.responses.create(model="incident-copilot", input="why?", tools=[])
    assert (first.status, first.output[0].type) == ("completed", "message")
    assert first.output_text
    history: openai.types.responses.ResponseInputParam = [
        {"role": "user", "content": [{"type": "input_text", "text": "and now?"}]}
    ]
    more = client.responses.create(
        model="incident-copilot", input=history, previous_response_id=first.id
    )
    assert more.id == first.id.rpartition(".")[0] + ".2"


def test_a_response_streams_its_text_in_pieces(client: openai.OpenAI) -> None:
    with client.responses.stream(model="incident-copilot", input="why?") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") > 1
    assert final.output_text
