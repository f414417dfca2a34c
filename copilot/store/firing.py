"""What fires now: of each fingerprint the newest firing, unless its source or its lease ended."""

from typing import NamedTuple

from sqlalchemy import and_, exists, or_, select

from copilot.store.alerts import StoredAlert, stored_alert
from copilot.store.database import Database
from copilot.store.tables import alert_leases, alerts
from tools.types import Alert, Timestamp

MOST = 10_000
"""The newest ones; a person who has more alerts than that reads no list of them."""


class FiringAlert(NamedTuple):
    """A firing, when it was last delivered, and until when it fires unless it is repeated."""

    stored: StoredAlert
    seen_at: Timestamp
    until: Timestamp | None

    @property
    def alert(self) -> Alert:
        """The alert with its lease as last renewed."""
        return self.stored.alert.model_copy(update={"lease": self.until})


class FiringAlerts:
    """Reads the inbox; it writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, now: Timestamp, limit: int = MOST) -> tuple[FiringAlert, ...]:
        """Alerts whose end nobody said and whose lease, where they have one, lasts at `now`."""
        later = alerts.alias()
        outdated = exists().where(
            later.c.fingerprint == alerts.c.fingerprint,
            or_(
                later.c.starts_at > alerts.c.starts_at,
                and_(later.c.starts_at == alerts.c.starts_at, later.c.status == "resolved"),
            ),
        )
        leased = and_(
            alert_leases.c.fingerprint == alerts.c.fingerprint,
            alert_leases.c.starts_at == alerts.c.starts_at,
        )
        query = (
            select(alerts, alert_leases.c.until, alert_leases.c.seen_at)
            .select_from(alerts.outerjoin(alert_leases, leased))
            .where(alerts.c.status != "resolved", ~outdated)
            .order_by(alerts.c.key.desc())
            .limit(limit)
        )
        newest: dict[str, FiringAlert] = {}
        with self._database.read() as connection:
            for row in reversed(connection.execute(query).all()):
                stored = stored_alert(row)
                lease = None if stored.alert.lease is None else row.until or stored.alert.lease
                seen_at = row.seen_at or stored.accepted_at
                newest[stored.alert.fingerprint] = FiringAlert(stored, seen_at, lease)
        return tuple(one for one in newest.values() if one.until is None or now < one.until)
