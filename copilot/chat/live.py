"""An answer as it comes: worked on in a thread of its own, told piece by piece, cancellable."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from copilot.chat.desk import Desk
from copilot.chat.session import Progress
from copilot.conversation import Turn
from prompts import Language


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing happened for a while; whoever shows it may say that it is still at work."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The answer broke in a way nobody foresaw; the question stays unanswered in the store."""

    error: BaseException


Live = Progress | Silence | Turn


class Answering:
    """One question at work. Iterated it tells progress, at last the turn; `cancel` stops it.

    Nothing of an answer is told before it was checked: a text that does not hold is never shown.
    """

    def __init__(self, desk: Desk, turn: Turn, language: Language | None = None) -> None:
        self._desk, self._turn, self._language = desk, turn, language
        self._told: SimpleQueue[Progress | Turn | Crashed] = SimpleQueue()
        self._cancelled = threading.Event()
        # A thread of its own, so that whoever waits can stop waiting at once.
        threading.Thread(target=self._work, daemon=True, name="chat-answer").start()

    def cancel(self) -> None:
        """Nobody waits any more: it ends before its next step and is kept as cancelled."""
        self._cancelled.set()

    def events(self, every_s: float) -> Iterator[Live]:
        """What happens, with `Silence` where nothing did for `every_s`; the turn comes last."""
        while True:
            try:
                told = self._told.get(timeout=every_s)
            except Empty:
                yield Silence()
                continue
            if isinstance(told, Crashed):
                raise told.error
            yield told
            if isinstance(told, Turn):
                return

    def _work(self) -> None:
        try:
            turn = self._desk.answer(self._turn, self._told.put, self._cancelled, self._language)
        except BaseException as error:
            self._told.put(Crashed(error))
            raise
        self._told.put(turn)
