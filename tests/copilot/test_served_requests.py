"""What is asked of a server: context, options, schema, sampling."""

from typing import Literal

import pytest

from copilot.model.server import ServingOptions
from copilot.testing.ollama import (
    OllamaReply,
    PulledModel,
    ScriptedPolicy,
    ollama_server,
)
from copilot.testing.openai import openai_server
from copilot.types.model_io import (
    Message,
    ModelRequest,
    QuestionKind,
)
from tests.copilot import served_bench
from tests.copilot.served_bench import TEXT, ServedBench, asked, fault_of, said

bench_of_each = served_bench.bench_of_each
bench_of_ollama = served_bench.bench_of_ollama


LONG = "upstream timeout of payment at checkout; " * 700


def test_what_cannot_fit_is_refused_before_it_is_sent(bench: ServedBench) -> None:
    with bench.served(TEXT) as (model, server):
        error = fault_of(model, asked(LONG * 4))
        assert error.fault == "refused"
        assert "COPILOT_MODEL_CONTEXT" in error.problem
        assert server.chats() == []


def test_a_server_that_has_no_room_refuses_and_an_old_one_is_caught_cutting(
    ollama: ServedBench,
) -> None:
    small = (PulledModel(context=2048),)
    with ollama.server(ScriptedPolicy(TEXT), small) as server:
        error = fault_of(ollama.model(server), asked(LONG))
        assert (error.fault, "too long" in error.problem) == ("refused", True)
    with ollama_server(ScriptedPolicy(TEXT), small, obeys_truncate=False) as server:
        messages = tuple(Message(role="user", content=LONG[:4000]) for _ in range(6))
        error = fault_of(ollama.model(server), ModelRequest(messages=messages, max_tokens=512))
        assert len(server.seen[0].messages) < 6
    assert error.fault == "truncated"
    assert "a context of 2048, 16384 are required" in error.problem


def test_a_low_count_of_a_server_that_has_room_is_its_cache(bench: ServedBench) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario="cut")) as (model, _):
        assert said(list(model.stream(asked(LONG)))) == TEXT


def test_the_same_options_go_with_every_request_and_the_model_is_loaded_once(
    ollama: ServedBench,
) -> None:
    with ollama.served(TEXT) as (model, server):
        model.load()
        for priority, most in (("chat", 100), ("responder", 512), ("eval", 40)):
            list(model.stream(asked(priority=priority, most=most)))  # type: ignore[arg-type]
        varies = {"options", "num_predict", "messages"}
        bodies = server.chats()
        assert server.runners.loads == [("qwen3:30b", 16_384)]
    constant = [
        {name: value for name, value in {**body, **body["options"]}.items() if name not in varies}
        for body in bodies
        if isinstance(body["options"], dict)
    ]
    assert constant == [constant[0]] * 4
    assert (bodies[0]["truncate"], bodies[0]["shift"]) == (False, False)
    assert (bodies[0]["think"], bodies[0]["keep_alive"]) == (False, -1)


def test_sampling_is_as_recommended_with_thinking_and_without(ollama: ServedBench) -> None:
    for think, temperature, top_p in ((False, 0.7, 0.8), (True, 0.6, 0.95)):
        with ollama.served(TEXT, options=ServingOptions(think=think, seed=7)) as (model, server):
            list(model.stream(asked()))
            sent = server.chats()[0]["options"]
        assert isinstance(sent, dict)
        assert (sent["temperature"], sent["top_p"], sent["top_k"]) == (temperature, top_p, 20)
        assert (sent["min_p"], sent["seed"], sent["num_ctx"]) == (0.0, 7, 16_384)


@pytest.mark.parametrize(
    ("name", "kind", "think", "thought"),
    [
        ("qwen3:30b", "diagnosis", "auto", False),
        ("qwen3:30b", "diagnosis", True, True),
        ("qwen3:30b", "triage", True, False),
        ("qwen3:30b-instruct", "diagnosis", True, False),
        ("qwen3.6:27b", "triage", "auto", True),  # else it would ignore the schema
        ("gpt-oss:20b", "triage", True, "low"),
        ("gpt-oss:20b", "plan", True, "medium"),
        ("phi4:14b", "plan", "auto", False),
    ],
)
def test_who_thinks_about_what_is_the_family_s(
    ollama: ServedBench,
    name: str,
    kind: QuestionKind,
    think: bool | Literal["auto"],
    thought: object,
) -> None:
    with ollama.served(TEXT, name=name, options=ServingOptions(think=think)) as (model, server):
        question = asked().model_copy(update={"kind": kind, "reply_schema": {"type": "object"}})
        list(model.stream(question))
        assert server.chats()[0]["think"] == thought


def test_what_is_not_known_of_a_family_is_left_to_the_server(ollama: ServedBench) -> None:
    with ollama.served(TEXT, name="phi4:14b") as (model, server):
        list(model.stream(asked()))
        assert server.chats()[0]["options"] == {"seed": 42, "num_ctx": 16_384, "num_predict": 512}


def test_a_gateway_is_not_sent_again_what_it_refuses_by_name() -> None:
    bench = ServedBench("openai")
    with openai_server(ScriptedPolicy(TEXT), takes_extras=False) as server:
        model = bench.model(server)
        assert [said(list(model.stream(asked()))) for _ in range(2)] == [TEXT, TEXT]
        sent = [
            len({"top_k", "min_p", "chat_template_kwargs"} & set(one)) for one in server.chats()
        ]
    bench.close()
    assert sent[-2:] == [0, 0]


def test_a_schema_goes_along_as_the_api_wants_it() -> None:
    bench, schema = ServedBench("openai"), {"type": "object", "properties": {}}
    with bench.served("{}") as (model, server):
        list(model.stream(asked().model_copy(update={"reply_schema": schema, "kind": "plan"})))
        (sent,) = server.chats()
    bench.close()
    wanted = {"name": "reply", "schema": schema, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
