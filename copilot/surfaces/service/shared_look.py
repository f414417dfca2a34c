"""A look that takes a while, shared by all who ask for a page: a page is reloaded at will."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

LookT = TypeVar("LookT")

KEPT_S = 15.0
"""Seconds for which a look serves everybody before there is another."""

MOST_LOOKING, MOST_KEPT = 2, 8
"""Looks that are under way at once, and that are kept: a source that hangs must not take the
threads that alerts come in by."""


class TooManyLooksError(Exception):
    """Enough looks are under way, and none is kept of what was asked for."""


class SharedLooks(Generic[LookT]):
    """Looks by key, each no older than `KEPT_S` where one more may be under way."""

    def __init__(self) -> None:
        self._lock, self._free = threading.Lock(), threading.Semaphore(MOST_LOOKING)
        self._kept: dict[str, tuple[float, LookT]] = {}

    def take(self, key: str, look: Callable[[], LookT]) -> LookT:
        """The look of this key, an older one where others wait; raises `TooManyLooksError`."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] <= KEPT_S:
            return kept[1]
        if not self._free.acquire(blocking=False):
            if kept is not None:
                return kept[1]
            raise TooManyLooksError
        try:
            seen = look()
        finally:
            self._free.release()
        with self._lock:
            others = [one for one in self._kept.items() if one[0] != key]
            self._kept = {**dict(others[1 - MOST_KEPT :]), key: (time.monotonic(), seen)}
        return seen
