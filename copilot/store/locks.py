"""Locks: one plan at a time on a target, whichever incident or process it comes from."""

from sqlalchemy import delete, select, update

from copilot.store.approvals import PolicyRefusedError
from copilot.store.database import Database
from copilot.store.tables import locks
from tools.types import Timestamp


class TargetBusyError(PolicyRefusedError):
    """Another plan works on the same target; two at once would be judged by each other's doing."""


class Locks:
    """A row per target; one that its holder forgot, being dead, is free after its time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, target: str, holder: str, now: Timestamp, for_s: float) -> None:
        """Hold the target until `release`, or for `for_s` more; raises `TargetBusyError`."""
        row = {"target": target, "holder": holder, "until": now + for_s}
        free = (locks.c.holder == holder) | (locks.c.until < now)
        with self._database.write() as connection:
            connection.execute(self._database.insert(locks).on_conflict_do_nothing(), [row])
            mine = update(locks).where(locks.c.target == target, free).values(**row)
            if connection.execute(mine).rowcount == 1:
                return
            other = connection.execute(select(locks).where(locks.c.target == target)).one()
        raise TargetBusyError(
            f"{target!r} is worked on by {other.holder!r}; its plan has to end first"
        )

    def release(self, holder: str) -> None:
        """Let go of whatever the holder has."""
        with self._database.write() as connection:
            connection.execute(delete(locks).where(locks.c.holder == holder))
