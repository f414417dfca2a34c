"""Our Ollama keeps the protocol: the words, the statuses, the semantics of the real one."""

import json
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Any, Literal

import httpx
import ollama
import pytest
from pydantic import BaseModel, ConfigDict, Field

from copilot.testing.ollama import (
    EMBEDS,
    ChaosPolicy,
    ChatRequest,
    Function,
    LazyPolicy,
    LoopingPolicy,
    NoisePolicy,
    OllamaReply,
    OllamaServer,
    PulledModel,
    ReplyPolicy,
    ReplyScenario,
    Runners,
    ScriptedPolicy,
    ToolCall,
    ollama_server,
)

QWEN = "qwen3:30b"
PLAIN = PulledModel(name="plain", capabilities=("completion",))


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(ScriptedPolicy("hello there"), (PulledModel(), PLAIN, EMBEDS)) as running:
        yield running


def chat(server: OllamaServer, **more: object) -> httpx.Response:
    body = {"model": QWEN, "messages": [{"role": "user", "content": "hi"}], **more}
    return httpx.post(f"{server.url}/api/chat", json=body)


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.content.split(b"\n") if line]


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("chat", None, 400, "missing request body"),
        ("chat", {}, 400, "model is required"),
        ("chat", {"model": "x"}, 404, "model 'x' not found"),
        ("embed", {"model": "x"}, 404, 'model "x" not found, try pulling it first'),
        ("show", {"model": "x"}, 404, "model 'x' not found"),
        ("chat", {"model": EMBEDS.name}, 400, f'"{EMBEDS.name}" does not support chat'),
        ("chat", {"model": "plain", "think": True}, 400, '"plain" does not support thinking'),
        (
            "chat",
            {"model": "plain", "tools": [{}]},
            400,
            "registry.ollama.ai/library/plain:latest does not support tools",
        ),
        (
            "chat",
            {"model": QWEN, "top_logprobs": 21},
            400,
            "top_logprobs must be between 0 and 20",
        ),
        ("chat", {"model": QWEN, "keep_alive": "-1"}, 400, 'time: invalid duration "-1"'),
    ],
)
def test_what_is_wrong_is_said_in_its_own_words(
    server: OllamaServer, path: str, body: object, status: int, error: str
) -> None:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = httpx.post(f"{server.url}/api/{path}", content=sent)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": 5},
        {"options": {"num_context": 5}},
        {"messages": [{"role": "user", "text": "hi"}]},
        {"messages": [{"role": "tool", "content": "done"}]},
    ],
)
def test_a_field_it_does_not_know_is_refused(server: OllamaServer, more: dict[str, object]) -> None:
    assert chat(server, **more).status_code == 400


def test_a_wrong_method_or_path_is_told_apart(server: OllamaServer) -> None:
    assert httpx.get(f"{server.url}/api/chat").status_code == 405
    assert httpx.post(f"{server.url}/api/tags").status_code == 405
    assert httpx.get(f"{server.url}/api/nothing").status_code == 404
    assert httpx.get(server.url).text == "Ollama is running"
    assert httpx.head(server.url).status_code == 200


def test_a_stream_is_lines_of_json_and_the_last_one_counts(server: OllamaServer) -> None:
    answer = chat(server)
    *said, last = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "".join(one["message"]["content"] for one in said) == "hello there"
    assert not any(one["done"] for one in said)
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "stop", "")
    assert last["prompt_eval_count"] > 0
    assert last["total_duration"] >= last["load_duration"] > 0


def test_counters_that_are_zero_are_left_out(server: OllamaServer) -> None:
    chat(server)
    assert "load_duration" not in lines(chat(server))[-1]


def test_without_streaming_the_answer_is_one_object(server: OllamaServer) -> None:
    answer = chat(server, stream=False)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["message"] == {"role": "assistant", "content": "hello there"}


def test_the_official_client_reads_it_all() -> None:
    reply = OllamaReply(text="hello", thinking="hm")
    with ollama_server(ScriptedPolicy(reply)) as server:
        client = ollama.Client(server.url)
        whole = client.chat(QWEN, [{"role": "user", "content": "hi"}], think=True)
        shown, pulled, loaded = client.show(QWEN), client.list(), client.ps()
        rows = client.embed(EMBEDS.name, ["disk full", "磁盘满"]).embeddings
        client.close()  # type: ignore[no-untyped-call]
    assert (whole.message.content, whole.message.thinking) == ("hello", "hm")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert (shown.modelinfo or {})["qwen3moe.context_length"] == 262_144
    assert [one.model for one in pulled.models] == [QWEN, EMBEDS.name]
    assert [(one.model, one.context_length) for one in loaded.models] == [(QWEN, 4096)]
    assert len(rows) == 2


@pytest.mark.parametrize(("scenario", "frames"), [("tool_call", [1, 1]), ("tool_call_at_end", [2])])
def test_tool_calls_come_in_both_shapes(scenario: ReplyScenario, frames: list[int]) -> None:
    calls = tuple(ToolCall(function=Function(name=name)) for name in ("logs", "metrics"))
    with ollama_server(ScriptedPolicy(OllamaReply(scenario=scenario, calls=calls))) as server:
        found = [one["message"].get("tool_calls", []) for one in lines(chat(server))]
    assert [len(one) for one in found if one] == frames
    assert {call["function"]["name"] for one in found for call in one} == {"logs", "metrics"}
    assert all(call["id"].startswith("call_") for one in found for call in one)


# --- context, loading ----------------------------------------------------------------------------


def test_the_oldest_messages_are_dropped_in_silence_and_system_and_last_stay(
    server: OllamaServer,
) -> None:
    turns = [{"role": "user", "content": f"question {n} " + "word " * 60} for n in range(20)]
    messages = [{"role": "system", "content": "be brief"}, *turns]
    answer = chat(server, messages=messages, options={"num_ctx": 400})
    kept = server.seen[0].messages
    assert answer.status_code == 200
    assert lines(answer)[-1]["prompt_eval_count"] <= 400
    assert (kept[0].role, kept[-1].content) == ("system", turns[-1]["content"])
    assert 2 < len(kept) < 21


def test_told_not_to_truncate_it_refuses(server: OllamaServer) -> None:
    answer = chat(
        server,
        messages=[{"role": "user", "content": "word " * 900}],
        options={"num_ctx": 400},
        truncate=False,
    )
    assert answer.status_code == 400
    assert "exceeds the available context size (400 tokens)" in answer.json()["error"]


def test_another_context_or_shift_loads_the_model_anew_and_other_options_do_not(
    server: OllamaServer,
) -> None:
    httpx.post(f"{server.url}/api/generate", json={"model": QWEN, "keep_alive": -1})
    for options in ({"num_ctx": 8192}, {"num_ctx": 8192, "num_predict": 5, "temperature": 0.1}):
        chat(server, options=options)
    chat(server, options={"num_ctx": 8192}, shift=False)
    assert server.runners.loads == [(QWEN, 4096), (QWEN, 8192), (QWEN, 8192)]


def test_keep_alive_runs_out_and_minus_one_does_not() -> None:
    now = [1000.0]
    runners = Runners((PulledModel(),), lambda: now[0])
    with ollama_server(ScriptedPolicy("ok"), runners=runners) as server:
        chat(server, keep_alive="10m")
        now[0] += 599
        assert len(httpx.get(f"{server.url}/api/ps").json()["models"]) == 1
        now[0] += 2
        assert httpx.get(f"{server.url}/api/ps").json() == {"models": []}
        chat(server, keep_alive=-1)
        chat(server)
        now[0] += 1e9
        assert len(httpx.get(f"{server.url}/api/ps").json()["models"]) == 1
        unloaded = lines(chat(server, messages=[], keep_alive=0))
        assert unloaded[0]["done_reason"] == "unload"
        assert httpx.get(f"{server.url}/api/ps").json() == {"models": []}


def test_an_embedder_pushes_the_model_out_where_there_is_room_for_one() -> None:
    runners = Runners((PulledModel(), EMBEDS), lambda: 0.0, most_loaded=1)
    with ollama_server(ScriptedPolicy("ok"), runners=runners) as server:
        chat(server)
        httpx.post(f"{server.url}/api/embed", json={"model": EMBEDS.name, "input": "disk"})
        chat(server)
    assert [name for name, _ in server.runners.loads] == [QWEN, EMBEDS.name, QWEN]


def test_a_second_request_waits_for_the_only_slot() -> None:
    hanging = OllamaReply(text="word " * 9, scenario="hangs_midway")
    with ollama_server(ScriptedPolicy(hanging, "second")) as server:
        url, body = f"{server.url}/api/chat", {"model": QWEN, "messages": [{"role": "user"}]}
        answers: list[httpx.Response] = []
        second = threading.Thread(target=lambda: answers.append(chat(server)))
        with httpx.stream("POST", url, json=body) as first:
            blocks = first.iter_bytes()
            next(blocks)
            second.start()
            assert server.wait_for(lambda one: len(one.recorded) == 2)
            assert len(server.seen) == 1
        second.join(20)
        assert [one.status_code for one in answers] == [200]


# --- policies ------------------------------------------------------------------------------------


class Kind(StrEnum):
    cpu = "cpu"
    memory = "memory"


class Cause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    component: str = Field(min_length=1, max_length=20)
    kind: Kind
    likelihood: float = Field(ge=0, le=1)
    cites: list[str] = Field(min_length=1, max_length=3)
    more: "Cause | None" = None


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    causes: list[Cause] = Field(max_length=5)
    rank: int = Field(gt=0, lt=4)
    state: Literal["open", "closed"]
    ids: list[str] = Field(default=[], max_length=2)
    evidence: str = Field(pattern=r"^E[1-9][0-9]{0,2}$")
    labels: dict[str, int] = {}
    pair: tuple[int, str]
    said: str | None


def replies(policy: ReplyPolicy, count: int, schema: bool = True) -> list[str]:
    shape = Verdict.model_json_schema() if schema else None
    return [policy(ChatRequest(model=QWEN, format=shape)).text for _ in range(count)]


@pytest.mark.parametrize("policy", [NoisePolicy, LazyPolicy, LoopingPolicy])
def test_every_policy_satisfies_the_schema(policy: Callable[[], ReplyPolicy]) -> None:
    for text in replies(policy(), 100):
        Verdict.model_validate_json(text)


def test_noise_is_the_same_for_a_seed_and_another_each_time() -> None:
    first, again, other = (replies(NoisePolicy(seed), 5) for seed in (1, 1, 2))
    assert first == again != other
    assert all(one != two for one, two in pairwise(first))


def test_who_loops_says_the_same_and_the_lazy_one_nearly_nothing() -> None:
    assert len(set(replies(LoopingPolicy(), 3))) == 1
    assert set(replies(LoopingPolicy("stop"), 3, schema=False)) == {"stop"}
    assert set(replies(LazyPolicy(), 2, schema=False)) == {"I don't know."}


def test_a_policy_that_breaks_is_not_hidden() -> None:
    def broken(_request: ChatRequest) -> OllamaReply:
        raise LookupError("nothing to say")

    def asked() -> None:
        with ollama_server(broken) as server:
            with pytest.raises(httpx.RemoteProtocolError):
                chat(server)
            assert server.wait_for(lambda one: bool(one.broke))

    with pytest.raises(LookupError, match="nothing to say"):
        asked()


def test_chaos_is_the_same_for_a_seed() -> None:
    chaotic = [ChaosPolicy(ScriptedPolicy("ok"), seed=3, rate=0.5) for _ in range(2)]
    request = ChatRequest(model=QWEN)
    first, again = ([one(request).scenario for _ in range(30)] for one in chaotic)
    assert first == again
    assert len(set(first)) > 4
