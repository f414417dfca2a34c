"""A reply counts when it fits and holds; it is repaired once; after that we go without."""

from collections.abc import Sequence

import pytest
from pydantic import BaseModel, ConfigDict

from copilot.model import ModelResult, ReplyCheck, all_or_nothing, ask
from copilot.ports import ModelError
from copilot.testing.model import ScriptedModel
from copilot.types.model_io import Message, ModelRequest


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    component: str


REQUEST = ModelRequest(messages=(Message(role="user", content="who?"),))
GOOD, LIE = '{"component": "payment"}', '{"component": "nobody"}'


def known(verdict: Verdict) -> Sequence[str]:
    return [] if verdict.component == "payment" else [f"there is no {verdict.component!r}"]


def asked(*replies: str | ModelError) -> tuple[ModelResult[Verdict], ScriptedModel]:
    model = ScriptedModel(list(replies))
    return ask(model, REQUEST, Verdict, all_or_nothing(known)), model


def test_a_reply_that_holds_is_taken_at_once() -> None:
    answer, model = asked(GOOD)
    assert answer.value == Verdict(component="payment")
    assert not answer.repaired
    assert model.requests[0].reply_schema == Verdict.model_json_schema()


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (LIE, "there is no 'nobody'"),
        ("", "the reply is empty"),
        ("it is payment", "Invalid JSON"),
        ('{"component": 3}', "valid string"),
        ('{"component": "payment", "command": "rm -rf /"}', "Extra inputs"),
    ],
)
def test_a_reply_that_does_not_hold_is_asked_for_once_more_with_what_was_wrong(
    first: str, told: str
) -> None:
    answer, model = asked(first, GOOD)
    assert answer.value == Verdict(component="payment")
    assert answer.repaired
    assert told in model.requests[1].messages[-1].content


def test_a_second_reply_that_does_not_hold_is_the_last() -> None:
    answer, model = asked(LIE, LIE, GOOD)
    assert answer.value is None
    assert "there is no 'nobody'" in answer.reason
    assert len(model.requests) == 2


def test_a_model_that_cannot_answer_is_not_asked_again() -> None:
    answer, model = asked(ModelError("timeout", "no first token after 60 s"), GOOD)
    assert answer.value is None
    assert "no first token" in answer.reason
    assert len(model.requests) == 1


def test_json_in_a_fence_is_read() -> None:
    answer, _ = asked(f"```json\n{GOOD}\n```")
    assert answer.value == Verdict(component="payment")


def test_a_second_attempt_has_another_seed_and_does_not_show_the_first_reply() -> None:
    _, model = asked(LIE, GOOD)
    first, second = model.requests
    assert (first.attempt, second.attempt) == (0, 1)
    assert [one.role for one in second.messages] == ["user"]
    assert LIE not in second.messages[0].content
    assert second.messages[0].content.startswith("who?")


def test_what_holds_of_a_reply_is_kept_and_the_rest_is_told() -> None:
    model = ScriptedModel([LIE, GOOD])
    kept = Verdict(component="payment")
    answer = ask(model, REQUEST, Verdict, lambda _said: ReplyCheck(kept, ("one too many",)))
    assert answer.value == kept
    assert not answer.repaired
    assert answer.calls[0].problems == ("one too many",)
    assert len(model.requests) == 1
