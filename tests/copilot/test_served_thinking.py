"""Models that think aloud, or are not to: what is cut out of a reply and what is left."""

import pytest

from copilot.model.server import ServingOptions
from copilot.testing.ollama import (
    Function,
    OllamaReply,
    PulledModel,
    ReplyScenario,
    ScriptedPolicy,
    ToolCall,
)
from copilot.types.model_io import (
    Piece,
    Thought,
)
from tests.copilot import served_bench
from tests.copilot.served_bench import TEXT, ServedBench, asked, fault_of, said

bench_of_each = served_bench.bench_of_each
bench_of_ollama = served_bench.bench_of_ollama


def test_thinking_comes_apart_from_the_reply(bench: ServedBench) -> None:
    reply = OllamaReply(text=TEXT, thinking="Let me look at the evidence.")
    with bench.served(reply, options=ServingOptions(think=True)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert "".join(one.text for one in events if isinstance(one, Thought)) == reply.thinking


@pytest.mark.parametrize("scenario", ["leaked", "orphan"])
def test_thinking_said_aloud_is_cut_out(bench: ServedBench, scenario: ReplyScenario) -> None:
    with bench.served(OllamaReply(text=TEXT, scenario=scenario)) as (model, _):
        events = list(model.stream(asked()))
    assert said(events) == TEXT
    assert any(isinstance(one, Thought) for one in events)


def test_a_tag_that_thinks_whatever_it_is_told_still_replies(bench: ServedBench) -> None:
    reply = OllamaReply(text=TEXT, thinking="The user asks. I look.")
    with bench.server(ScriptedPolicy(reply), (PulledModel(thinks_always=True),)) as server:
        model = bench.model(server)
        assert [said(list(model.stream(asked()))) for _ in range(2)] == [TEXT, TEXT]


def test_once_a_model_replied_without_thinking_aloud_its_pieces_are_passed_on_at_once(
    bench: ServedBench,
) -> None:
    hanging = OllamaReply(text=TEXT, scenario="hangs_midway")
    with bench.served(TEXT, hanging) as (model, _):
        list(model.stream(asked()))
        stream = model.stream(asked())
        assert isinstance(next(stream), Piece)
        stream.close()  # type: ignore[attr-defined]


def test_a_model_that_begins_to_think_aloud_is_broken_once_and_then_cut(bench: ServedBench) -> None:
    orphan = OllamaReply(text=TEXT, scenario="orphan")
    with bench.served(TEXT, orphan, orphan) as (model, _):
        list(model.stream(asked()))
        assert fault_of(model).problem == "it thought aloud in the middle of a reply"
        assert said(list(model.stream(asked()))) == TEXT


def test_a_model_that_cannot_think_is_not_made_to(ollama: ServedBench) -> None:
    plain = PulledModel(capabilities=("completion",))
    with ollama.server(ScriptedPolicy(TEXT), (plain,)) as server:
        error = fault_of(ollama.model(server, options=ServingOptions(think=True)))
        assert (error.fault, "COPILOT_MODEL_THINK" in error.problem) == ("refused", True)


@pytest.mark.parametrize("scenario", ["tool_call", "tool_call_at_end"])
def test_a_tool_nobody_offered_is_not_called_and_the_text_stays(
    bench: ServedBench, scenario: ReplyScenario
) -> None:
    call = ToolCall(function=Function(name="restart", arguments={"service": "payment"}))
    with bench.served(OllamaReply(text=TEXT, scenario=scenario, calls=(call,))) as (model, _):
        assert said(list(model.stream(asked()))) == TEXT
