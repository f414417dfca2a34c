"""Outbox: what keeps a step from running, a row before every side effect, and how plans ended.

A side effect that has a result is never run again.
"""

import json

from pydantic import JsonValue
from sqlalchemy import Connection, RowMapping, bindparam, delete, select, update

from copilot.store.approvals import PolicyRefusedError
from copilot.store.canonical import canonical, document
from copilot.store.database import Database, StoreError
from copilot.store.tables import halt, locks, outbox, outcomes
from tools.types import FrozenModel, PlaybookOutcome, StepResult, Timestamp

_SINCE = (
    select(outbox).where(outbox.c.started_at >= bindparam("moment")).order_by(outbox.c.started_at)
)


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

    def get(self) -> HaltRecord | None:
        """The stop that is in force, if any."""
        with self._database.read() as connection:
            row = connection.execute(select(halt)).first()
        if row is None:
            return None
        return HaltRecord(by=row.by, reason=row.reason, at=row.at)


class OutboxEntry(FrozenModel):
    """A side effect that was begun; without a result it may or may not have happened."""

    key: str
    kind: str
    payload: dict[str, JsonValue]
    started_at: Timestamp
    result: StepResult | None = None


class Outbox:
    """Side effects by idempotency key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, key: str, kind: str, payload: dict[str, JsonValue], now: Timestamp
    ) -> StepResult | None:
        """Record a side effect before it is done; a returned result means it was done already."""
        text = canonical(payload)
        row = {"key": key, "kind": kind, "payload": text, "started_at": now}
        with self._database.write() as connection:
            connection.execute(self._database.insert(outbox).on_conflict_do_nothing(), [row])
            known = _read(connection, key)
            told = {name: known.payload.get(name) for name in payload}
            if known.kind != kind or canonical(told) != text:
                raise StoreError(f"outbox key {key!r} was used for something else ({known.kind!r})")
            return known.result

    def amend(self, key: str, more: dict[str, JsonValue]) -> None:
        """Record what became known of a side effect that goes on, such as the id of its job."""
        with self._database.write() as connection:
            payload = canonical({**_read(connection, key).payload, **more})
            connection.execute(update(outbox).where(outbox.c.key == key).values(payload=payload))

    def finish(self, key: str, result: StepResult, now: Timestamp) -> StepResult:
        """Record the result; the first one recorded stands and is returned."""
        unfinished = (outbox.c.key == key) & outbox.c.finished_at.is_(None)
        statement = (
            update(outbox).where(unfinished).values(result=document(result), finished_at=now)
        )
        with self._database.write() as connection:
            connection.execute(statement)
            recorded = _read(connection, key).result
        return result if recorded is None else recorded

    def forget(self, key: str) -> None:
        """Take back that a side effect was begun: a person says that it was not done."""
        unfinished = (outbox.c.key == key) & outbox.c.finished_at.is_(None)
        with self._database.write() as connection:
            connection.execute(delete(outbox).where(unfinished))

    def get(self, key: str) -> OutboxEntry | None:
        """What is recorded under a key."""
        with self._database.read() as connection:
            row = connection.execute(select(outbox).where(outbox.c.key == key)).first()
            return None if row is None else _intent(row._mapping)

    def since(self, moment: Timestamp) -> tuple[OutboxEntry, ...]:
        """Begun at `moment` or later, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(_SINCE, {"moment": moment})
            return tuple(_intent(row._mapping) for row in rows)

    def unfinished(self) -> tuple[OutboxEntry, ...]:
        """Begun and without a result, oldest first: what a crash may have interrupted."""
        query = select(outbox).where(outbox.c.finished_at.is_(None)).order_by(outbox.c.started_at)
        with self._database.read() as connection:
            return tuple(_intent(row._mapping) for row in connection.execute(query))


def _read(connection: Connection, key: str) -> OutboxEntry:
    row = connection.execute(select(outbox).where(outbox.c.key == key)).first()
    if row is None:
        raise StoreError(f"outbox key {key!r} was never begun")
    return _intent(row._mapping)


def _intent(row: RowMapping) -> OutboxEntry:
    return OutboxEntry(
        key=row["key"],
        kind=row["kind"],
        payload=json.loads(row["payload"]),
        started_at=row["started_at"],
        result=StepResult.model_validate_json(row["result"]) if row["result"] else None,
    )


MOST_OUTCOMES = 10_000
"""The newest ones are read; what worked years ago on another system is no guide."""


class Outcomes:
    """How executed plans ended: playbook, fault kind, component, and whether it recovered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, plan_id: str, outcome: PlaybookOutcome) -> None:
        """Write how a plan ended; a node that repeats after a crash writes the same row once."""
        row = {**outcome.model_dump(), "recovered": int(outcome.recovered), "plan_id": plan_id}
        with self._database.write() as connection:
            connection.execute(self._database.insert(outcomes).on_conflict_do_nothing(), [row])

    def all(self) -> tuple[PlaybookOutcome, ...]:
        """What is known of the past, oldest first."""
        query = (
            select(outcomes).order_by(outcomes.c.at.desc(), outcomes.c.plan_id).limit(MOST_OUTCOMES)
        )
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
