"""Behind the model port: a queue of scripted replies, given out in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from copilot.ports import ModelError
from copilot.types.model_io import ModelEvent, ModelRequest, Piece, ReplyEnd


@dataclass(slots=True)
class ScriptedModel:
    """Says what was put in, in order, and keeps what it was asked; an error in the queue is raised.

    Asked more often than it has replies it is `unreachable`, as a server that went away.
    """

    replies: list[str | ModelError] = field(default_factory=list)
    name: str = "scripted"
    context_tokens: int = 16_384
    requests: list[ModelRequest] = field(default_factory=list)

    def enqueue(self, *replies: str | ModelError) -> None:
        """Add replies to the queue."""
        self.replies.extend(replies)

    def tokens(self, text: str) -> int:
        """One token a character: never too low."""
        return len(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The next reply in three pieces."""
        self.requests.append(request)
        if not self.replies:
            raise ModelError("unreachable", "the script is at its end")
        reply = self.replies.pop(0)
        if isinstance(reply, ModelError):
            raise reply
        for piece in _thirds(reply):
            yield Piece(text=piece)
        shown = sum(self.tokens(message.content) for message in request.messages)
        yield ReplyEnd(
            reason="stop", model=self.name, prompt_tokens=shown, reply_tokens=self.tokens(reply)
        )


def _thirds(text: str) -> Sequence[str]:
    size = max(1, -(-len(text) // 3))
    return [text[start : start + size] for start in range(0, len(text), size)]
