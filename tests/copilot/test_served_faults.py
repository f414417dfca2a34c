"""What a server does wrong has its name, whichever API it speaks."""

import re

import pytest

from copilot.model.served import ServedModel
from copilot.model.server import Timeouts
from copilot.ports import ModelError, ModelFault
from copilot.testing.ollama import (
    ChaosPolicy,
    OllamaReply,
    ReplyScenario,
    ScriptedPolicy,
)
from copilot.types.model_io import (
    ReplyEnd,
)
from tests.copilot import served_bench
from tests.copilot.served_bench import TEXT, RealTime, ServedBench, asked, fault_of, said

bench_of_each = served_bench.bench_of_each
bench_of_ollama = served_bench.bench_of_ollama


@pytest.mark.parametrize(
    ("scenario", "fault", "told", "times"),
    [
        ("dropped", "broken", "ended before its last word", 1),
        ("repeats", "broken", "ended before its last word", 1),
        ("reset", "broken", "the connection broke", 1),
        ("half_line", "broken", "none of Ollama's|ended before its last word", 1),
        ("garbage_line", "broken", "none of Ollama's|no JSON", 1),
        ("error_line", "broken", "model runner has unexpectedly stopped", 1),
        ("crashed", "broken", "model runner has unexpectedly stopped", 1),
        ("no_query", "broken", "no user query found", 1),
        ("cancelled", "broken", "request canceled", 1),
        ("html", "broken", "Sign in", 1),
        ("bad_request", "refused", "invalid options", 1),
        ("unauthorized", "refused", "COPILOT_MODEL_KEY", 1),
        ("not_found", "missing", "ollama pull qwen3:30b|set COPILOT_MODEL to", 1),
        ("redirect", "unreachable", "https://login.example/", 1),
        ("busy", "busy", "maximum pending requests exceeded", 3),
        ("bad_gateway", "unreachable", "502", 3),
        ("only_thinking", "truncated", "thinking took all", 1),
    ],
)
def test_every_failure_has_its_name_and_only_passing_ones_are_tried_again(
    bench: ServedBench, scenario: ReplyScenario, fault: ModelFault, told: str, times: int
) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario=scenario)) as (model, server):
        error = fault_of(model)
        assert (error.fault, len(server.chats())) == (fault, times)
        assert re.search(told, error.problem)


@pytest.mark.parametrize(
    ("scenario", "timeouts", "told"),
    [
        ("hangs", Timeouts(first_token_s=0.2), "no first token after 0.2 s"),
        (
            "hangs_midway",
            Timeouts(between_tokens_s=0.2),
            "nothing for 0.2 s between tokens",
        ),
    ],
)
def test_silence_is_a_timeout_of_its_phase(
    ollama: ServedBench, scenario: ReplyScenario, timeouts: Timeouts, told: str
) -> None:
    with ollama.served(OllamaReply(text=TEXT, scenario=scenario), timeouts=timeouts) as (
        model,
        server,
    ):
        error = fault_of(model)
        assert (error.fault, error.problem) == ("timeout", told)
        assert server.wait_for(lambda one: one.cancelled == 1)


def test_a_request_has_its_time_however_long_the_server_is_silent(bench: ServedBench) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario="hangs")) as (model, server):
        hurried = asked().model_copy(update={"within_s": 0.2})
        for _ in range(3):  # it was given too little time to be blamed for it
            assert fault_of(model, hurried).problem == "no first token after 0.2 s"
        assert server.wait_for(lambda one: one.cancelled == 3)


def test_a_reply_that_trickles_forever_ends_at_the_total(bench: ServedBench) -> None:
    timeouts = Timeouts(first_token_s=20, between_tokens_s=20, total_s=0.2)
    with bench.server(
        ScriptedPolicy(OllamaReply(text=TEXT * 50, scenario="trickle", wait_s=0.02))
    ) as server:
        model = bench.model(server, timeouts=timeouts, clock=RealTime())
        assert fault_of(model).problem == "the reply took longer than 0.2 s"


@pytest.mark.parametrize(
    "scenario", ["plain", "slow_load", "slow_first_token", "trickle", "split_utf8", "uncounted"]
)
def test_a_reply_that_is_only_slow_or_cut_up_arrives_whole(
    bench: ServedBench, scenario: ReplyScenario
) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario=scenario, wait_s=0.01)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT


def test_busy_then_free_is_answered(bench: ServedBench) -> None:
    with bench.served(OllamaReply(scenario="busy"), TEXT) as (model, server):
        assert said(list(model.stream(asked()))) == TEXT
        assert len(server.chats()) == 2


def test_a_next_line_character_does_not_split_a_line(ollama: ServedBench) -> None:
    with ollama.served("one\x85two\u2028three") as (model, _):
        assert said(list(model.stream(asked()))) == "one\x85two\u2028three"


def test_a_cut_reply_says_so(bench: ServedBench) -> None:
    with bench.served("word " * 200, name="qwen3:30b-instruct") as (model, _):
        *_, done = model.stream(asked(most=16))
    assert isinstance(done, ReplyEnd)
    assert (done.reason, done.reply_tokens) == ("length", 16)


def test_chaos_ends_in_a_reply_or_a_named_fault(bench: ServedBench) -> None:
    with bench.server(ChaosPolicy(ScriptedPolicy(TEXT), seed=7, rate=0.7)) as server:
        model = bench.model(server, failures=1000)
        outcomes = {outcome(model) for _ in range(40)}
    assert {"whole", "broken", "truncated"} <= outcomes


def outcome(model: ServedModel) -> str:
    try:
        list(model.stream(asked()))
    except ModelError as error:
        return error.fault
    return "whole"
