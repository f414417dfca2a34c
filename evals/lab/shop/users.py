"""Users: come to the front door in the shape of a day, and try again when they are refused.

`python -m evals.lab.shop.users --root FOLDER --seed N [--day SECONDS]`
"""

import argparse
import asyncio
import math
import random
import time
from pathlib import Path

from evals.lab.blueprint import ENTRY, JOURNEYS
from evals.lab.places import LabFolder, WatchedFile
from evals.lab.wire import Request, WireConnection

_PATIENCE_S = 6.0
_TRIES = 3
_SWING = 0.2  # by which the rate at noon and at night differs from the mean
_SHARED = 32


class Users:
    """Draws arrivals of every journey and walks them, each arrival on its own."""

    def __init__(self, places: LabFolder, seed: int, day_s: float) -> None:
        self._names = WatchedFile(places.names("primary", "users"))
        self._load = WatchedFile(places.load)
        self._rng = random.Random(seed)
        self._day_s = day_s
        self._idle: list[tuple[int, WireConnection]] = []

    async def come(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for path, rate in JOURNEYS.items():
                group.create_task(self._journey(path, rate))

    async def _journey(self, path: str, rate: float) -> None:
        walking: set[asyncio.Task[None]] = set()
        while True:
            self._load.refresh()
            factor = self._load.content
            wanted = rate * float(factor.get("all", 1.0)) * float(factor.get(path, 1.0))
            day = 1.0 + _SWING * math.sin(2.0 * math.pi * time.time() / self._day_s)
            await asyncio.sleep(self._rng.expovariate(wanted * day))
            if len(walking) < 400:
                task = asyncio.create_task(self._visit(path))
                walking.add(task)
                task.add_done_callback(walking.discard)

    async def _visit(self, path: str) -> None:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(0.5 * attempt)
            try:
                if await asyncio.wait_for(self._ask(path), _PATIENCE_S) < 400:
                    return
            except (OSError, TimeoutError, IndexError, ValueError):
                continue

    async def _ask(self, path: str) -> int:
        self._names.refresh()
        port = self._names.content[ENTRY][0] if self._names.content else 0
        connection = None
        while self._idle and connection is None:
            known, found = self._idle.pop()
            connection = found if known == port and found.usable else None
        connection = connection or await WireConnection.open(port, None, ENTRY)
        try:
            response = await connection.exchange(Request("GET", path))
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < _SHARED:
            self._idle.append((port, connection))
        return response.status


def main() -> None:
    """Started by the platform."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--day", type=float, default=600.0)
    given = parser.parse_args()
    asyncio.run(Users(LabFolder(given.root), given.seed, given.day).come())


if __name__ == "__main__":
    main()
