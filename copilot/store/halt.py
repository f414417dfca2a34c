"""Halt: the emergency stop. While the row is there, no step of any plan is run."""

from sqlalchemy import delete, select

from copilot.store.approvals import PolicyRefusedError
from copilot.store.database import Database
from copilot.store.tables import halt
from tools.types import FrozenModel, Timestamp


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
