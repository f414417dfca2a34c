"""A model within what is left of a budget: so many calls, and no second after the deadline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from copilot.ports import Model, ModelError
from copilot.types.model_io import ModelEvent, ModelRequest


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
