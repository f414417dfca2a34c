"""What fires now: of each fingerprint the newest firing, unless its source ended it."""

from sqlalchemy import and_, exists, or_, select

from copilot.store.alerts import StoredAlert, stored_alert
from copilot.store.database import Database
from copilot.store.tables import alerts
from tools.types import Timestamp

MOST = 10_000
"""The newest ones; a person who has more alerts than that reads no list of them."""


class FiringAlerts:
    """Reads the inbox; it writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, now: Timestamp, limit: int = MOST) -> tuple[StoredAlert, ...]:
        """Alerts whose end nobody said and whose lease, where they have one, lasts at `now`."""
        later = alerts.alias()
        outdated = exists().where(
            later.c.fingerprint == alerts.c.fingerprint,
            or_(
                later.c.starts_at > alerts.c.starts_at,
                and_(later.c.starts_at == alerts.c.starts_at, later.c.status == "resolved"),
            ),
        )
        query = (
            select(alerts)
            .where(alerts.c.status != "resolved", ~outdated)
            .order_by(alerts.c.key.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = [stored_alert(row) for row in connection.execute(query)]
        newest = {row.alert.fingerprint: row for row in reversed(rows)}
        return tuple(
            row for row in newest.values() if row.alert.lease is None or now < row.alert.lease
        )
