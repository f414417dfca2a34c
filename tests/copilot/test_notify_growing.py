"""An answer in a channel that takes longer: shown by edits of one message, the last one whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from copilot.store import Store
from copilot.surfaces.chat import Progress
from copilot.surfaces.notify.doors import ChannelDoor, ChannelQuestion, ChannelUser
from copilot.surfaces.service.hooks import MOST_EDITS, GrowingAnswer
from copilot.testing.channels import ChatServer, SlackServer
from copilot.testing.dingtalk_server import DingTalkAppServer
from copilot.testing.feishu_server import FeishuServer
from copilot.testing.strict_http import serving
from tests.copilot.channel_world import DINGTALK, FEISHU, SLACK, Channel
from tests.copilot.people_world import empty, planned, store, waiting

__all__ = ["empty", "planned", "store", "waiting"]

ASKED = ChannelQuestion(
    user=ChannelUser(id="U0VIEW"), text="?", key="Ev1", channel="C0SRE", place="p", thread="om_t"
)
TOOL = Progress(step="tool", name="logs")


@dataclass
class Hands:
    """A clock that stands but for who sleeps."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Growing:
    server: ChatServer
    door: ChannelDoor
    hands: Hands = field(default_factory=Hands)
    before: int = 0

    def __post_init__(self) -> None:
        self.answer = GrowingAnswer(self.door, ASKED, self.hands.clock, self.hands.sleep)
        self.before = self.calls()

    def hear(self, told: Progress, after: float = 1.0) -> list[str]:
        self.hands.now += after
        self.answer.hear(told)
        return self.shown()

    def shown(self) -> list[str]:
        return self.server.threads.get("om_t", [])

    def calls(self) -> int:
        told = [one for one in self.server.asked if "/auth/" not in one.path]
        return len(told) - self.before


@pytest.fixture(params=["slack", "feishu"])
def growing(request: pytest.FixtureRequest, store: Store) -> Iterator[Growing]:
    made: Callable[[], ChatServer] = SlackServer if request.param == "slack" else FeishuServer
    declared = SLACK if request.param == "slack" else {**FEISHU, "language": "en"}
    with serving(made()) as server:
        channel = Channel(store, server, declared)  # type: ignore[arg-type]
        yield Growing(server, channel.desk.door)


def test_one_message_says_what_is_looked_at_and_then_the_whole_answer(growing: Growing) -> None:
    assert growing.hear(TOOL) == ["Looking: logs …"]
    assert growing.hear(Progress(step="text", said="Proven: cart.\n")) == [
        "Proven: cart.\nWriting the answer …"
    ]
    growing.answer.end("Proven: cart, by its logs.")
    assert growing.shown() == ["Proven: cart, by its logs."]


def test_a_quick_answer_is_posted_once(growing: Growing) -> None:
    assert growing.hear(TOOL, after=0.4) == []
    growing.answer.end("all is well")
    assert (growing.shown(), growing.calls(), growing.hands.slept) == (["all is well"], 1, [])


def test_there_is_one_edit_a_second_at_most_and_the_last_one_waits(growing: Growing) -> None:
    for _ in range(20):
        growing.hear(TOOL, after=0.25)
    assert growing.calls() == 5
    growing.answer.end("whole")
    assert growing.hands.slept == [pytest.approx(1.0)]


def test_what_takes_very_long_is_not_edited_for_ever(growing: Growing) -> None:
    for _ in range(MOST_EDITS + 10):
        growing.hear(TOOL)
    growing.answer.end("whole")
    assert growing.shown() == ["whole"]
    assert growing.calls() == MOST_EDITS + 1


def test_an_answer_whose_message_is_gone_is_posted_anew(growing: Growing) -> None:
    growing.hear(TOOL)
    growing.server.clear()
    growing.answer.end("whole")
    assert growing.shown() == ["whole"]


def test_a_platform_that_has_enough_hears_no_more_until_the_end(growing: Growing) -> None:
    growing.server.answers.append("ratelimited" if growing.door.kind == "slack" else 230020)
    for _ in range(3):
        growing.hear(TOOL)
    assert growing.calls() == 1
    growing.answer.end("whole")
    assert growing.shown() == ["whole"]


def test_where_a_message_cannot_be_edited_only_the_whole_answer_is_posted(store: Store) -> None:
    with serving(DingTalkAppServer()) as server:
        door = Channel(store, server, DINGTALK).desk.door  # type: ignore[arg-type]
        growing = Growing(server, door)
        growing.hear(TOOL)
        assert growing.calls() == 0
