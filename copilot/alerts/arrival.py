"""Arrival: an alert before it is written, by our clock and settings; a heartbeat that does not."""

from collections.abc import Mapping, Sequence

from copilot.types.incident import OURS
from tools.clusterer import fingerprint
from tools.types import Alert, AlertStatus, Timestamp

MISSED = "HeartbeatMissed"
"""Our own alert on a heartbeat that stopped: its sender, or the way from it, is broken."""


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
