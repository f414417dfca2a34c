"""Arrival: an alert before it is written, by our clock and settings; a heartbeat that does not."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from copilot.types.incident import OURS
from tools.clusterer import fingerprint
from tools.types import Alert, AlertStatus, Timestamp

MISSED = "HeartbeatMissed"
"""Our own alert on a heartbeat that stopped: its sender, or the way from it, is broken."""

LULL_S = 0.05
"""Between the requests of one sender that posts as fast as it is answered: 64 alerts are read in
less (`evals bench ingest`)."""

DECIDED_WITHIN_S, WORKED_WITHIN_S = 2.0, 4.0
"""For how long a flood of deliveries may keep a batch from being decided on, and an incident from
being worked on: together well within the minute in which an incident is to be known."""


class RightOfWay:
    """Deliveries go first: what they take of the interpreter nobody else has meanwhile.

    Whoever sends waits for an answer, and Prometheus drops what it cannot send; what is written
    is decided on a moment later.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._free = threading.Condition()
        self._in_hand = 0
        self._last = -math.inf

    def __enter__(self) -> None:
        with self._free:
            self._in_hand += 1

    def __exit__(self, *_: object) -> None:
        with self._free:
            self._in_hand -= 1
            self._last = self._now()

    def give_way(self, most_s: float) -> None:
        """Wait for a lull in the deliveries, but no longer than `most_s`."""
        until = self._now() + most_s
        with self._free:
            while (left := until - self._now()) > 0:
                quiet = LULL_S if self._in_hand else self._last + LULL_S - self._now()
                if quiet <= 0:
                    return
                self._free.wait(min(quiet, left))


def arrived(
    alerts: Sequence[Alert], now: Timestamp, skew_s: float, timeouts: Mapping[str, float]
) -> Sequence[Alert]:
    """Let an alert that is dated more than `skew_s` ahead begin when it arrived, and give what a
    repeating sender told a lease of `timeouts[source]` seconds, as Alertmanager's
    `resolve_timeout` does, where the alert brought none. Past starts and ends stay as they came.
    """
    read = []
    for alert in alerts:
        changes: dict[str, Timestamp] = {}
        if alert.starts_at > now + skew_s:
            changes |= {"starts_at": now, "dated": alert.starts_at}
        open_ended = alert.lease is None and alert.status != "resolved"
        if open_ended and alert.source in timeouts:
            changes["lease"] = now + timeouts[alert.source]
        read.append(alert.model_copy(update=changes) if changes else alert)
    return read


def missed(beat: Alert, since: Timestamp, now: Timestamp, status: AlertStatus = "firing") -> Alert:
    """Our alert on a heartbeat: not heard since `since`, or (resolved) heard again."""
    labels = {**beat.labels, "alertname": MISSED, "heartbeat": beat.name, "severity": "critical"}
    age = max(0.0, now - since)
    return Alert(
        fingerprint=fingerprint(labels),
        name=MISSED,
        status=status,
        severity="critical",
        starts_at=now,
        ends_at=now if status == "resolved" else None,
        labels=labels,
        annotations={
            "summary": f"{beat.name} was not heard for {age:.0f} s: its sender, or what lies "
            "between, may be down, and then no other alert of it arrives either."
        },
        why="the heartbeat stopped; whom it concerns is not known",
        source=OURS,
    )
