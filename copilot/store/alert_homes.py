"""Which incident an alert is of, where that changes after it was decided."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select, update

from copilot.store.database import Database
from copilot.store.tables import alerts, incidents
from copilot.types.incident import CLOSED
from tools.clusterer import SUPPRESSED, Decision
from tools.types import Timestamp

_CHUNK = 500


class AlertHomes:
    """Gives alerts of one incident to another."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def adopt(
        self, fingerprints: Sequence[str], since: Timestamp, incident_id: str, now: Timestamp
    ) -> None:
        """Give alerts that were held, and turned out to belong to an incident, to it."""
        with self._database.write() as connection:
            for start in range(0, len(fingerprints), _CHUNK):
                held = (
                    alerts.c.fingerprint.in_(fingerprints[start : start + _CHUNK]),
                    alerts.c.action == "noise",
                    alerts.c.incident_id.is_(None),
                    alerts.c.starts_at >= since,
                )
                reason = "held until its group became strange"
                values = {"incident_id": incident_id, "action": "attached", "reason": reason}
                connection.execute(update(alerts).where(*held).values(**values, decided_at=now))

    def move(self, decisions: Sequence[Decision], now: Timestamp) -> tuple[str, ...]:
        """Give alerts of incidents that go on to another incident; the incidents they left.

        The alert that opened an incident stays: an incident without alerts explains nothing.
        """
        left: dict[str, None] = {}
        going = select(incidents.c.id).where(incidents.c.status.not_in(CLOSED))
        with self._database.write() as connection:
            for decision in decisions:
                here = (
                    alerts.c.fingerprint == decision.fingerprint,
                    alerts.c.incident_id.in_(going),
                    alerts.c.incident_id != decision.group_id,
                )
                found = select(alerts.c.incident_id, alerts.c.action).where(*here)
                rows = list(connection.execute(found))
                if not rows or any(action == "opened" for _, action in rows):
                    continue
                left |= dict.fromkeys(incident_id for incident_id, _ in rows)
                statement = (
                    update(alerts)
                    .where(*here)
                    .values(
                        incident_id=decision.group_id,
                        action=decision.action,
                        reason=decision.reason,
                        decided_at=now,
                    )
                )
                connection.execute(statement)
        return tuple(left)

    def give(self, incident_id: str, home: str, now: Timestamp) -> None:
        """Give all alerts of an incident to another one.

        Why one is muted stays with it: by that it is decided anew when the mute ends.
        """
        mine = update(alerts).where(alerts.c.incident_id == incident_id)
        reason = f"merged from {incident_id}"
        with self._database.write() as connection:
            connection.execute(mine.where(alerts.c.action == "opened").values(action="attached"))
            kept = mine.where(alerts.c.action.not_in(SUPPRESSED))
            connection.execute(kept.values(reason=reason, decided_at=now))
            connection.execute(mine.values(incident_id=home))

    def part(
        self, incident_id: str, fingerprints: Collection[str], home: str, now: Timestamp
    ) -> None:
        """Give some alerts of an incident to another one, where they stay: as those that open it.

        The first that is left opens what it leaves.
        """
        here = alerts.c.incident_id == incident_id
        kept = alerts.c.action.not_in(("", *SUPPRESSED))
        reason = f"split off {incident_id}"
        named = sorted(fingerprints)
        with self._database.write() as connection:
            for start in range(0, len(named), _CHUNK):
                mine = alerts.c.fingerprint.in_(named[start : start + _CHUNK])
                given = update(alerts).where(here, mine)
                connection.execute(
                    given.where(kept).values(action="opened", reason=reason, decided_at=now)
                )
                connection.execute(given.values(incident_id=home))
            first = select(func.min(alerts.c.key)).where(here, kept).scalar_subquery()
            opens = update(alerts).where(alerts.c.key == first).values(action="opened")
            connection.execute(opens)
