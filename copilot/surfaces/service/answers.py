"""An answer at work, heard from the event loop: waiting for one costs no thread of the service."""

import asyncio
import time
from collections.abc import AsyncIterator

from copilot.surfaces.chat import AnswerEvent, AnswerTask, Heartbeat
from copilot.types.conversation import Turn

POLL_S = 0.03
HEARTBEAT_S = 8.0
"""A proxy or a client that hears nothing for longer may give up."""

AT_ONCE = 16
"""Answers at work at the same time; whoever comes then is told to come back."""


async def heard(answering: AnswerTask) -> AsyncIterator[AnswerEvent]:
    """Progress as it comes, `Heartbeat` as a heartbeat, the turn at last; cancelled when closed."""
    spoken = time.monotonic()
    ended = False
    try:
        while not ended:
            told = answering.next()
            now = time.monotonic()
            if not isinstance(told, Heartbeat):
                spoken, ended = now, isinstance(told, Turn)
                yield told
            elif now - spoken > HEARTBEAT_S:
                spoken = now
                yield told
            else:
                await asyncio.sleep(POLL_S)
    finally:
        if not ended:
            answering.cancel()
