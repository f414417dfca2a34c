"""Arrival: what is settled of an alert before it is written, by our clock and our settings."""

from collections.abc import Mapping, Sequence

from tools.types import Alert, Timestamp


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
