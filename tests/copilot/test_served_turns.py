"""Whose turn it is, who leaves, and servers that go away."""

import threading
import time

import pytest

from copilot.model.server import ModelAddress, Timeouts
from copilot.testing.ollama import (
    OllamaReply,
    PulledModel,
    Runners,
    ScriptedPolicy,
)
from tests.copilot import served_bench
from tests.copilot.served_bench import HASTY, TEXT, ServedBench, Time, asked, fault_of, said

bench_of_each = served_bench.bench_of_each


def test_closing_the_stream_is_seen_by_the_server_and_frees_the_slot(bench: ServedBench) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with bench.served(hanging, TEXT) as (model, server):
        model.endpoints[0].thinks_aloud = False
        stream = model.stream(asked())
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert server.wait_for(lambda one: one.cancelled == 1)
        assert said(list(model.stream(asked()))) == TEXT


def test_who_waits_is_let_in_by_priority_then_in_turn(bench: ServedBench) -> None:
    order: list[str] = []
    with bench.served(OllamaReply(text=TEXT, scenario="hangs_midway"), TEXT) as (model, server):
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)  # holds the only slot
        threads = []
        for number, priority in enumerate(("eval", "eval", "responder", "chat", "chat")):
            request = asked(f"{priority} {number}", priority)  # type: ignore[arg-type]
            threads.append(threading.Thread(target=lambda one=request: list(model.stream(one))))
            threads[-1].start()
            _until(lambda count=number: model.waiting == count + 1)
        holder.close()  # type: ignore[attr-defined]
        for thread in threads:
            thread.join(20)
        order = [one.said for one in server.seen[1:]]
    assert order == ["chat 3", "chat 4", "responder 2", "eval 0", "eval 1"]


def test_a_wait_for_a_turn_has_an_end(bench: ServedBench) -> None:
    timeouts = Timeouts(first_token_s=20, between_tokens_s=20, queue_s=0.05)
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with bench.served(hanging, timeouts=timeouts) as (model, server):
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        error = fault_of(model)
        assert (error.fault, "waited 0.05 s" in error.problem) == ("busy", True)
        assert len(server.chats()) == 1
        holder.close()  # type: ignore[attr-defined]


def test_a_server_that_fails_again_and_again_is_left_alone_and_looked_for_later(
    bench: ServedBench,
) -> None:
    clock = Time()
    with bench.server(ScriptedPolicy(OllamaReply(scenario="crashed"))) as server:
        model = bench.model(server, clock=clock, failures=2)
        assert [fault_of(model).fault for _ in range(3)] == ["broken", "broken", "open"]
        assert len(server.chats()) == 2
        server.policy = ScriptedPolicy(TEXT)
        assert fault_of(model).fault == "open"
        clock.sleep(31)
        assert said(list(model.stream(asked()))) == TEXT


def test_a_server_that_hangs_is_left_alone_after_two_timeouts_and_ever_longer(
    bench: ServedBench,
) -> None:
    clock = Time()
    with bench.server(ScriptedPolicy(OllamaReply(scenario="hangs"))) as server:
        model = bench.model(server, timeouts=HASTY, clock=clock)
        assert [fault_of(model).fault for _ in range(3)] == ["timeout", "timeout", "open"]
        for pause in (31, 61):
            clock.sleep(pause)
            assert [fault_of(model).fault for _ in range(2)] == ["timeout", "open"]
        clock.sleep(61)
        assert fault_of(model).fault == "open"


def test_a_request_the_server_refuses_says_nothing_of_its_health(bench: ServedBench) -> None:
    with bench.server(ScriptedPolicy(OllamaReply(scenario="bad_request"))) as server:
        model = bench.model(server, failures=1)
        assert [fault_of(model).fault for _ in range(3)] == ["refused"] * 3


def test_a_server_that_dies_is_gone_around_where_there_is_another(bench: ServedBench) -> None:
    with bench.server(ScriptedPolicy("from the second")) as second:
        with bench.server(ScriptedPolicy("from the first")) as first:
            model = bench.model(first, second)
            assert said(list(model.stream(asked()))) == "from the first"
        assert said(list(model.stream(asked()))) == "from the second"
        assert said(list(model.stream(asked()))) == "from the second"


@pytest.mark.parametrize(
    ("has", "taken"),
    [
        (("qwen3:30b", "qwen3:30b-instruct", "llama3.3:70b"), "qwen3:30b-instruct"),
        (("qwen3.8:27b", "qwen3:30b-instruct"), "qwen3.8:27b"),
        (("Qwen/Qwen3.8-27B-FP8",), "Qwen/Qwen3.8-27B-FP8"),
        (("qwen3:30b",), "qwen3:30b"),
        (("qwen3:0.6b", "qwen3-embedding:0.6b"), "auto"),
    ],
)
def test_auto_takes_the_best_that_a_server_has(
    bench: ServedBench, has: tuple[str, ...], taken: str
) -> None:
    models = tuple(PulledModel(name=one) for one in has)
    with bench.server(ScriptedPolicy(TEXT), models) as server:
        model = bench.model(server, name="auto")
        model.look(*model.endpoints)
        assert model.name.removesuffix(":latest") == taken
        if taken == "auto":
            assert "set COPILOT_MODEL" in fault_of(model).problem


def test_a_server_set_up_for_one_model_of_no_known_family_is_taken_at_its_word() -> None:
    bench, own = ServedBench("openai"), (PulledModel(name="our-tuned-model"),)
    with bench.server(ScriptedPolicy(TEXT), own) as server:
        model = bench.model(server, name="auto")
        model.look(*model.endpoints)
        assert (model.name, said(list(model.stream(asked())))) == ("our-tuned-model", TEXT)
    bench.close()


def test_the_least_loaded_of_several_servers_is_asked(bench: ServedBench) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with (
        bench.server(ScriptedPolicy(hanging)) as first,
        bench.server(ScriptedPolicy("from the second")) as second,
    ):
        model = bench.model(first, second, parallel=2)
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        assert said(list(model.stream(asked()))) == "from the second"
        holder.close()  # type: ignore[attr-defined]


def test_two_slots_answer_two_at_a_time(bench: ServedBench) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    runners = Runners((PulledModel(),), time.time, parallel=2)
    with bench.server(ScriptedPolicy(hanging, TEXT), runners=runners) as server:
        model = bench.model(server, parallel=2)
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        assert said(list(model.stream(asked()))) == TEXT
        holder.close()  # type: ignore[attr-defined]


def test_a_server_that_was_never_found_is_absent_unless_it_was_called_for(
    bench: ServedBench,
) -> None:
    for expected, fault in ((False, "absent"), (True, "open")):
        away = ModelAddress("http://127.0.0.1:9/v1")
        model = bench.model(access=away, expected=expected)
        model.look(*model.endpoints)
        assert fault_of(model).fault == fault


def test_a_server_that_was_found_is_not_absent_when_it_goes_away(bench: ServedBench) -> None:
    with bench.served(TEXT) as (model, _):
        list(model.stream(asked()))
        model.endpoints[0].breaker.trip("gone")
        assert fault_of(model).fault == "open"


def test_a_server_without_the_model_is_not_absent(bench: ServedBench) -> None:
    with bench.server(ScriptedPolicy(TEXT), ()) as server:
        model = bench.model(server)
        model.look(model.endpoints[0])
        assert fault_of(model).fault == "open"


def test_nothing_of_the_environment_reaches_the_server(
    bench: ServedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    for name in ("OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID"):
        monkeypatch.setenv(name, "a key for somebody else")
    with bench.served(TEXT) as (model, server):
        assert said(list(model.stream(asked()))) == TEXT
        sent = server.recorded[-1].headers
    assert {"authorization", "openai-organization"} & set(sent) == set()
    assert not any(name.startswith("x-stainless") for name in sent)


def test_a_key_and_headers_of_the_settings_do(bench: ServedBench) -> None:
    with bench.server(ScriptedPolicy(TEXT)) as server:
        access = ModelAddress(server.url, key="sesame", headers={"X-Team": "sre"})
        model = bench.model(access=access)
        list(model.stream(asked()))
        headers = server.recorded[-1].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer sesame", "sre")


def _until(holds: "object", within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.002)
