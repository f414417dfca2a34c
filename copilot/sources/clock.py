"""The clock of the machine."""

import time

from tools.types import Timestamp


class SystemClock:
    """Wall time in Unix seconds."""

    def now(self) -> Timestamp:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait, really."""
        time.sleep(seconds)
