"""What keeps a step from running: the emergency stop, and another plan at work on its target."""

from sqlalchemy import delete, select, update

from copilot.store.approvals import PolicyRefusedError
from copilot.store.database import Database
from copilot.store.tables import halt, locks
from tools.types import FrozenModel, Timestamp


class TargetBusyError(PolicyRefusedError):
    """Another plan works on the same target; two at once would be judged by each other's doing."""


class Locks:
    """One row per locked target; a lock that its holder never released ends after its time."""

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
        """Release every lock of `holder`."""
        with self._database.write() as connection:
            connection.execute(delete(locks).where(locks.c.holder == holder))


class HaltRecord(FrozenModel):
    """Who stopped all executions, when and why."""

    by: str
    reason: str
    at: Timestamp


class StoppedError(PolicyRefusedError):
    """Somebody stopped all executions; `copilot resume` lets them go on."""


class Halt:
    """One row, read before every step; it outlives the process that wrote it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, halted: HaltRecord) -> HaltRecord:
        """Stop everything; where it is stopped already, the first reason stands."""
        row = {"id": 1, **halted.model_dump()}
        with self._database.write() as connection:
            connection.execute(self._database.insert(halt).on_conflict_do_nothing(), [row])
        return self.get() or halted

    def lift(self) -> HaltRecord | None:
        """Let executions go on; returns what was lifted, None where nothing was stopped."""
        with self._database.write() as connection:
            found = self.get()
            connection.execute(delete(halt))
            return found

    def check(self) -> None:
        """Raise `StoppedError` with the reason while executions are stopped."""
        found = self.get()
        if found is not None:
            raise StoppedError(f"{found.by!r} stopped all executions: {found.reason}")

    def get(self) -> HaltRecord | None:
        """The stop that is in force, if any."""
        with self._database.read() as connection:
            row = connection.execute(select(halt)).first()
        if row is None:
            return None
        return HaltRecord(by=row.by, reason=row.reason, at=row.at)
