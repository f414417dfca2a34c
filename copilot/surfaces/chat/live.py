"""An answer as it comes: worked on in a thread of its own, told step by step, cancellable."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from copilot.surfaces.chat.chat_service import ChatService
from copilot.surfaces.chat.session import Progress
from copilot.types.conversation import Turn
from prompts import Language


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while; whoever shows it may say that it is still at work."""


AnswerEvent = Progress | Heartbeat | Turn


class AnswerTask:
    """One question at work. Iterated it tells progress, at last the turn; `cancel` stops it.

    Nothing of an answer is told before it was checked: a text that does not hold is never shown.
    """

    def __init__(self, desk: ChatService, turn: Turn, language: Language | None = None) -> None:
        self._desk, self._turn, self._language = desk, turn, language
        self._told: SimpleQueue[Progress | Turn | BaseException] = SimpleQueue()
        self._cancelled = threading.Event()
        # A thread of its own, so that whoever waits can stop waiting at once.
        threading.Thread(target=self._work, daemon=True, name="chat-answer").start()

    def cancel(self) -> None:
        """Nobody waits any more: it ends before its next step and is kept as cancelled."""
        self._cancelled.set()

    def next(self, wait_s: float = 0.0) -> AnswerEvent:
        """What happened next; `Heartbeat` where nothing did. A crash of the answer is raised."""
        try:
            told = self._told.get(timeout=wait_s) if wait_s else self._told.get_nowait()
        except Empty:
            return Heartbeat()
        if isinstance(told, BaseException):
            raise told
        return told

    def events(self, every_s: float) -> Iterator[AnswerEvent]:
        """What happens, with `Heartbeat` where nothing did for `every_s`; the turn comes last."""
        while True:
            told = self.next(every_s)
            yield told
            if isinstance(told, Turn):
                return

    def _work(self) -> None:
        try:
            turn = self._desk.answer(self._turn, self._told.put, self._cancelled, self._language)
        except BaseException as error:
            self._told.put(error)
            raise
        self._told.put(turn)
