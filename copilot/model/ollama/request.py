"""What a request carries, the same for all, and how many tokens its text costs at most.

A request whose context length differs from the loaded one makes the server load the model anew:
tens of seconds for 19 GB. So chat, responder and evals all send the same, from here.

Why these options: docs/decisions/model.md.
"""

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
            "options": {
                **self._options(),
                "seed": self.seed + request.attempt,
                "num_predict": most,
            },
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


_PIECE = re.compile(
    r"(?P<odd>(?=[A-Za-z]*[0-9])[A-Za-z0-9]{6,}"  # digests, identifiers: hardly any pair is known
    r"|[A-Za-z]{20,}|[A-Z]{4,}"
    r"|[A-Za-z]*[bcdfghjklmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ]{4}[A-Za-z]*)"
    r"|(?P<word>[A-Z]?[a-z]+|[A-Z])"
    r"|(?P<space>[^\S\n]+|\n\s*)"
    r"|(?P<wide>[^\x00-\x7f])"
    r"|(?P<sign>.)",
    re.DOTALL,
)
MESSAGE_TOKENS = 8
"""What a turn costs beside its text: the marks of the chat template and the role."""


def estimated(text: str) -> int:
    """Estimate the tokens of `text` without the tokenizer of the model at hand, never too low.

    Written against the byte-pair vocabulary that Qwen models share (151,643 entries): each digit is
    a token, a word one to a few, a common Chinese character at most one, a hexadecimal digest
    nearly one for each character. Measured on English and Chinese prose, code, JSON, pod names,
    hexadecimal, Base64 and random letters it was 1.0 to 1.9 times the count on what people write.
    """
    return sum(_cost(str(piece.lastgroup), piece.group()) for piece in _PIECE.finditer(text))


def _cost(kind: str, piece: str) -> int:
    match kind:
        case "odd":
            return len(piece)
        case "word":
            return -(-len(piece) // 4)
        case "space":
            return 0 if piece == " " else 1 + len(piece) // 16
        case "wide":
            return _wide(piece)
    return 1


@lru_cache(maxsize=16_384)
def _wide(character: str) -> int:
    """Common Chinese is in GB 2312; what is not costs up to its bytes."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        han = "\u4e00" <= character <= "\u9fff"
        return 2 if han else len(character.encode("utf-8", "surrogatepass"))
    return 1


class Estimate:
    """The estimate, raised for good once a server counted more; safe between threads."""

    def __init__(self) -> None:
        self._factor = 1.0
        self._lock = threading.Lock()

    def tokens(self, text: str) -> int:
        """Tokens of a text, never too low as far as is known."""
        return math.ceil(estimated(text) * self._factor)

    def counted(self, estimate: int, tokens: int) -> None:
        """Learn what a server counted where so many were expected."""
        if tokens > estimate > 0:
            with self._lock:
                self._factor *= tokens / estimate
