"""Changes: what people and pipelines said they changed, so that a restart does not forget it."""

from collections.abc import Mapping, Sequence

from sqlalchemy import RowMapping, delete, func, select

from copilot.store.database import Database
from copilot.store.tables import changes
from tools.types import Change, Timestamp, Window

MOST = 20_000
"""The newest ones are kept; nobody looks further back than a day."""

SLACK = 1_000
"""So many more may pile up before the oldest are dropped: not every write has to count."""


class Changes:
    """One row per change; the same one told again is written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, told: Mapping[str, Change], now: Timestamp) -> int:
        """Write changes by their keys; returns how many were new. On disk on return."""
        rows = [{"key": key, "accepted_at": now, **dict(one)} for key, one in told.items()]
        with self._database.write() as connection:
            before = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            if rows:
                connection.execute(self._database.insert(changes).on_conflict_do_nothing(), rows)
            after: int = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            if after > MOST + SLACK:
                newest = select(changes.c.key).order_by(changes.c.at.desc()).limit(MOST)
                connection.execute(delete(changes).where(changes.c.key.not_in(newest)))
        return after - int(before)

    def changes(self, window: Window) -> Sequence[Change]:
        """Changes made inside the window, oldest first."""
        inside = changes.c.at.between(window.start, window.end)
        query = select(changes).where(inside).order_by(changes.c.at, changes.c.key)
        with self._database.read() as connection:
            return tuple(_change(row._mapping) for row in connection.execute(query))

    def count(self) -> int:
        """How many are kept."""
        with self._database.read() as connection:
            found: int = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            return found


def _change(row: RowMapping) -> Change:
    return Change.model_validate({name: row[name] for name in Change.model_fields})
