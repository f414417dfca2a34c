"""Causes that people confirmed, one row for each incident, and what the site learned from it."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from copilot.store.database import Database
from copilot.store.tables import causes
from tools.types import FrozenModel, Timestamp

MOST = 300
"""The newest ones are read: a system of years ago teaches nothing of today's, and each is held
against every leading candidate."""


class StoredCause(FrozenModel):
    """A confirmed cause; `lesson` is what was learned of it, as JSON, empty where nothing was."""

    incident_id: str
    component: str
    fault_kind: str
    by: str
    at: Timestamp
    lesson: str = ""


_TAUGHT = (
    select(*(causes.c[name] for name in StoredCause.model_fields))
    .where(causes.c.forgotten == 0)
    .order_by(causes.c.at.desc(), causes.c.incident_id)
    .limit(MOST)
)


class Causes:
    """The causes; a later word of an incident replaces an earlier one, the journal keeps both."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, cause: StoredCause) -> None:
        """Write the cause of an incident in the place of what was said of it before."""
        with self._database.write() as connection:
            connection.execute(delete(causes).where(causes.c.incident_id == cause.incident_id))
            connection.execute(causes.insert(), [{**dict(cause), "forgotten": 0}])

    def remove(self, incident_id: str) -> None:
        """Take back what was said of an incident."""
        with self._database.write() as connection:
            connection.execute(delete(causes).where(causes.c.incident_id == incident_id))

    def taught(self) -> Sequence[StoredCause]:
        """Those the site learns from, newest first; none that was forgotten."""
        with self._database.read() as connection:
            return tuple(
                StoredCause.model_validate(dict(row._mapping))
                for row in connection.execute(_TAUGHT)
            )

    def forget(self) -> int:
        """Learn nothing more from those confirmed so far; how many that are. They stay confirmed.

        One that is confirmed anew is learned from again.
        """
        with self._database.write() as connection:
            remembered = causes.c.forgotten == 0
            return connection.execute(update(causes).where(remembered).values(forgotten=1)).rowcount
