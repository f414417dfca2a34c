"""Until when firing alerts count as firing: renewed by each delivery, due when nobody repeats them.

As in Alertmanager, an `endsAt` in the future is a lease. Heartbeats have one, too: what is due of
them is the news that they stopped.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from copilot.store.database import Database
from copilot.store.tables import alert_leases, alerts
from tools.types import Alert, Timestamp

BEATS = 3.0
"""A heartbeat without a lease of its own is missed after so many of its own intervals."""

LEAST_BEAT_S, MOST_BEAT_S = 600.0, 46_800.0
"""But not before, and not later: Alertmanager's `group_interval` alone is 300 s, and one delivery
may be lost; three times its `repeat_interval` of 4 h is 12 h. Source: its default configuration."""

_GIVEN = ("fingerprint", "starts_at", "until", "seen_at", "missed")
_RENEWED = (
    "DO UPDATE SET starts_at = excluded.starts_at, until = excluded.until, "
    "seen_at = excluded.seen_at"
)
_THESE = alert_leases.c.fingerprint.in_(bindparam("these", expanding=True))
_SEEN = select(alert_leases.c.fingerprint, alert_leases.c.seen_at).where(_THESE)
_ENDED = delete(alert_leases).where(_THESE)


class DueAlert(NamedTuple):
    """A firing alert whose lease ran out at `until`; `seen_at` is its last delivery."""

    alert: Alert
    until: Timestamp
    seen_at: Timestamp


class AlertLeases:
    """One row per fingerprint that fires under a lease, or is a heartbeat."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: Timestamp, limit: int = 1000) -> tuple[DueAlert, ...]:
        """Firing alerts whose lease is over at `now`, the longest overdue first."""
        same = and_(
            alerts.c.fingerprint == alert_leases.c.fingerprint,
            alerts.c.starts_at == alert_leases.c.starts_at,
            alerts.c.status.in_(("firing", "no_data")),
        )
        query = (
            select(alerts.c.document, alert_leases.c.until, alert_leases.c.seen_at)
            .select_from(alert_leases.join(alerts, same))
            .where(alert_leases.c.until <= now)
            .order_by(alert_leases.c.until)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(
                DueAlert(Alert.model_validate_json(document), until, seen_at)
                for document, until, seen_at in connection.execute(query)
            )

    def renewed(self, since: Timestamp) -> tuple[Alert, ...]:
        """Firing alerts whose lease somebody renewed at `since` or later."""
        same = and_(
            alerts.c.fingerprint == alert_leases.c.fingerprint,
            alerts.c.starts_at == alert_leases.c.starts_at,
            alerts.c.status == "firing",
        )
        query = (
            select(alerts.c.document, alert_leases.c.until)
            .select_from(alert_leases.join(alerts, same))
            .where(alert_leases.c.seen_at >= since)
        )
        with self._database.read() as connection:
            return tuple(
                Alert.model_validate_json(document).model_copy(update={"lease": until})
                for document, until in connection.execute(query)
            )

    def miss(self, fingerprint: str) -> None:
        """That a heartbeat stopped has been told; nothing of it is due until it is heard again."""
        self._mark(fingerprint, missed=1, until=None)

    def hear(self, fingerprint: str) -> None:
        """That a heartbeat is heard again has been told."""
        self._mark(fingerprint, missed=0)

    def heard_again(self) -> tuple[Alert, ...]:
        """Heartbeats that were missed and have been delivered since."""
        same = and_(
            alerts.c.fingerprint == alert_leases.c.fingerprint,
            alerts.c.starts_at == alert_leases.c.starts_at,
            alerts.c.status == "firing",
        )
        query = (
            select(alerts.c.document)
            .select_from(alert_leases.join(alerts, same))
            .where(alert_leases.c.missed == 1, alert_leases.c.until.is_not(None))
        )
        with self._database.read() as connection:
            return tuple(Alert.model_validate_json(text) for text in connection.scalars(query))

    def _mark(self, fingerprint: str, **values: int | None) -> None:
        with self._database.write() as connection:
            where = alert_leases.c.fingerprint == fingerprint
            connection.execute(update(alert_leases).where(where).values(**values))


def renew(
    database: Database, connection: Connection, delivered: Sequence[Alert], now: Timestamp
) -> None:
    """Take the leases of what was delivered; what ended has none any more."""
    ended = [alert.fingerprint for alert in delivered if alert.status == "resolved"]
    if ended:
        connection.execute(_ENDED, {"these": ended})
    leased = {
        alert.fingerprint: alert
        for alert in delivered
        if alert.status != "resolved" and (alert.lease is not None or alert.heartbeat)
    }
    if not leased:
        return
    beats = _seen(connection, [key for key, alert in leased.items() if alert.lease is None])
    rows = [
        (
            key,
            alert.starts_at,
            alert.lease if alert.lease is not None else _next_beat(beats.get(key), now),
            now,
            0,
        )
        for key, alert in leased.items()
    ]
    database.insert_many(connection, alert_leases, _GIVEN, rows, _RENEWED)


def _seen(connection: Connection, fingerprints: Sequence[str]) -> dict[str, Timestamp]:
    if not fingerprints:
        return {}
    return {key: at for key, at in connection.execute(_SEEN, {"these": fingerprints})}


def _next_beat(before: Timestamp | None, now: Timestamp) -> Timestamp | None:
    """When a heartbeat is missed, by its own interval; unknown at the first beat."""
    if before is None:
        return None
    return now + min(max(BEATS * (now - before), LEAST_BEAT_S), MOST_BEAT_S)
