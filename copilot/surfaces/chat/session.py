"""What the nodes of one answer are given, and the state they hand on."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.cancellable_model import CancellableModel
from copilot.surfaces.chat.ledger import Ledger
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.understand import UnderstandingChain, Understood
from copilot.types.conversation import Answer, Conversation, ToolUse, Turn
from copilot.types.errors import OperatorError
from prompts import Language
from tools.types import FrozenModel


class CancelledError(OperatorError):
    """Whoever asked does not wait for the answer any more."""

    def __init__(self) -> None:
        super().__init__("the answer was cancelled")


class ChatLimits(FrozenModel):
    """Bounds of one answer; everything that ends in `_s` is in seconds."""

    rounds: int = 3  # how often the model may ask for tools
    calls: int = 10  # tools that are used
    repeats: int = 2  # wishes for what is there already, until the answer is written anyway
    model_calls: int = 6
    model_tokens: int = 60_000  # shown and written, all calls together
    total_s: float = 120.0
    reply_tokens: int = 1_200
    remembered: int = 4  # turns that a model is shown whole


class Progress(FrozenModel):
    """What is being done, for whoever waits: a tool by name, or the model.

    `text` is said once, before a model writes: the lines the answer begins with whatever it adds.
    """

    step: Literal["tool", "model", "text", "check"]
    state: Literal["running", "done", "failed", "repeated"] = "running"
    name: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """Given to every node by `Runtime[Session]`."""

    scope: ToolContext
    conversation: Conversation
    turns: Sequence[Turn]
    language: Language
    nonce: str
    chain: UnderstandingChain
    model: CancellableModel | None = None
    limits: ChatLimits = ChatLimits()
    tell: Callable[[Progress], None] = lambda _progress: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    until: float = 0.0  # of time.monotonic

    def left(self) -> float:
        """Seconds until the answer has to be there."""
        return self.until - time.monotonic()

    def heed(self) -> None:
        """Raise where nobody waits any more."""
        if self.cancelled.is_set():
            raise CancelledError


class ChatState(TypedDict, total=False):
    """Each key has one writer."""

    turn: Turn  # the caller
    understanding: Understood  # understand
    waiting: list[ToolRequest]  # understand
    rounds: int  # understand
    trouble: str  # understand
    parts: list[AnswerPart]  # look
    uses: list[ToolUse]  # look
    made: list[str]  # look
    repeats: int  # look
    ledger: Ledger  # look
    written: str  # answer
    note: str  # answer
    answer: Answer  # check
