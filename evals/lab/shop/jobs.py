"""Jobs: a bounded queue and the consumers that work it off."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from evals.lab.shop.meters import QueueMeters, since

MOST = 400
_CONSUMERS = 1


class Jobs:
    """First in, first out; a job that fails is dropped after its error was logged."""

    def __init__(self, meters: QueueMeters, work: Callable[[], Awaitable[None]]) -> None:
        self._meters = meters
        self._work = work
        self._waiting: deque[float] = deque()
        self._arrived = asyncio.Event()

    def put(self) -> bool:
        """Take a job; False where the queue is full."""
        if len(self._waiting) >= MOST:
            return False
        self._waiting.append(time.monotonic())
        self._arrived.set()
        return True

    def show(self) -> None:
        """Tell the meters how it stands."""
        self._meters.depth.set(len(self._waiting))
        self._meters.oldest.set(since(self._waiting[0]) if self._waiting else 0.0)

    async def consume(self) -> None:
        """Work jobs off for ever."""
        await asyncio.gather(*(self._one_after_another() for _ in range(_CONSUMERS)))

    async def _one_after_another(self) -> None:
        while True:
            while self._waiting:
                self._waiting.popleft()
                await self._work()
            self._arrived.clear()
            await self._arrived.wait()
