"""A model on a leash: bounded calls, tokens and time; what it costs, and whether anybody waits."""

import functools
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from copilot.model.budget import BudgetedModel
from copilot.ports import ModelError
from copilot.types.conversation import Cost
from copilot.types.model_io import ModelEvent, ModelRequest, ReplyEnd

TICK_S = 0.1


class CancellableModel:
    """Hands requests on until the budget of tokens is spent or it is cancelled."""

    def __init__(self, model: BudgetedModel, *, tokens: int, cancelled: threading.Event) -> None:
        self.name = model.name
        self.context_tokens = model.context_tokens
        self._model, self._tokens, self._cancelled = model, tokens, cancelled
        self._cost = Cost()

    @property
    def cost(self) -> Cost:
        """What was asked so far."""
        return self._cost.model_copy(update={"calls": self._model.calls})

    def tokens(self, text: str) -> int:
        """As the model estimates."""
        return self._model.tokens(text)

    def spent(self) -> str:
        """Why it will not be asked again; empty where it may."""
        if self._cancelled.is_set():
            return "cancelled"
        if self._model.calls_left <= 0:
            return "the calls of an answer are used up"
        if self._cost.prompt_tokens + self._cost.reply_tokens >= self._tokens:
            return f"the {self._tokens} tokens of an answer are used up"
        late = self._model.stopwatch() > self._model.deadline
        return f"not within {self._model.allowance}" if late else ""

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The pieces of a reply; the budget is looked at before it is paid for."""
        if why := self.spent():
            raise ModelError("refused", why)
        shown = sum(self._model.tokens(message.content) for message in request.messages)
        for event in self._heard(request):
            if isinstance(event, ReplyEnd):
                self._pay(event, shown)
            yield event

    def _heard(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The events as they come, heard from a thread: a model that is silent can be left.

        What is left ends by itself at its next event, or by the adapter's own limits.
        """
        told: SimpleQueue[ModelEvent | ModelError | None] = SimpleQueue()
        left = threading.Event()
        work = functools.partial(_pump, self._model, request, told, left)
        threading.Thread(target=work, daemon=True, name="chat-model").start()
        try:
            while True:
                if self._cancelled.is_set():
                    raise ModelError("refused", "cancelled")
                try:
                    event = told.get(timeout=TICK_S)
                except Empty:
                    if self._model.stopwatch() > self._model.deadline:
                        raise self._model.late() from None
                    continue
                if isinstance(event, ModelError):
                    raise event
                if event is None:
                    return
                yield event
        finally:
            left.set()

    def _pay(self, done: ReplyEnd, shown: int) -> None:
        paid = {
            "prompt_tokens": self._cost.prompt_tokens
            + (shown if done.prompt_tokens is None else done.prompt_tokens),
            "reply_tokens": self._cost.reply_tokens + (done.reply_tokens or 0),
        }
        self._cost = self._cost.model_copy(update=paid)


def _pump(
    model: BudgetedModel,
    request: ModelRequest,
    told: SimpleQueue[ModelEvent | ModelError | None],
    left: threading.Event,
) -> None:
    """Hand events over until the stream ends, breaks, or nobody listens any more."""
    try:
        for event in model.stream(request):
            told.put(event)
            if left.is_set():
                return
        told.put(None)
    except ModelError as error:
        told.put(error)
    except BaseException as error:
        # Whatever ends this thread, whoever listens must hear of it, or waits for the deadline.
        told.put(ModelError("broken", f"{type(error).__name__}: {error}"))
        raise
