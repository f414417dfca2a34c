"""A clock for the tests of sources."""

from dataclasses import dataclass

from tools.types import Timestamp


@dataclass
class Standing:
    """A clock that stands until somebody sleeps."""

    at: Timestamp

    def now(self) -> Timestamp:
        """Where it stands."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Stand later."""
        self.at += seconds
