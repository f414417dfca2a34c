"""A model as this process uses it: within what is left of a budget, and counted for `/metrics`."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from copilot.ports import Model, ModelError
from copilot.types.model_io import ModelEvent, ModelRequest, ReplyEnd


@dataclass(slots=True)
class BudgetedModel:
    """Passes calls on while any are left; a reply that is not whole by the deadline is given up.

    Between two events of a stream the adapter's own limits hold.
    """

    model: Model
    calls_left: int
    deadline: float
    stopwatch: Callable[[], float]
    calls: int = 0
    name: str = field(init=False)
    context_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.model.name
        self.context_tokens = self.model.context_tokens

    def tokens(self, text: str) -> int:
        """The model's own estimate."""
        return self.model.tokens(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The model's events, as long as there is time."""
        if self.calls_left <= 0:
            raise ModelError("refused", "the calls of this incident are used up")
        self.calls_left -= 1
        self.calls += 1
        for event in self.model.stream(request):
            if self.stopwatch() > self.deadline:
                raise ModelError("timeout", "the seconds of this incident are used up")
            yield event


@dataclass(slots=True)
class Usage:
    """Requests by outcome (`stop`, `length`, `cancelled` or a fault) and sums over whole replies.

    Everything that ends in `_s` is in seconds.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    reply_tokens: int = 0
    queued_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0

    @property
    def replies(self) -> int:
        """How many replies came whole."""
        return self.outcomes["stop"] + self.outcomes["length"]


class MeteredModel:
    """Passes requests to another model and adds up outcomes, tokens and seconds in `usage`."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.context_tokens = model.context_tokens
        self.usage = Usage()
        self._model = model
        self._lock = threading.Lock()

    def tokens(self, text: str) -> int:
        """Estimate the tokens of `text` as the other model does."""
        return self._model.tokens(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Stream the other model's events; a stream that is closed early counts as cancelled."""
        outcome = "cancelled"
        events = self._model.stream(request)
        try:
            for event in events:
                if isinstance(event, ReplyEnd):
                    outcome = event.reason
                    self._add(event)
                yield event
        except ModelError as error:
            outcome = error.fault
            raise
        finally:
            with self._lock:
                self.usage.outcomes[outcome] += 1
            if isinstance(events, Generator):
                events.close()

    def _add(self, done: ReplyEnd) -> None:
        with self._lock:
            self.usage.prompt_tokens += done.prompt_tokens or 0
            self.usage.reply_tokens += done.reply_tokens or 0
            self.usage.queued_s += done.queued_s
            self.usage.first_token_s += done.first_token_s
            self.usage.total_s += done.total_s
