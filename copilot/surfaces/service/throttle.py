"""Counts what went wrong lately, by whom it was tried and for whom, and says when to wait."""

from collections import OrderedDict, deque
from collections.abc import Callable

TRIES, TRIES_S = 10, 60.0
"""Wrong tries in so many seconds for one name, one address or one kind of token; then it is waited.
NIST SP 800-63B-4, 3.2.2, allows 100 in a row for an account."""

REMEMBERED = 10_000
"""Names and addresses that are counted; the one that was tried longest ago is forgotten."""


class TooManyTriesError(Exception):
    """Wrong tries came too fast; it is not looked at for a while."""


class Throttle:
    """Refuses a key after too many wrong tries; `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, *keys: str) -> None:
        """Raise `TooManyTriesError` where one of the keys has to wait."""
        now = self._clock()
        for key in keys:
            found = self._failed.get(key)
            if found is not None and len(found) == TRIES and now - found[0] < TRIES_S:
                raise TooManyTriesError(key)

    def failed(self, *keys: str) -> None:
        """Count a wrong try against each."""
        for key in keys:
            self._failed.setdefault(key, deque(maxlen=TRIES)).append(self._clock())
            self._failed.move_to_end(key)
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
