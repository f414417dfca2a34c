"""A model on a leash: what one answer may ask of it, how long, and whether anybody still waits."""

import threading
import time
from collections.abc import Iterator

from copilot.conversation import Cost
from copilot.model_io import Done, ModelEvent, ModelRequest
from copilot.ports import Model, ModelError


class Watched:
    """Hands requests on until a budget is spent, the time is over, or it is cancelled."""

    def __init__(
        self,
        model: Model,
        *,
        calls: int,
        tokens: int,
        until: float,
        cancelled: threading.Event,
    ) -> None:
        self.name = model.name
        self.context_tokens = model.context_tokens
        self._model = model
        self._calls, self._tokens, self._until = calls, tokens, until
        self._cancelled = cancelled
        self._cost = Cost()

    @property
    def cost(self) -> Cost:
        """What was asked so far."""
        return self._cost

    def tokens(self, text: str) -> int:
        """As the model estimates."""
        return self._model.tokens(text)

    def spent(self) -> str:
        """Why it will not be asked again; empty where it may."""
        if self._cost.calls >= self._calls:
            return f"the budget of {self._calls} calls is spent"
        if self._cost.prompt_tokens + self._cost.reply_tokens >= self._tokens:
            return f"the budget of {self._tokens} tokens is spent"
        if time.monotonic() >= self._until:
            return "the time for an answer is over"
        return "cancelled" if self._cancelled.is_set() else ""

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The pieces of a reply; checked before it is paid for and while it comes."""
        if why := self.spent():
            raise ModelError("refused", why)
        shown = sum(self._model.tokens(message.content) for message in request.messages)
        self._cost = self._cost.model_copy(update={"calls": self._cost.calls + 1})
        for event in self._model.stream(request):
            if self._cancelled.is_set() or time.monotonic() >= self._until:
                raise ModelError("timeout", self.spent())
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
