"""What is kept of a conversation: written before it is answered, bounded, one after the other."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.ports import Clock
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.store import Store, UnknownConversationError
from copilot.store.conversations import KEPT, MOST_SUMMARY
from copilot.surfaces.chat import ChatService, Question, ToolContext
from copilot.types.conversation import Answer
from copilot.types.incident import Incident
from tools.types import Evidence, Window

NOW = 1_700_000_000.0


def item(number: int) -> Evidence:
    return Evidence(
        id=f"E{number}",
        kind="note",
        subject="cart",
        name="n",
        source="s",
        query="q",
        window=Window(start=NOW, end=NOW),
        statement="cart is slow.",
    )


def answered(store: Store, conversation: str, number: int) -> None:
    turn = store.conversations.ask(conversation, f"question {number}?", "", "", NOW + number)
    answer = Answer(text="text", language="en", evidence=(item(number),))
    store.conversations.answer(turn, "answered", answer, NOW + number)


def desk_of(store: Store, clock: Clock) -> ChatService:
    def scope_of(incident: Incident | None) -> ToolContext:
        return ToolContext(Deps(store, Sources(), clock, DryRunRunner(clock), ()), incident)

    return ChatService(store, scope_of, clock, iter(map(str, range(10_000))).__next__)


def test_a_question_is_there_before_its_answer_and_the_answer_after(store: Store) -> None:
    store.conversations.open("C1", "I1", "zh", NOW)
    turn = store.conversations.ask("C1", "现在怎么样?", "I1", "key", NOW)
    assert store.conversations.turns("C1") == (turn,)
    answer = Answer(text="好", language="zh", evidence=(item(1),))
    ended = store.conversations.answer(turn, "answered", answer, NOW + 1)
    assert store.conversations.turns("C1") == (ended,)
    assert store.conversations.of_key("key") == ended
    assert store.conversations.require("C1").updated_at == NOW + 1


def test_what_there_is_not_is_said(store: Store) -> None:
    assert store.conversations.get("C9") is None
    with pytest.raises(UnknownConversationError, match="C9"):
        store.conversations.ask("C9", "?", "", "", NOW)


def test_old_turns_become_a_line_each_and_the_summary_is_bounded(store: Store) -> None:
    store.conversations.open("C1", "", "en", NOW)
    for number in range(1, KEPT + 6):
        answered(store, "C1", number)
    turns, kept = store.conversations.turns("C1", limit=1000), store.conversations.require("C1")
    assert [turn.number for turn in turns] == list(range(6, KEPT + 6))
    assert kept.folded == 5
    assert kept.summary.splitlines()[0] == "1. question 1? [E1]"
    assert len(kept.summary) <= MOST_SUMMARY


def test_questions_of_one_conversation_are_answered_one_after_the_other(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    desk = desk_of(store, SystemClock())
    first = desk.take(Question(text="help"))
    at_work, most, guard = [0], [0], threading.Lock()

    def tell(_progress: object) -> None:
        with guard:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        with guard:
            at_work[0] -= 1

    turns = [
        desk.take(Question(text="help", conversation_id=first.conversation_id)) for _ in range(6)
    ]
    with ThreadPoolExecutor(6) as threads:
        ended = list(threads.map(lambda turn: desk.answer(turn, tell), turns))
    assert [turn.number for turn in ended] == [2, 3, 4, 5, 6, 7]
    assert all(turn.status == "answered" for turn in ended)
    assert most[0] == 1
    store.close()


ASKS_AND_DIES = """
import os, signal, sys
from copilot.surfaces.chat import Question
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.settings import Settings
with local_chat_service(Settings(model_use="off")) as desk:
    turn = desk.take(Question(text="help"))
    print(turn.conversation_id, flush=True)
    desk.answer(turn, lambda progress: os.kill(os.getpid(), signal.SIGKILL))
"""

GOES_ON = """
import sys
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.settings import Settings
with local_chat_service(Settings(model_use="off")) as desk:
    (turn,) = desk.store.conversations.turns(sys.argv[1])
    assert turn.status == "asked"
    print(desk.answer(turn).status, len(desk.store.conversations.turns(sys.argv[1])))
"""


@pytest.mark.integration
def test_a_question_whose_process_was_killed_is_answered_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "COPILOT_DATA_DIR": str(tmp_path / "home")}
    killed = subprocess.run(
        [sys.executable, "-c", ASKS_AND_DIES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = subprocess.run(
        [sys.executable, "-c", GOES_ON, killed.stdout.strip()],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split() == ["answered", "1"]
