"""A model on a leash: bounded calls, tokens and time; what it costs, and whether anybody waits."""

import threading
from collections.abc import Iterator

from copilot.conversation import Cost
from copilot.model.bounded import Bounded
from copilot.model_io import Done, ModelEvent, ModelRequest
from copilot.ports import ModelError


class Watched:
    """Hands requests on until the budget of tokens is spent or it is cancelled."""

    def __init__(self, model: Bounded, *, tokens: int, cancelled: threading.Event) -> None:
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
        return "the time for an answer is over" if late else ""

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The pieces of a reply; the budget is looked at before it is paid for."""
        if why := self.spent():
            raise ModelError("refused", why)
        shown = sum(self._model.tokens(message.content) for message in request.messages)
        for event in self._model.stream(request):
            if self._cancelled.is_set():
                raise ModelError("refused", "cancelled")
            if isinstance(event, Done):
                self._pay(event, shown)
            yield event

    def _pay(self, done: Done, shown: int) -> None:
        paid = {
            "prompt_tokens": self._cost.prompt_tokens
            + (shown if done.prompt_tokens is None else done.prompt_tokens),
            "reply_tokens": self._cost.reply_tokens + (done.reply_tokens or 0),
        }
        self._cost = self._cost.model_copy(update=paid)
