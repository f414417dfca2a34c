"""`copilot chat`: questions at the terminal, answered here or by the running service."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from copilot.settings import Settings
from copilot.store import StoreError
from copilot.surfaces.chat import (
    AnswerEvent,
    AnswerTask,
    ChatService,
    Heartbeat,
    Progress,
    Question,
    QuestionError,
)
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.commands.chat_remote import RemoteChat
from copilot.surfaces.commands.chat_wiring import local_chat_service
from copilot.types import home
from copilot.types.conversation import Turn
from copilot.types.home import made
from prompts import Language

LEAVE = frozenset({"exit", "quit", "q", "bye", "退出", ":q"})
TICK_S = 0.25

LineInput = Callable[[], str]


class ChatBackend(Protocol):
    """Where questions go: a desk of this process, or a service that owns the data folder."""

    conversation_id: str

    def asked(self, question: Question) -> "PendingAnswer":
        """Hand a question over; it is written down on return."""
        ...


class PendingAnswer(Protocol):
    """One question at work."""

    def events(self, every_s: float) -> Iterator[AnswerEvent]:
        """Progress, at last the turn."""
        ...

    def cancel(self) -> None:
        """Do not wait any more."""
        ...


class LocalChat:
    """The desk of this process."""

    def __init__(self, desk: ChatService, conversation_id: str) -> None:
        self._desk = desk
        self.conversation_id = conversation_id

    def asked(self, question: Question) -> AnswerTask:
        """Written down, and at work."""
        turn = self._desk.take(question)
        self.conversation_id = turn.conversation_id
        return AnswerTask(self._desk, turn, question.language)


def chat(settings: Settings, *, incident: str, once: str, conversation: str, as_json: bool) -> int:
    """Ask once, or until the reader leaves; exit code 1 where one question was not answered."""
    console = Console(stderr=as_json)
    with _line(settings, incident, conversation) as line:
        talk = TerminalChat(console, line, incident, settings.language)
        if once and as_json:
            turn = talk.turn(once)
            print_json(turn.model_dump(mode="json") if turn is not None else None)
            return 0 if turn is not None and turn.answer and turn.answer.understood else 1
        if once:
            return 0 if talk.answered(once) else 1
        talk.greet()
        for question in _questions(settings):
            if not sys.stdin.isatty():
                console.print(Text(f"› {question}", style="bold"))
            talk.answered(question)
    if line.conversation_id:
        console.print(Text(f"copilot chat --conversation {line.conversation_id}", style="dim"))
    return 0


class TerminalChat:
    """Questions and answers on one terminal."""

    def __init__(
        self, console: Console, line: ChatBackend, incident: str, language: Language
    ) -> None:
        self._console, self._line = console, line
        self._incident, self._language = incident, language
        self._going_on = False

    def greet(self) -> None:
        """How to leave, and what this is."""
        self._going_on = True
        self._console.print(
            Text(
                "询问事件;Ctrl-C 取消回答,Ctrl-D 离开;“帮助”列出可问的内容。"
                if self._language == "zh"
                else "Ask about the incident. Ctrl-C stops an answer, Ctrl-D leaves; "
                "`help` lists what can be asked.",
                style="dim",
            )
        )

    def answered(self, text: str) -> bool:
        """Ask and show; False where nothing was understood or it broke."""
        try:
            turn = self.turn(text)
        except KeyboardInterrupt:
            if not self._going_on:
                raise
            self._console.print(Text("取消" if self._language == "zh" else "cancelled"))
            return False
        except (QuestionError, StoreError) as error:
            if not sys.stdin.isatty():
                raise
            self._console.print(Text(f"copilot: {error}"))
            return False
        return turn is not None and turn.status == "answered" and self._told(turn)

    def turn(self, text: str) -> Turn | None:
        """Ask, show what is done meanwhile, and return the answer; None where none came."""
        waiting = self._line.asked(
            Question(
                text=text,
                conversation_id=self._line.conversation_id,
                incident_id=self._incident,
                language=self._language,
            )
        )
        with _interrupted(waiting.cancel):
            return self._shown(waiting)

    def _shown(self, waiting: PendingAnswer) -> Turn | None:
        with self._console.status(Text("…")) as status:
            for event in waiting.events(TICK_S):
                if isinstance(event, Turn):
                    return event
                if isinstance(event, Heartbeat) or event.step == "text":
                    continue
                status.update(Text(_doing(event), style="dim"))
                if event.state in ("done", "failed", "repeated"):
                    self._console.print(_line_of(event))
        return None

    def _told(self, turn: Turn) -> bool:
        answer = turn.answer
        if answer is None:
            return False
        self._console.print(Markdown(answer.text, hyperlinks=False))
        self._console.print()
        return answer.understood


def _line_of(event: Progress) -> Text:
    mark = {"done": "✔", "failed": "–", "repeated": "="}[event.state]
    return Text.assemble((f"  {mark} {event.name} ", "cyan dim"), (event.said, "dim"))


def _doing(event: Progress) -> str:
    if event.step == "model":
        return f"{event.name}: {event.said} …"
    return f"{event.name or event.step} {event.said} …"


@contextmanager
def _line(settings: Settings, incident: str, conversation: str) -> Iterator[ChatBackend]:
    address = settings.server or home.service_address(settings.home)
    if address:
        yield RemoteChat(settings, address, conversation)
        return
    with local_chat_service(settings) as desk:
        if incident:
            desk.store.incidents.require(incident)
        if conversation:
            desk.store.conversations.require(conversation)
        yield LocalChat(desk, conversation)


@contextmanager
def _interrupted(cancel: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C stops the answer at once: nobody waits for what is still at work."""
    try:
        yield
    except KeyboardInterrupt:
        cancel()
        raise


def _questions(settings: Settings) -> Iterator[str]:
    """What the reader types until they leave; from a pipe, line by line."""
    read = _prompt(made(settings.home)) if sys.stdin.isatty() else _piped
    while True:
        try:
            text = read().strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        if text.lower() in LEAVE:
            return
        if text:
            yield text


def _piped() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _prompt(folder: Path) -> LineInput:
    session: PromptSession[str] = PromptSession(history=FileHistory(str(folder / "chat-history")))
    return lambda: session.prompt("› ")
