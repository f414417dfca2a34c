"""The one option set that every request carries.

A request whose context length differs from the loaded one makes the server load the model anew:
tens of seconds for 19 GB. So chat, responder and evals all send the same, from here.

Why these options: docs/decisions/model.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from copilot.types.model_io import Message, ModelRequest


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """What is constant. Sampling is as Qwen's makers recommend it with thinking and without.

    Never greedy: temperature 0 is advised against, for endless repetition. Evals fix the seed and
    run several times instead. `keep_alive` is in seconds, or as "10m"; -1 keeps it for good.
    """

    context: int = 16_384
    think: bool = False
    keep_alive: float | str = -1
    seed: int = 42

    def loading(self, model: str) -> dict[str, JsonValue]:
        """A request that only loads the model, with what every other one will ask of it."""
        return {
            **self._constant(model),
            "messages": [],
            "stream": True,
            "options": self._options(),
        }

    def body(self, model: str, request: ModelRequest, most: int) -> dict[str, JsonValue]:
        """A chat that streams at most `most` tokens."""
        body: dict[str, JsonValue] = {
            **self._constant(model),
            "messages": _messages(request.messages),
            "stream": True,
            "options": {**self._options(), "num_predict": most},
        }
        if request.reply_schema is not None:
            body["format"] = request.reply_schema
        return body

    def _constant(self, model: str) -> dict[str, JsonValue]:
        # Without these two a server cuts what is too long for it, and says nothing.
        return {
            "model": model,
            "think": self.think,
            "keep_alive": self.keep_alive,
            "truncate": False,
            "shift": False,
        }

    def _options(self) -> dict[str, JsonValue]:
        temperature, top_p = (0.7, 0.8) if not self.think else (0.6, 0.95)
        return {
            "temperature": temperature,
            "top_p": top_p,
            "top_k": 20,
            "min_p": 0.0,
            "seed": self.seed,
            "num_ctx": self.context,
        }


def _messages(messages: Sequence[Message]) -> list[JsonValue]:
    return [{"role": one.role, "content": one.content} for one in messages]
