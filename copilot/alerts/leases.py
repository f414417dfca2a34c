"""How long an alert counts as firing: leases of who repeats, heartbeats, ends."""

from collections.abc import Mapping, Sequence

from copilot.types.incident import OURS
from tools.clusterer import fingerprint
from tools.types import Alert, AlertStatus, Timestamp

MISSED = "HeartbeatMissed"
"""Our own alert on a heartbeat that stopped: its sender, or the way from it, is broken."""


def leased(
    alerts: Sequence[Alert], timeouts: Mapping[str, float], now: Timestamp
) -> Sequence[Alert]:
    """Give what a repeating sender told a lease of `timeouts[source]` seconds, as Alertmanager's
    `resolve_timeout` does, where the alert brought none.
    """
    return [
        alert.model_copy(update={"lease": now + timeouts[alert.source]})
        if alert.lease is None and alert.status != "resolved" and alert.source in timeouts
        else alert
        for alert in alerts
    ]


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


def all_ended(alerts: Sequence[Alert]) -> bool:
    """True if each firing alert of an incident has its resolution."""
    firing = {(a.fingerprint, a.starts_at) for a in alerts if a.status != "resolved"}
    ended = {(a.fingerprint, a.starts_at) for a in alerts if a.status == "resolved"}
    return bool(firing) and firing <= ended
