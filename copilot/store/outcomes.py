"""Outcomes: how each executed plan ended, so that the next choice can learn and wait."""

from sqlalchemy import RowMapping, select

from copilot.store.database import Database
from copilot.store.tables import outcomes
from tools.types import PlaybookOutcome

MOST = 10_000
"""The newest ones are read; what worked years ago on another system is no guide."""


class Outcomes:
    """One row per plan that took effect: what it was for, on what, and whether it helped."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, plan_id: str, outcome: PlaybookOutcome) -> None:
        """Write how a plan ended; a node that repeats after a crash writes the same row once."""
        row = {**outcome.model_dump(), "recovered": int(outcome.recovered), "plan_id": plan_id}
        with self._database.write() as connection:
            connection.execute(self._database.insert(outcomes).on_conflict_do_nothing(), [row])

    def all(self) -> tuple[PlaybookOutcome, ...]:
        """What is known of the past, oldest first."""
        query = select(outcomes).order_by(outcomes.c.at.desc(), outcomes.c.plan_id).limit(MOST)
        with self._database.read() as connection:
            rows = [_outcome(row._mapping) for row in connection.execute(query)]
        return tuple(reversed(rows))


def _outcome(row: RowMapping) -> PlaybookOutcome:
    return PlaybookOutcome(
        playbook_id=row["playbook_id"],
        fault_kind=row["fault_kind"],
        component=row["component"],
        component_kind=row["component_kind"],
        recovered=bool(row["recovered"]),
        at=row["at"],
    )
