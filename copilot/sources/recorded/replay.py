"""Replay: where a recording stands, moved forward by whoever waits."""

from tools.types import Timestamp


class ReplayClock:
    """A `Clock` that moves only when it is told to."""

    def __init__(self, at: Timestamp) -> None:
        self._now = at

    def now(self) -> Timestamp:
        """Where the replay stands."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the replay move on instead of waiting."""
        if seconds < 0:
            raise ValueError(f"cannot sleep {seconds!r} seconds; a replay moves forward only")
        self._now += seconds

    def advance(self, moment: Timestamp) -> None:
        """Stand at a later moment."""
        if moment < self._now:
            raise ValueError(f"cannot go back from {self._now!r} to {moment!r}; open it again")
        self._now = moment
