"""Runs: each pass of the graph over an incident, written before it starts, leased to one worker."""

from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from copilot.store.database import Database, StoreError
from copilot.store.incidents import UnknownIncidentError
from copilot.store.tables import incidents, runs
from tools.types import FrozenModel, Timestamp

RunStatus = Literal[
    "accepted",  # written, waits for a worker
    "running",  # a worker has the lease
    "waiting",  # interrupted until a person decides
    "done",
    "failed",  # broke; `error` says how
    "superseded",  # another run does its work
]

_CANDIDATES = 16


class Run(FrozenModel):
    """One pass of the graph over one incident."""

    id: str
    incident_id: str
    status: RunStatus
    owner: str = ""
    lease_until: Timestamp = 0.0
    attempt: int = 0
    created_at: Timestamp
    error: str = ""


_COLUMNS = [runs.c[name] for name in Run.model_fields]

_other = runs.alias()
_BUSY = (
    select(_other.c.id)
    .where(_other.c.incident_id == runs.c.incident_id, _other.c.status == "running")
    .exists()
)
_SILENT = and_(runs.c.status == "running", runs.c.lease_until < bindparam("now"))
_CLAIMABLE = or_(and_(runs.c.status == "accepted", ~_BUSY), _SILENT)
_ANYTHING = select(runs.c.id).where(_CLAIMABLE).limit(1)


class LeaseLostError(StoreError):
    """Another worker has the run by now; stop working on it."""

    def __init__(self, run_id: str, owner: str) -> None:
        super().__init__(f"run {run_id!r} is no longer leased to {owner!r}; it was claimed again")


class Runs:
    """The queue of runs; at most one run of an incident is running at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, incident_id: str, now: Timestamp) -> Run:
        """Write a run before anything is started for it."""
        with self._database.write() as connection:
            query = select(incidents.c.id).where(incidents.c.id == incident_id).with_for_update()
            if connection.execute(query).scalar() is None:
                raise UnknownIncidentError(incident_id)
            last = select(func.max(runs.c.number)).where(runs.c.incident_id == incident_id)
            number = (connection.execute(last).scalar() or 0) + 1
            row = {
                "id": f"{incident_id}.{number}",
                "incident_id": incident_id,
                "number": number,
                "status": "accepted",
                "created_at": now,
                "updated_at": now,
            }
            connection.execute(self._database.insert(runs), [row])
        return Run(
            id=f"{incident_id}.{number}", incident_id=incident_id, status="accepted", created_at=now
        )

    def claim(self, owner: str, now: Timestamp, lease_s: float, only: str = "") -> Run | None:
        """Take the oldest run that waits for a worker or whose worker has gone silent.

        `only` names the one run that is asked for.
        """
        # Workers ask often and mostly in vain: asking must not take anybody's turn to write.
        with self._database.read() as connection:
            if connection.execute(_ANYTHING, {"now": now}).first() is None:
                return None
        with self._database.write() as connection:
            wanted = and_(_CLAIMABLE, runs.c.id == only) if only else _CLAIMABLE
            for run in _query(connection, wanted, limit=_CANDIDATES, lock=True, now=now):
                if _take(connection, run, owner, now, lease_s):
                    return run.model_copy(
                        update={
                            "status": "running",
                            "owner": owner,
                            "lease_until": now + lease_s,
                            "attempt": run.attempt + 1,
                        }
                    )
        return None

    def heartbeat(self, run_id: str, owner: str, now: Timestamp, lease_s: float) -> None:
        """Keep the lease; raises `LeaseLostError` when another worker has the run."""
        held = and_(runs.c.id == run_id, runs.c.owner == owner, runs.c.status == "running")
        statement = update(runs).where(held).values(lease_until=now + lease_s, updated_at=now)
        with self._database.write() as connection:
            if connection.execute(statement).rowcount != 1:
                raise LeaseLostError(run_id, owner)

    def finish(
        self, run_id: str, status: RunStatus, now: Timestamp, error: str = "", *, owner: str = ""
    ) -> None:
        """End the run or lay it down (`waiting`); with `owner`, only while it has the lease."""
        where = runs.c.id == run_id
        if owner:
            where = and_(where, runs.c.owner == owner, runs.c.status == "running")
        statement = (
            update(runs)
            .where(where)
            .values(status=status, owner="", lease_until=0.0, updated_at=now, error=error)
        )
        with self._database.write() as connection:
            if connection.execute(statement).rowcount != 1:
                raise (
                    LeaseLostError(run_id, owner)
                    if owner
                    else StoreError(f"there is no run {run_id!r}")
                )

    def resume(self, run_id: str, now: Timestamp) -> bool:
        """Queue a waiting run again; False when it does not wait (any more)."""
        where = and_(runs.c.id == run_id, runs.c.status == "waiting")
        statement = update(runs).where(where).values(status="accepted", updated_at=now)
        with self._database.write() as connection:
            return connection.execute(statement).rowcount == 1

    def release_all(self, owner: str, now: Timestamp) -> int:
        """Hand back what this worker runs, at shutdown or when it comes back after a crash."""
        where = and_(runs.c.owner == owner, runs.c.status == "running")
        statement = (
            update(runs)
            .where(where)
            .values(status="accepted", owner="", lease_until=0.0, updated_at=now)
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount

    def get(self, run_id: str) -> Run | None:
        """The run as it is now."""
        with self._database.read() as connection:
            return next(iter(_query(connection, runs.c.id == run_id)), None)

    def of(self, incident_id: str) -> tuple[Run, ...]:
        """The runs of an incident, oldest first."""
        with self._database.read() as connection:
            return _query(connection, runs.c.incident_id == incident_id)

    def unfinished(self) -> tuple[Run, ...]:
        """Runs a worker has or should take; those that wait for a person are not among them."""
        with self._database.read() as connection:
            return _query(connection, runs.c.status.in_(("accepted", "running")))

    def recoverable(self, now: Timestamp) -> tuple[Run, ...]:
        """What `claim` could hand out now, oldest first."""
        with self._database.read() as connection:
            return _query(connection, _CLAIMABLE, now=now)


def _query(
    connection: Connection,
    where: ColumnElement[bool],
    *,
    limit: int | None = None,
    lock: bool = False,
    **values: object,
) -> tuple[Run, ...]:
    query = (
        select(*_COLUMNS)
        .where(where)
        .order_by(runs.c.priority, runs.c.created_at, runs.c.number)
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(skip_locked=True)
    rows = connection.execute(query, values)
    return tuple(Run.model_validate(dict(row._mapping)) for row in rows)


def _take(connection: Connection, run: Run, owner: str, now: Timestamp, lease_s: float) -> bool:
    unchanged = and_(
        runs.c.id == run.id,
        runs.c.status == run.status,
        runs.c.attempt == run.attempt,
        runs.c.lease_until == run.lease_until,
    )
    statement = (
        update(runs)
        .where(unchanged)
        .values(
            status="running",
            owner=owner,
            lease_until=now + lease_s,
            attempt=run.attempt + 1,
            updated_at=now,
        )
    )
    try:
        with connection.begin_nested():
            return connection.execute(statement).rowcount == 1
    except IntegrityError:
        return False  # the index `runs_one_running`: another worker was first with this incident
