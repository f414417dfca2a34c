"""The desk: takes a question, writes it down, has it answered, writes the answer down."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from copilot.model.budget import BudgetedModel
from copilot.ports import Clock, Model
from copilot.store import Store
from copilot.surfaces.chat.cancellable_model import CancellableModel
from copilot.surfaces.chat.graph import RECURSION_LIMIT, ChatGraph, build
from copilot.surfaces.chat.ledger import cited_in
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.session import CancelledError, ChatLimits, Progress, Session
from copilot.surfaces.chat.understand import (
    ChatScene,
    ModelUnderstanding,
    UnderstandingChain,
    incident_named,
    language_of,
)
from copilot.types.conversation import MOST_QUESTION, Answer, Turn, TurnStatus
from copilot.types.errors import OperatorError
from copilot.types.incident import CLOSED, Incident
from prompts import Language
from tools.log_retriever.sanitize import strip_controls
from tools.types import FrozenModel

ProgressListener = Callable[[Progress], None]


class QuestionError(OperatorError):
    """The question cannot be taken; the message says why and what to do."""


class Question(FrozenModel):
    """What somebody asks. Without a conversation a new one is begun; `key` is the client's own."""

    text: str
    conversation_id: str = ""
    incident_id: str = ""
    language: Language | None = None
    key: str = ""


class ChatService:
    """One core for every surface; safe to use from many threads.

    Questions of one conversation are answered one after the other, in the order they came; those
    of different conversations at the same time.
    """

    def __init__(
        self,
        store: Store,
        scope_of: Callable[[Incident | None], ToolContext],
        wall: Clock,
        new_id: Callable[[], str],
        *,
        model: Model | None = None,
        language: Language = "en",
        limits: ChatLimits = ChatLimits(),  # noqa: B008 - frozen
        chain: UnderstandingChain | None = None,
    ) -> None:
        self.store = store
        self.model = model
        self.limits = limits
        self.scope_of = scope_of
        self._wall = wall
        self._new_id = new_id
        self._language: Language = language
        self.chain = chain or UnderstandingChain()
        self._graph: ChatGraph = build()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def take(self, question: Question) -> Turn:
        """Write the question down; it is on disk on return, answered or not."""
        text = strip_controls(question.text).strip()
        if not text:
            raise QuestionError("the question is empty")
        if len(text) > MOST_QUESTION:
            raise QuestionError(
                f"the question has {len(text)} characters; {MOST_QUESTION} is the limit"
            )
        text = self.store.redactor.text(text)
        now = self._wall.now()
        known = self.store.conversations.get(question.conversation_id)
        language = language_of(
            text, question.language or (known.language if known else self._language)
        )
        if known is None:
            name = question.conversation_id or f"chat-{self._new_id()}"
            known = self.store.conversations.open(name, question.incident_id, language, now)
        incident_id = question.incident_id or known.incident_id
        return self.store.conversations.ask(known.id, text, incident_id, question.key, now)

    def answer(
        self,
        turn: Turn,
        tell: ProgressListener = lambda _progress: None,
        cancelled: threading.Event | None = None,
        language: Language | None = None,
    ) -> Turn:
        """Answer a question that was taken; what becomes of it is written down in any case."""
        stop = cancelled or threading.Event()
        with self._turn_of(turn.conversation_id):
            status: TurnStatus = "answered"
            try:
                answer = self._answered(turn, tell, stop, language)
            except CancelledError as error:
                answer, status = self._without(turn, str(error)), "cancelled"
            except OperatorError as error:
                answer, status = self._without(turn, str(error)), "failed"
            return self.store.conversations.answer(turn, status, answer, self._wall.now())

    def ask(
        self,
        question: Question,
        tell: ProgressListener = lambda _progress: None,
        cancelled: threading.Event | None = None,
    ) -> Turn:
        """Take and answer."""
        return self.answer(self.take(question), tell, cancelled, question.language)

    def suggestions(
        self, incident: Incident | None, turns: Sequence[Turn], language: Language
    ) -> tuple[str, ...]:
        """Three questions to go on with. No source is asked for it: a page waits for them."""
        about = incident or _newest(self.store)
        first = about.ranking.candidates[:1] if about else ()
        subjects = (turn.answer.services for turn in reversed(turns) if turn.answer)
        scene = ChatScene(
            now=self._wall.now(),
            services=about.services if about else (),
            leading=first[0].component if first else "",
            language=language,
            recent=next(filter(None, subjects), ()),
        )
        return self.chain.go_on([turn.question for turn in reversed(turns)], scene)

    def _answered(
        self, turn: Turn, tell: ProgressListener, stop: threading.Event, language: Language | None
    ) -> Answer:
        session = self._session(turn, tell, stop, language)
        state = self._graph.invoke(
            {"turn": turn}, config={"recursion_limit": RECURSION_LIMIT}, context=session
        )
        answer: Answer = state["answer"]
        return answer

    def _session(
        self, turn: Turn, tell: ProgressListener, stop: threading.Event, language: Language | None
    ) -> Session:
        conversation = self.store.conversations.require(turn.conversation_id)
        before = [
            one
            for one in self.store.conversations.turns(turn.conversation_id)
            if one.number < turn.number and one.incident_id == turn.incident_id
        ]
        until, nonce, chain = time.monotonic() + self.limits.total_s, self._new_id(), self.chain
        if (model := self._watched(until, stop)) is not None:
            asked = Progress(step="model", name=model.name, said="question")
            chain = chain.read_by(ModelUnderstanding(model, nonce, lambda: tell(asked)))
        return Session(
            scope=replace(self._scope(turn), cited=cited_in(before)),
            conversation=conversation,
            turns=before,
            language=language or conversation.language,
            nonce=nonce,
            chain=chain,
            model=model,
            limits=self.limits,
            tell=tell,
            cancelled=stop,
            until=until,
        )

    def _watched(self, until: float, stop: threading.Event) -> CancellableModel | None:
        if self.model is None:
            return None
        limits = self.limits
        allowance = f"{limits.total_s:g} s (COPILOT_CHAT_S)"
        bounded = BudgetedModel(self.model, limits.model_calls, until, time.monotonic, allowance)
        return CancellableModel(bounded, tokens=limits.model_tokens, cancelled=stop)

    def _scope(self, turn: Turn) -> ToolContext:
        """The incident the question names, else the conversation's, else the newest open one."""
        named = incident_named(turn.question)
        incident = self.store.incidents.get(named) if named else None
        if incident is None and turn.incident_id:
            incident = self.store.incidents.require(turn.incident_id)
        return self.scope_of(incident or _newest(self.store))

    def _without(self, turn: Turn, problem: str) -> Answer:
        conversation = self.store.conversations.require(turn.conversation_id)
        language = language_of(turn.question, conversation.language)
        said = f"没有回答:{problem}" if language == "zh" else f"No answer: {problem}"
        return Answer(text=f"{said}\n", language=language, note=problem, understood=False)

    @contextmanager
    def _turn_of(self, conversation_id: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks[conversation_id]
        with lock:
            yield


def _newest(store: Store) -> Incident | None:
    listed = store.incidents.list(limit=50)
    return next((one for one in listed if one.status not in CLOSED), listed[0] if listed else None)


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
            # Raised again where it is waited for; a thread that only died would be waited for ever.
            self._told.put(error)
            raise
        self._told.put(turn)
