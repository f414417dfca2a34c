"""The adapter in front of a server that fails in every known way."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from copilot.model.ollama import (
    Access,
    Breaker,
    Client,
    Endpoint,
    OllamaModel,
    OllamaOptions,
    Timeouts,
)
from copilot.model.ollama.request import Estimate, estimated
from copilot.ports import ModelError, ModelFault
from copilot.testing.ollama import (
    ChaosPolicy,
    Function,
    OllamaReply,
    OllamaServer,
    PulledModel,
    ReplyScenario,
    Runners,
    ScriptedPolicy,
    ToolCall,
    ollama_server,
)
from copilot.types.model_io import (
    Message,
    ModelEvent,
    ModelRequest,
    Piece,
    Priority,
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


_OPENED: list[OllamaModel] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


def model_of(
    *servers: OllamaServer,
    timeouts: Timeouts = PATIENT,
    options: OllamaOptions = OllamaOptions(),  # noqa: B008 - frozen
    clock: Time | None = None,
    failures: int = 5,
    parallel: int = 1,
) -> OllamaModel:
    clock = clock or Time()
    endpoints = [
        Endpoint(Client(Access(one.url), timeouts), Breaker(clock.now, failures)) for one in servers
    ]
    model = OllamaModel(
        "qwen3:30b", endpoints, options, timeouts, parallel, now=clock.now, sleep=clock.sleep
    )
    _OPENED.append(model)
    return model


@contextmanager
def served(
    *replies: OllamaReply | str,
    timeouts: Timeouts = PATIENT,
    options: OllamaOptions = OllamaOptions(),  # noqa: B008
) -> Iterator[tuple[OllamaModel, OllamaServer]]:
    with ollama_server(ScriptedPolicy(*replies)) as server:
        yield model_of(server, timeouts=timeouts, options=options), server


def asked(text: str = "who?", priority: Priority = "responder", most: int = 512) -> ModelRequest:
    message = Message(role="user", content=text)
    return ModelRequest(messages=(message,), priority=priority, max_tokens=most)


def said(events: Sequence[ModelEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, Piece))


def fault_of(model: OllamaModel, request: ModelRequest | None = None) -> ModelError:
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
        ("half_line", "broken", "none of Ollama's", 1),
        ("garbage_line", "broken", "none of Ollama's", 1),
        ("error_line", "broken", "model runner has unexpectedly stopped", 1),
        ("crashed", "broken", "model runner has unexpectedly stopped", 1),
        ("no_query", "broken", "no user query found", 1),
        ("cancelled", "broken", "request canceled", 1),
        ("html", "broken", "Sign in", 1),
        ("bad_request", "refused", "invalid options", 1),
        ("unauthorized", "refused", "COPILOT_MODEL_KEY", 1),
        ("not_found", "missing", "ollama pull qwen3:30b", 1),
        ("redirect", "unreachable", "https://login.example/", 1),
        ("busy", "busy", "maximum pending requests exceeded", 3),
        ("bad_gateway", "unreachable", "502", 3),
        ("only_thinking", "truncated", "thinking took all", 1),
    ],
)
def test_every_failure_has_its_name_and_only_passing_ones_are_tried_again(
    scenario: ReplyScenario, fault: ModelFault, told: str, times: int
) -> None:
    with served(OllamaReply(text=TEXT, scenario=scenario)) as (model, server):
        error = fault_of(model)
        assert (error.fault, len(server.chats())) == (fault, times)
        assert told in error.problem


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
    scenario: ReplyScenario, timeouts: Timeouts, told: str
) -> None:
    with served(OllamaReply(text=TEXT, scenario=scenario), timeouts=timeouts) as (model, server):
        error = fault_of(model)
        assert (error.fault, error.problem) == ("timeout", told)
        assert server.wait_for(lambda one: one.cancelled == 1)


def test_a_reply_that_trickles_forever_ends_at_the_total() -> None:
    timeouts = Timeouts(first_token_s=20, between_tokens_s=20, total_s=0.2)
    with ollama_server(
        ScriptedPolicy(OllamaReply(text=TEXT * 50, scenario="trickle", wait_s=0.02))
    ) as server:
        client = Client(Access(server.url), timeouts)
        model = OllamaModel(
            "qwen3:30b", [Endpoint(client, Breaker(time.monotonic))], timeouts=timeouts
        )
        _OPENED.append(model)
        assert fault_of(model).problem == "the reply took longer than 0.2 s"


@pytest.mark.parametrize(
    "scenario", ["plain", "slow_load", "slow_first_token", "trickle", "split_utf8", "uncounted"]
)
def test_a_reply_that_is_only_slow_or_cut_up_arrives_whole(scenario: ReplyScenario) -> None:
    with served(OllamaReply(text=TEXT, scenario=scenario, wait_s=0.01)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT


def test_busy_then_free_is_answered() -> None:
    with served(OllamaReply(scenario="busy"), TEXT) as (model, server):
        assert said(list(model.stream(asked()))) == TEXT
        assert len(server.chats()) == 2


def test_a_next_line_character_does_not_split_a_line() -> None:
    with served("one\x85two\u2028three") as (model, _):
        assert said(list(model.stream(asked()))) == "one\x85two\u2028three"


def test_a_cut_reply_says_so() -> None:
    with served("word " * 200) as (model, _):
        *_, done = model.stream(asked(most=16))
    assert isinstance(done, ReplyEnd)
    assert (done.reason, done.reply_tokens) == ("length", 16)


def test_chaos_ends_in_a_reply_or_a_named_fault() -> None:
    with ollama_server(ChaosPolicy(ScriptedPolicy(TEXT), seed=7, rate=0.7)) as server:
        model = model_of(server, failures=1000)
        outcomes = {outcome(model) for _ in range(40)}
    assert {"whole", "broken", "truncated"} <= outcomes


def outcome(model: OllamaModel) -> str:
    try:
        list(model.stream(asked()))
    except ModelError as error:
        return error.fault
    return "whole"


# --- context -------------------------------------------------------------------------------------

LONG = "upstream timeout of payment at checkout; " * 700


def test_what_cannot_fit_is_refused_before_it_is_sent() -> None:
    with served(TEXT) as (model, server):
        error = fault_of(model, asked(LONG * 4))
        assert error.fault == "refused"
        assert "COPILOT_MODEL_CONTEXT" in error.problem
        assert server.chats() == []


def test_a_server_that_has_no_room_refuses_and_an_old_one_is_caught_cutting() -> None:
    small = (PulledModel(context=2048),)
    with ollama_server(ScriptedPolicy(TEXT), small) as server:
        error = fault_of(model_of(server), asked(LONG))
        assert (error.fault, "too long" in error.problem) == ("refused", True)
    with ollama_server(ScriptedPolicy(TEXT), small, obeys_truncate=False) as server:
        messages = tuple(Message(role="user", content=LONG[:4000]) for _ in range(6))
        error = fault_of(model_of(server), ModelRequest(messages=messages, max_tokens=512))
        assert len(server.seen[0].messages) < 6
    assert error.fault == "truncated"
    assert "a context of 2048, 16384 are required" in error.problem


def test_a_low_count_of_a_server_that_has_room_is_its_cache() -> None:
    with served(OllamaReply(text=TEXT, scenario="cut")) as (model, _):
        assert said(list(model.stream(asked(LONG)))) == TEXT


def test_the_same_options_go_with_every_request_and_the_model_is_loaded_once() -> None:
    with served(TEXT) as (model, server):
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


def test_sampling_is_as_recommended_with_thinking_and_without() -> None:
    for think, temperature, top_p in ((False, 0.7, 0.8), (True, 0.6, 0.95)):
        with served(TEXT, options=OllamaOptions(think=think, seed=7)) as (model, server):
            list(model.stream(asked()))
            sent = server.chats()[0]["options"]
        assert isinstance(sent, dict)
        assert (sent["temperature"], sent["top_p"], sent["top_k"]) == (temperature, top_p, 20)
        assert (sent["min_p"], sent["seed"], sent["num_ctx"]) == (0.0, 7, 16_384)


# --- thinking ------------------------------------------------------------------------------------


def test_thinking_comes_apart_from_the_reply() -> None:
    reply = OllamaReply(text=TEXT, thinking="Let me look at the evidence.")
    with served(reply, options=OllamaOptions(think=True)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert "".join(one.text for one in events if isinstance(one, Thought)) == reply.thinking


@pytest.mark.parametrize("scenario", ["leaked", "orphan"])
def test_thinking_said_aloud_is_cut_out(scenario: ReplyScenario) -> None:
    with served(OllamaReply(text=TEXT, scenario=scenario)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert any(isinstance(one, Thought) for one in events)


def test_a_tag_that_thinks_whatever_it_is_told_still_replies() -> None:
    reply = OllamaReply(text=TEXT, thinking="The user asks. I look.")
    with ollama_server(ScriptedPolicy(reply), (PulledModel(thinks_always=True),)) as server:
        model = model_of(server)
        assert [said(list(model.stream(asked()))) for _ in range(2)] == [TEXT, TEXT]


def test_once_a_model_replied_without_thinking_aloud_its_pieces_are_passed_on_at_once() -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with served(TEXT, hanging) as (model, _):
        list(model.stream(asked()))
        stream = model.stream(asked())
        assert isinstance(next(stream), Piece)
        stream.close()  # type: ignore[attr-defined]


def test_a_model_that_begins_to_think_aloud_is_broken_once_and_then_cut() -> None:
    orphan = OllamaReply(text=TEXT, scenario="orphan")
    with served(TEXT, orphan, orphan) as (model, _):
        list(model.stream(asked()))
        assert fault_of(model).problem == "it thought aloud in the middle of a reply"
        assert said(list(model.stream(asked()))) == TEXT


def test_a_model_that_cannot_think_is_not_made_to() -> None:
    plain = PulledModel(capabilities=("completion",))
    with ollama_server(ScriptedPolicy(TEXT), (plain,)) as server:
        error = fault_of(model_of(server, options=OllamaOptions(think=True)))
        assert (error.fault, "COPILOT_MODEL_THINK" in error.problem) == ("refused", True)


@pytest.mark.parametrize("scenario", ["tool_call", "tool_call_at_end"])
def test_a_tool_nobody_offered_is_not_called_and_the_text_stays(scenario: ReplyScenario) -> None:
    call = ToolCall(function=Function(name="restart", arguments={"service": "payment"}))
    with served(OllamaReply(text=TEXT, scenario=scenario, calls=(call,))) as (model, _):
        assert said(list(model.stream(asked()))) == TEXT


# --- turns, cancelling, servers that go away -----------------------------------------------------


def test_closing_the_stream_is_seen_by_the_server_and_frees_the_slot() -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with served(hanging, TEXT) as (model, server):
        model.endpoints[0].thinks_aloud = False
        stream = model.stream(asked())
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert server.wait_for(lambda one: one.cancelled == 1)
        assert said(list(model.stream(asked()))) == TEXT


def test_who_waits_is_let_in_by_priority_then_in_turn() -> None:
    order: list[str] = []
    with served(OllamaReply(text=TEXT, scenario="hangs_midway"), TEXT) as (model, server):
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


def test_a_wait_for_a_turn_has_an_end() -> None:
    timeouts = Timeouts(first_token_s=20, between_tokens_s=20, queue_s=0.05)
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with served(hanging, timeouts=timeouts) as (model, server):
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        error = fault_of(model)
        assert (error.fault, "waited 0.05 s" in error.problem) == ("busy", True)
        assert len(server.chats()) == 1
        holder.close()  # type: ignore[attr-defined]


def test_a_server_that_fails_again_and_again_is_left_alone_and_looked_for_later() -> None:
    clock = Time()
    with ollama_server(ScriptedPolicy(OllamaReply(scenario="crashed"))) as server:
        model = model_of(server, clock=clock, failures=2)
        assert [fault_of(model).fault for _ in range(3)] == ["broken", "broken", "open"]
        assert len(server.chats()) == 2
        server.policy = ScriptedPolicy(TEXT)
        assert fault_of(model).fault == "open"
        clock.sleep(31)
        assert said(list(model.stream(asked()))) == TEXT


def test_a_server_that_hangs_is_left_alone_after_two_timeouts_and_ever_longer() -> None:
    clock = Time()
    with ollama_server(ScriptedPolicy(OllamaReply(scenario="hangs"))) as server:
        model = model_of(server, timeouts=HASTY, clock=clock)
        assert [fault_of(model).fault for _ in range(3)] == ["timeout", "timeout", "open"]
        for pause in (31, 61):
            clock.sleep(pause)
            assert [fault_of(model).fault for _ in range(2)] == ["timeout", "open"]
        clock.sleep(61)
        assert fault_of(model).fault == "open"


def test_a_request_the_server_refuses_says_nothing_of_its_health() -> None:
    with ollama_server(ScriptedPolicy(OllamaReply(scenario="bad_request"))) as server:
        model = model_of(server, failures=1)
        assert [fault_of(model).fault for _ in range(3)] == ["refused"] * 3


def test_a_server_that_dies_is_gone_around_where_there_is_another() -> None:
    with ollama_server(ScriptedPolicy("from the second")) as second:
        with ollama_server(ScriptedPolicy("from the first")) as first:
            model = model_of(first, second)
            assert said(list(model.stream(asked()))) == "from the first"
        assert said(list(model.stream(asked()))) == "from the second"
        assert said(list(model.stream(asked()))) == "from the second"


def test_two_slots_answer_two_at_a_time() -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    runners = Runners((PulledModel(),), time.time, parallel=2)
    with ollama_server(ScriptedPolicy(hanging, TEXT), runners=runners) as server:
        model = model_of(server, parallel=2)
        model.endpoints[0].thinks_aloud = False
        holder = model.stream(asked())
        next(holder)
        assert said(list(model.stream(asked()))) == TEXT
        holder.close()  # type: ignore[attr-defined]


def test_a_server_that_was_never_found_is_absent_unless_it_was_called_for() -> None:
    for expected, fault in ((False, "absent"), (True, "open")):
        endpoint = Endpoint(Client(Access("http://127.0.0.1:9"), PATIENT), Breaker(Time().now))
        model = OllamaModel("qwen3:30b", [endpoint], timeouts=PATIENT, expected=expected)
        _OPENED.append(model)
        model.look(endpoint)
        assert fault_of(model).fault == fault


def test_a_server_that_was_found_is_not_absent_when_it_goes_away() -> None:
    with served(TEXT) as (model, _):
        list(model.stream(asked()))
        model.endpoints[0].breaker.trip("gone")
        assert fault_of(model).fault == "open"


def test_a_server_without_the_model_is_not_absent() -> None:
    with ollama_server(ScriptedPolicy(TEXT), ()) as server:
        model = model_of(server)
        model.look(model.endpoints[0])
        assert fault_of(model).fault == "open"


def test_nothing_of_the_environment_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_API_KEY", "a key for somebody else")
    with served(TEXT) as (model, server):
        assert said(list(model.stream(asked()))) == TEXT
        assert "authorization" not in server.recorded[-1].headers


def test_a_key_and_headers_of_the_settings_do() -> None:
    with ollama_server(ScriptedPolicy(TEXT)) as server:
        access = Access(server.url, key="sesame", headers={"X-Team": "sre"})
        endpoint = Endpoint(Client(access, PATIENT), Breaker(time.monotonic))
        model = OllamaModel("qwen3:30b", [endpoint])
        _OPENED.append(model)
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
