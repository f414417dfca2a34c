"""What asking the model came to, counted for `/metrics`."""

import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from copilot.ports import Model, ModelError
from copilot.types.model_io import ModelEvent, ModelRequest, ReplyEnd


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
        """How many were whole."""
        return self.outcomes["stop"] + self.outcomes["length"]


class MeteredModel:
    """Another model, counted."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.context_tokens = model.context_tokens
        self.usage = Usage()
        self._model = model
        self._lock = threading.Lock()

    def tokens(self, text: str) -> int:
        """As the model estimates."""
        return self._model.tokens(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """As the model says it."""
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
