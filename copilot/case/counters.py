"""What the engine did since it started, and who delivered alerts to it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.types import Alert, Timestamp


@dataclass(frozen=True, slots=True)
class SenderTally:
    """How many alerts a sender delivered, repetitions included, and when the last one came."""

    alerts: int
    last: Timestamp


@dataclass(slots=True)
class Counters:
    """What the engine did since it started, for `/metrics` and `copilot doctor`."""

    alerts_accepted: int = 0
    alerts_repeated: int = 0
    incidents_opened: int = 0
    runs_finished: int = 0
    runs_failed: int = 0
    approvals_decided: int = 0
    forecasts_told: int = 0
    forecasts_came_true: int = 0
    forecasts_not_come: int = 0
    senders: dict[str, SenderTally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **counts: int) -> None:
        """Add to counters by name, safely from any thread."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def heard(self, alerts: Sequence[Alert], now: Timestamp) -> None:
        """Count a delivery for whoever sent it."""
        with self._lock:
            for alert in alerts:
                before = self.senders.get(alert.source)
                count = before.alerts + 1 if before else 1
                self.senders[alert.source] = SenderTally(count, now)
