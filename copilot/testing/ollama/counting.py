"""Tokens as this server counts them: coarse, but like the real one in what costs much."""

import re
from collections.abc import Callable, Sequence

from copilot.testing.ollama.protocol import ChatMessage

_TOKEN = re.compile(r"[A-Za-z]{1,5}|[0-9]|\s*\n\s*|[^\S\n]+|[^\sA-Za-z0-9]")
_TURN = 4

TokenCounter = Callable[[Sequence[ChatMessage]], int]
"""What a conversation costs in tokens."""


def tokens(text: str) -> list[str]:
    """The text in tokens: five letters, a digit, a sign or a Chinese character each."""
    return [one for one in _TOKEN.findall(text) if one != " "]


def counted(messages: Sequence[ChatMessage]) -> int:
    """What a conversation costs, with the marks between turns."""
    return sum(len(tokens(message.content)) + _TURN for message in messages)


def pieces(text: str) -> list[str]:
    """The text in the pieces it is streamed in: tokens with the space before them."""
    return re.findall(r"\s*\S{1,5}|\s+", text)


def fitting(
    messages: tuple[ChatMessage, ...], context: int, count: TokenCounter = counted
) -> tuple[ChatMessage, ...]:
    """What the real one leaves of a conversation that is too long: system, and the latest turns.

    The oldest go first, the last stays whatever it costs; so a question can vanish while what
    tools answered to it remains.
    """
    if count(messages) <= context or not messages:
        return messages
    kept = [messages[-1]]
    system = [one for one in messages[:-1] if one.role == "system"]
    for message in reversed([one for one in messages[:-1] if one.role != "system"]):
        if count([*system, message, *kept]) > context:
            break
        kept.insert(0, message)
    return (*system, *kept)
