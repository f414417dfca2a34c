"""The adapter in front of servers that fail in every known way, whichever API they speak."""

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import pytest

from copilot.model.estimates import Estimate, estimated
from copilot.model.ollama import Client
from copilot.model.openai_api import OpenAIClient
from copilot.model.served import Endpoint, ServedModel
from copilot.model.server import Access, ModelServer, ServingOptions, Timeouts
from copilot.ports import ModelError, ModelFault
from copilot.testing.ollama import (
    ChaosPolicy,
    Function,
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
from copilot.testing.openai import openai_server
from copilot.types.breaker import Breaker
from copilot.types.model_io import (
    Message,
    ModelEvent,
    ModelRequest,
    Piece,
    Priority,
    QuestionKind,
    ReplyEnd,
    Thought,
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


class Bench:
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

    def client(self, access: Access, timeouts: Timeouts = PATIENT) -> ModelServer:
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
        access: Access | None = None,
        expected: bool = False,
    ) -> ServedModel:
        clock = clock or Time()
        places = [access] if access else [Access(one.url) for one in servers]
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


@pytest.fixture(params=["ollama", "openai"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param)
    yield made
    made.close()


@pytest.fixture
def ollama() -> Iterator[Bench]:
    made = Bench("ollama")
    yield made
    made.close()


def asked(text: str = "who?", priority: Priority = "responder", most: int = 512) -> ModelRequest:
    message = Message(role="user", content=text)
    return ModelRequest(messages=(message,), priority=priority, max_tokens=most)


def said(events: Sequence[ModelEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, Piece))


def fault_of(model: ServedModel, request: ModelRequest | None = None) -> ModelError:
    with pytest.raises(ModelError) as raised:
        list(model.stream(request or asked()))
    return raised.value


# --- what goes wrong -----------------------------------------------------------------------------


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
    bench: Bench, scenario: ReplyScenario, fault: ModelFault, told: str, times: int
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
    ollama: Bench, scenario: ReplyScenario, timeouts: Timeouts, told: str
) -> None:
    with ollama.served(OllamaReply(text=TEXT, scenario=scenario), timeouts=timeouts) as (
        model,
        server,
    ):
        error = fault_of(model)
        assert (error.fault, error.problem) == ("timeout", told)
        assert server.wait_for(lambda one: one.cancelled == 1)


def test_a_request_has_its_time_however_long_the_server_is_silent(bench: Bench) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario="hangs")) as (model, server):
        hurried = asked().model_copy(update={"within_s": 0.2})
        for _ in range(3):  # it was given too little time to be blamed for it
            assert fault_of(model, hurried).problem == "no first token after 0.2 s"
        assert server.wait_for(lambda one: one.cancelled == 3)


def test_a_reply_that_trickles_forever_ends_at_the_total(bench: Bench) -> None:
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
    bench: Bench, scenario: ReplyScenario
) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario=scenario, wait_s=0.01)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT


def test_busy_then_free_is_answered(bench: Bench) -> None:
    with bench.served(OllamaReply(scenario="busy"), TEXT) as (model, server):
        assert said(list(model.stream(asked()))) == TEXT
        assert len(server.chats()) == 2


def test_a_next_line_character_does_not_split_a_line(ollama: Bench) -> None:
    with ollama.served("one\x85two\u2028three") as (model, _):
        assert said(list(model.stream(asked()))) == "one\x85two\u2028three"


def test_a_cut_reply_says_so(bench: Bench) -> None:
    with bench.served("word " * 200, name="qwen3:30b-instruct") as (model, _):
        *_, done = model.stream(asked(most=16))
    assert isinstance(done, ReplyEnd)
    assert (done.reason, done.reply_tokens) == ("length", 16)


def test_chaos_ends_in_a_reply_or_a_named_fault(bench: Bench) -> None:
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


# --- context -------------------------------------------------------------------------------------

LONG = "upstream timeout of payment at checkout; " * 700


def test_what_cannot_fit_is_refused_before_it_is_sent(bench: Bench) -> None:
    with bench.served(TEXT) as (model, server):
        error = fault_of(model, asked(LONG * 4))
        assert error.fault == "refused"
        assert "COPILOT_MODEL_CONTEXT" in error.problem
        assert server.chats() == []


def test_a_server_that_has_no_room_refuses_and_an_old_one_is_caught_cutting(ollama: Bench) -> None:
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


def test_a_low_count_of_a_server_that_has_room_is_its_cache(bench: Bench) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario="cut")) as (model, _):
        assert said(list(model.stream(asked(LONG)))) == TEXT


def test_the_same_options_go_with_every_request_and_the_model_is_loaded_once(ollama: Bench) -> None:
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


def test_sampling_is_as_recommended_with_thinking_and_without(ollama: Bench) -> None:
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
    ollama: Bench, name: str, kind: QuestionKind, think: bool | Literal["auto"], thought: object
) -> None:
    with ollama.served(TEXT, name=name, options=ServingOptions(think=think)) as (model, server):
        question = asked().model_copy(update={"kind": kind, "reply_schema": {"type": "object"}})
        list(model.stream(question))
        assert server.chats()[0]["think"] == thought


def test_what_is_not_known_of_a_family_is_left_to_the_server(ollama: Bench) -> None:
    with ollama.served(TEXT, name="phi4:14b") as (model, server):
        list(model.stream(asked()))
        assert server.chats()[0]["options"] == {"seed": 42, "num_ctx": 16_384, "num_predict": 512}


def test_a_gateway_is_not_sent_again_what_it_refuses_by_name() -> None:
    bench = Bench("openai")
    with openai_server(ScriptedPolicy(TEXT), takes_extras=False) as server:
        model = bench.model(server)
        assert [said(list(model.stream(asked()))) for _ in range(2)] == [TEXT, TEXT]
        sent = [
            len({"top_k", "min_p", "chat_template_kwargs"} & set(one)) for one in server.chats()
        ]
    bench.close()
    assert sent[-2:] == [0, 0]


def test_a_schema_goes_along_as_the_api_wants_it() -> None:
    bench, schema = Bench("openai"), {"type": "object", "properties": {}}
    with bench.served("{}") as (model, server):
        list(model.stream(asked().model_copy(update={"reply_schema": schema, "kind": "plan"})))
        (sent,) = server.chats()
    bench.close()
    wanted = {"name": "reply", "schema": schema, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}


# --- thinking ------------------------------------------------------------------------------------


def test_thinking_comes_apart_from_the_reply(bench: Bench) -> None:
    reply = OllamaReply(text=TEXT, thinking="Let me look at the evidence.")
    with bench.served(reply, options=ServingOptions(think=True)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert "".join(one.text for one in events if isinstance(one, Thought)) == reply.thinking


@pytest.mark.parametrize("scenario", ["leaked", "orphan"])
def test_thinking_said_aloud_is_cut_out(bench: Bench, scenario: ReplyScenario) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario=scenario)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert any(isinstance(one, Thought) for one in events)


def test_a_tag_that_thinks_whatever_it_is_told_still_replies(bench: Bench) -> None:
    reply = OllamaReply(text=TEXT, thinking="The user asks. I look.")
    with bench.server(ScriptedPolicy(reply), (PulledModel(thinks_always=True),)) as server:
        model = bench.model(server)
        assert [said(list(model.stream(asked()))) for _ in range(2)] == [TEXT, TEXT]


def test_once_a_model_replied_without_thinking_aloud_its_pieces_are_passed_on_at_once(
    bench: Bench,
) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with bench.served(TEXT, hanging) as (model, _):
        list(model.stream(asked()))
        stream = model.stream(asked())
        assert isinstance(next(stream), Piece)
        stream.close()  # type: ignore[attr-defined]


def test_a_model_that_begins_to_think_aloud_is_broken_once_and_then_cut(bench: Bench) -> None:
    orphan = OllamaReply(text=TEXT, scenario="orphan")
    with bench.served(TEXT, orphan, orphan) as (model, _):
        list(model.stream(asked()))
        assert fault_of(model).problem == "it thought aloud in the middle of a reply"
        assert said(list(model.stream(asked()))) == TEXT


def test_a_model_that_cannot_think_is_not_made_to(ollama: Bench) -> None:
    plain = PulledModel(capabilities=("completion",))
    with ollama.server(ScriptedPolicy(TEXT), (plain,)) as server:
        error = fault_of(ollama.model(server, options=ServingOptions(think=True)))
        assert (error.fault, "COPILOT_MODEL_THINK" in error.problem) == ("refused", True)


@pytest.mark.parametrize("scenario", ["tool_call", "tool_call_at_end"])
def test_a_tool_nobody_offered_is_not_called_and_the_text_stays(
    bench: Bench, scenario: ReplyScenario
) -> None:
    call = ToolCall(function=Function(name="restart", arguments={"service": "payment"}))
    with bench.served(OllamaReply(text=TEXT, scenario=scenario, calls=(call,))) as (model, _):
        assert said(list(model.stream(asked()))) == TEXT


# --- turns, cancelling, servers that go away -----------------------------------------------------


def test_closing_the_stream_is_seen_by_the_server_and_frees_the_slot(bench: Bench) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with bench.served(hanging, TEXT) as (model, server):
        model.endpoints[0].thinks_aloud = False
        stream = model.stream(asked())
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert server.wait_for(lambda one: one.cancelled == 1)
        assert said(list(model.stream(asked()))) == TEXT


def test_who_waits_is_let_in_by_priority_then_in_turn(bench: Bench) -> None:
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


def test_a_wait_for_a_turn_has_an_end(bench: Bench) -> None:
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
    bench: Bench,
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


def test_a_server_that_hangs_is_left_alone_after_two_timeouts_and_ever_longer(bench: Bench) -> None:
    clock = Time()
    with bench.server(ScriptedPolicy(OllamaReply(scenario="hangs"))) as server:
        model = bench.model(server, timeouts=HASTY, clock=clock)
        assert [fault_of(model).fault for _ in range(3)] == ["timeout", "timeout", "open"]
        for pause in (31, 61):
            clock.sleep(pause)
            assert [fault_of(model).fault for _ in range(2)] == ["timeout", "open"]
        clock.sleep(61)
        assert fault_of(model).fault == "open"


def test_a_request_the_server_refuses_says_nothing_of_its_health(bench: Bench) -> None:
    with bench.server(ScriptedPolicy(OllamaReply(scenario="bad_request"))) as server:
        model = bench.model(server, failures=1)
        assert [fault_of(model).fault for _ in range(3)] == ["refused"] * 3


def test_a_server_that_dies_is_gone_around_where_there_is_another(bench: Bench) -> None:
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
    bench: Bench, has: tuple[str, ...], taken: str
) -> None:
    models = tuple(PulledModel(name=one) for one in has)
    with bench.server(ScriptedPolicy(TEXT), models) as server:
        model = bench.model(server, name="auto")
        model.look(*model.endpoints)
        assert model.name.removesuffix(":latest") == taken
        if taken == "auto":
            assert "set COPILOT_MODEL" in fault_of(model).problem


def test_a_server_set_up_for_one_model_of_no_known_family_is_taken_at_its_word() -> None:
    bench, own = Bench("openai"), (PulledModel(name="our-tuned-model"),)
    with bench.server(ScriptedPolicy(TEXT), own) as server:
        model = bench.model(server, name="auto")
        model.look(*model.endpoints)
        assert (model.name, said(list(model.stream(asked())))) == ("our-tuned-model", TEXT)
    bench.close()


def test_the_least_loaded_of_several_servers_is_asked(bench: Bench) -> None:
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


def test_two_slots_answer_two_at_a_time(bench: Bench) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    runners = Runners((PulledModel(),), time.time, parallel=2)
    with bench.server(ScriptedPolicy(hanging, TEXT), runners=runners) as server:
        model = bench.model(server, parallel=2)
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        assert said(list(model.stream(asked()))) == TEXT
        holder.close()  # type: ignore[attr-defined]


def test_a_server_that_was_never_found_is_absent_unless_it_was_called_for(bench: Bench) -> None:
    for expected, fault in ((False, "absent"), (True, "open")):
        away = Access("http://127.0.0.1:9/v1")
        model = bench.model(access=away, expected=expected)
        model.look(*model.endpoints)
        assert fault_of(model).fault == fault


def test_a_server_that_was_found_is_not_absent_when_it_goes_away(bench: Bench) -> None:
    with bench.served(TEXT) as (model, _):
        list(model.stream(asked()))
        model.endpoints[0].breaker.trip("gone")
        assert fault_of(model).fault == "open"


def test_a_server_without_the_model_is_not_absent(bench: Bench) -> None:
    with bench.server(ScriptedPolicy(TEXT), ()) as server:
        model = bench.model(server)
        model.look(model.endpoints[0])
        assert fault_of(model).fault == "open"


def test_nothing_of_the_environment_reaches_the_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
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


def test_a_key_and_headers_of_the_settings_do(bench: Bench) -> None:
    with bench.server(ScriptedPolicy(TEXT)) as server:
        access = Access(server.url, key="sesame", headers={"X-Team": "sre"})
        model = bench.model(access=access)
        list(model.stream(asked()))
        headers = server.recorded[-1].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer sesame", "sre")


def _until(holds: "object", within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.002)


# --- estimates -----------------------------------------------------------------------------------

COUNTED = {
    "English": (
        "The payment service answers slowly since the deploy at 14:02; checkout and cart wait "
        "for it.",
        23,
    ),
    "Chinese": (
        "支付服务从 14:02 的发布开始响应变慢，数据库连接池已耗尽，购物车与结算在等待。",
        30,
    ),
    "rare characters": ("饕餮罄竹氍毹龘靐齉", 11),
    "code": (
        "def act(state: State, runtime: Runtime[Deps]) -> dict[str, object]:\n"
        "    return {'step': state['step'] + 1}\n",
        31,
    ),
    "JSON": (
        '{"p99_ms": [812.4416, 790.0312], "service": "checkout-7d9f4b6c5-x2k9q", "errors": 0.0417}',
        58,
    ),
    "hexadecimal": ("4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7", 44),
    "Base64": ("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", 37),
    "random letters": ("xqjvkzwpfhgtbmrndlcyxsaq", 15),
    "capitals": ("ERRCONNREFUSED EPIPE SIGKILL OOMKILLED", 13),
    "a log line": (
        '2026-11-25T14:02:11.417Z level=error msg="upstream timeout after 3000ms" '
        "addr=10.0.12.7:8080",
        56,
    ),
    "emoji": ("🔥🚨 down ✅", 5),
    "indentation": ("a:\n        b:\n                c: 1\n", 11),
}
"""Texts with what the vocabulary of Qwen (qwen.tiktoken of the dashscope package) makes of them."""


@pytest.mark.parametrize(("text", "count"), COUNTED.values(), ids=COUNTED)
def test_an_estimate_is_never_below_the_count_of_the_tokenizer(text: str, count: int) -> None:
    assert count <= estimated(text)


def test_an_estimate_is_raised_for_good_once_a_server_counted_more() -> None:
    estimate = Estimate()
    before = estimate.tokens(TEXT)
    estimate.counted(100, 130)
    assert estimate.tokens(TEXT) >= 1.3 * before
    estimate.counted(100, 20)
    assert estimate.tokens(TEXT) >= 1.3 * before
