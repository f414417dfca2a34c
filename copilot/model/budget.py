"""A model as this process uses it: within what is left of a budget, and counted for `/metrics`."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from copilot.ports import Model, ModelError
from copilot.types.model_io import ModelEvent, ModelRequest, ReplyEnd

EARLY_S = 0.1
"""A timer of the network may ring this much before ours."""


@dataclass(slots=True)
class BudgetedModel:
    """Passes calls on while any are left; a reply that is not whole by the deadline is given up.

    The deadline holds while the model is silent, too: the request says how long it may take.
    `allowance` is what is told when it is over: how much there was, and the setting.
    """

    model: Model
    calls_left: int
    deadline: float
    stopwatch: Callable[[], float]
    allowance: str = "the seconds of this incident"
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
        if (left := self.deadline - self.stopwatch()) <= 0:
            raise self.late()
        self.calls_left -= 1
        self.calls += 1
        try:
            for event in self.model.stream(request.model_copy(update={"within_s": left})):
                if self.stopwatch() > self.deadline:
                    raise self.late()
                yield event
        except ModelError as error:
            if error.fault in ("timeout", "busy") and self.stopwatch() >= self.deadline - EARLY_S:
                raise self.late() from error
            raise

    def late(self) -> ModelError:
        """What is raised where the deadline has passed."""
        return ModelError("timeout", f"not within {self.allowance}")


@dataclass(slots=True)
class Usage:
    """Requests by outcome (`stop`, `length`, `cancelled` or a fault) and sums over whole replies.

    Everything that ends in `_s` is in seconds. `model` is the one that was asked last.
    """

    model: str = ""
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
        self.context_tokens = model.context_tokens
        self.usage = Usage(model.name)
        self._model = model
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The other model's: known only once a server was found, where it is `auto`."""
        return self._model.name

    def tokens(self, text: str) -> int:
        """Estimate the tokens of `text` as the other model does."""
        return self._model.tokens(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Stream the other model's events; a stream that is closed early counts as cancelled."""
        outcome, self.usage.model = "cancelled", self.name
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
