"""Runs: each pass of the graph over an incident, written before it starts, leased to one worker.

Who has a run is written lazily: where a power cut takes that, the one process of the file is gone.

What a run has to wait for is a due time here, so that no worker waits. Times are of the wall clock,
which people and NTP set: one that was set back must not hold a run, and one that was set ahead
costs a lease at most.
"""

from collections.abc import Collection
from typing import Any, ClassVar, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
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
    """One pass of the graph over one incident.

    `attempt` counts how often it was begun and not laid down, at `place`, the checkpoint it stood
    at then; it is not claimed before `due_at`.
    """

    AFTER_FIRST_LOOKS: ClassVar[int] = 8
    """Priority from which on a run waits for the first looks of all other incidents."""

    id: str
    incident_id: str
    status: RunStatus
    owner: str = ""
    lease_until: Timestamp = 0.0
    attempt: int = 0
    created_at: Timestamp
    error: str = ""
    due_at: Timestamp = 0.0
    place: str = ""


_COLUMNS = [runs.c[name] for name in Run.model_fields]

_other = runs.alias()
_BUSY = (
    select(_other.c.id)
    .where(_other.c.incident_id == runs.c.incident_id, _other.c.status == "running")
    .exists()
)
_SILENT = and_(runs.c.status == "running", runs.c.lease_until < bindparam("now"))
_SET_BACK = runs.c.updated_at > bindparam("now") + 5.0
"""Written later than now: the clock was set back, by more than clocks of two machines differ."""
_DUE = or_(runs.c.due_at <= bindparam("now"), _SET_BACK)
_CLAIMABLE = or_(and_(runs.c.status == "accepted", _DUE, ~_BUSY), _SILENT)
_ANYTHING = select(runs.c.id).where(_CLAIMABLE).limit(1)
_FREE = and_(_CLAIMABLE, runs.c.id.not_in(bindparam("mine", expanding=True)))

_AGE = (runs.c.created_at, runs.c.number)
_MOST_URGENT = (
    select(*_COLUMNS)
    .order_by(runs.c.priority, *_AGE)
    .limit(_CANDIDATES)
    .with_for_update(skip_locked=True)
)
# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to run it.
_FREE_ANY = _MOST_URGENT.where(_FREE)
_FREE_ONE = _FREE_ANY.where(runs.c.id == bindparam("only"))

_FIRST = runs.c.priority < bindparam("first_looks")
_FIRST_OTHERS = (
    select(runs.c.id).where(runs.c.status == "accepted", _FIRST, runs.c.due_at == 0).limit(1)
)
_FIRST_MINE = select(runs.c.id).where(runs.c.id == bindparam("this"), _FIRST)

_TAKE = update(runs).where(
    runs.c.id == bindparam("this"),
    runs.c.status == bindparam("was"),
    runs.c.attempt == bindparam("begun"),
    runs.c.lease_until == bindparam("until"),
)


class LeaseLostError(StoreError):
    """Another worker has the run by now; stop working on it."""

    def __init__(self, run_id: str, owner: str) -> None:
        super().__init__(f"run {run_id!r} is no longer leased to {owner!r}; it was claimed again")


class Runs:
    """The queue of runs; at most one run of an incident is running at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, incident_id: str, now: Timestamp, priority: int = 0) -> Run:
        """Write a run before anything is started for it; the least `priority` is taken first."""
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
                "priority": priority,
            }
            connection.execute(self._database.insert(runs), [row])
        return Run(
            id=f"{incident_id}.{number}", incident_id=incident_id, status="accepted", created_at=now
        )

    def claim(
        self,
        owner: str,
        now: Timestamp,
        lease_s: float,
        mine: Collection[str] = (),
        only: str = "",
    ) -> Run | None:
        """Take the most urgent run that is due, or whose worker has gone silent; none of `mine`.

        `mine` are those that this process works on, however old a clock that was set ahead makes
        their leases; `only` names the one that is asked for.
        """
        # Workers ask often and mostly in vain: asking must not take anybody's turn to write.
        with self._database.read() as connection:
            if connection.execute(_ANYTHING, {"now": now}).first() is None:
                return None
        free, wanted = (_FREE_ONE, {"only": only}) if only else (_FREE_ANY, {})
        with self._database.write(lazily=True) as connection:
            found = connection.execute(free, {"now": now, "mine": list(mine), **wanted})
            for run in map(_run, found.fetchall()):
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
        with self._database.write(lazily=True) as connection:
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

    def resume(self, run_id: str, now: Timestamp, status: RunStatus = "waiting") -> bool:
        """Queue a run again that waits, or (`failed`) that was given up; False when it does not."""
        where = and_(runs.c.id == run_id, runs.c.status == status)
        statement = (
            update(runs)
            .where(where)
            # A person has spoken and waits: before every first look.
            .values(**_AT_ONCE, attempt=0, place="", priority=0, updated_at=now)
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount == 1

    def postpone(
        self,
        run: Run,
        due_at: Timestamp,
        now: Timestamp,
        *,
        attempt: int = 0,
        error: str = "",
        behind: bool = False,
    ) -> None:
        """Put a run back that its owner has, to be taken again at `due_at`.

        With `behind`, its incident has its brief: then after the first looks of all others.
        """
        held = and_(runs.c.id == run.id, runs.c.owner == run.owner, runs.c.status == "running")
        values: dict[str, Any] = {**_AT_ONCE, "due_at": due_at, "attempt": attempt, "error": error}
        if behind:
            values["priority"] = runs.c.priority % Run.AFTER_FIRST_LOOKS + Run.AFTER_FIRST_LOOKS
        with self._database.write(lazily=True) as connection:
            done = connection.execute(update(runs).where(held).values(**values, updated_at=now))
            if done.rowcount != 1:
                raise LeaseLostError(run.id, run.owner)

    def stands(self, run: Run, place: str) -> Run:
        """Note where a run begins; attempts at another place do not count against this one."""
        if run.place == place:
            return run
        values = {"place": place, "attempt": 1}
        with self._database.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
        return run.model_copy(update=values)

    def next_due(self) -> Timestamp | None:
        """When the first run of those that wait for their time may be claimed."""
        query = select(func.min(runs.c.due_at)).where(runs.c.status == "accepted", ~_BUSY)
        with self._database.read() as connection:
            due: Timestamp | None = connection.execute(query).scalar()
        return due

    def crowded(self, run_id: str) -> bool:
        """Whether first looks of other incidents wait, and this run has not let them go first."""
        values = {"first_looks": Run.AFTER_FIRST_LOOKS}
        with self._database.read() as connection:
            waits = connection.execute(_FIRST_OTHERS, values).first() is not None
            mine = {"this": run_id, **values}
            return waits and connection.execute(_FIRST_MINE, mine).first() is not None

    def held(self, owner: str) -> tuple[Run, ...]:
        """What this worker runs, or ran when its process ended."""
        with self._database.read() as connection:
            return _query(connection, and_(runs.c.owner == owner, runs.c.status == "running"))

    def get(self, run_id: str) -> Run | None:
        """The run as it is now."""
        with self._database.read() as connection:
            return next(iter(_query(connection, runs.c.id == run_id)), None)

    def of(self, incident_id: str) -> tuple[Run, ...]:
        """The runs of an incident, oldest first."""
        with self._database.read() as connection:
            return _query(connection, runs.c.incident_id == incident_id)

    def backlog(self, now: Timestamp) -> tuple[dict[RunStatus, int], float]:
        """How many runs are in each status, and for how long the longest has been due."""
        counts = select(runs.c.status, func.count()).group_by(runs.c.status)
        # Whoever waits for its time has not waited since before it.
        ripe = func.min(case((runs.c.due_at > 0, runs.c.due_at), else_=runs.c.updated_at))
        due = select(ripe).where(runs.c.status == "accepted", runs.c.due_at <= now)
        with self._database.read() as connection:
            numbers = {status: number for status, number in connection.execute(counts)}
            since = connection.execute(due).scalar()
        return numbers, 0.0 if since is None else max(0.0, now - since)

    def going(self) -> frozenset[str]:
        """Ids of the runs that may go on from where they stood; a failed one may be retried."""
        ended = ("done", "superseded")
        with self._database.read() as connection:
            return frozenset(
                connection.scalars(select(runs.c.id).where(runs.c.status.not_in(ended)))
            )

    def unfinished(self) -> tuple[Run, ...]:
        """Runs a worker has or should take; those that wait for a person are not among them."""
        with self._database.read() as connection:
            return _query(connection, runs.c.status.in_(("accepted", "running")))

    def recoverable(self, now: Timestamp) -> tuple[Run, ...]:
        """What `claim` could hand out now, oldest first."""
        with self._database.read() as connection:
            return _query(connection, _CLAIMABLE, now=now)


_AT_ONCE = {
    "status": "accepted",
    "owner": "",
    "lease_until": 0.0,
    "due_at": 0.0,
}
"""Of a run that anybody may take."""


def _query(
    connection: Connection,
    where: ColumnElement[bool],
    **values: object,
) -> tuple[Run, ...]:
    return tuple(
        map(_run, connection.execute(select(*_COLUMNS).where(where).order_by(*_AGE), values))
    )


def _run(row: Row[Any]) -> Run:
    return Run.model_validate(dict(row._mapping))


def _take(connection: Connection, run: Run, owner: str, now: Timestamp, lease_s: float) -> bool:
    unchanged = {
        "this": run.id,
        "was": run.status,
        "begun": run.attempt,
        "until": run.lease_until,
    }
    values = {
        "status": "running",
        "owner": owner,
        "lease_until": now + lease_s,
        "attempt": run.attempt + 1,
        "updated_at": now,
    }
    try:
        with connection.begin_nested():
            return connection.execute(_TAKE, {**unchanged, **values}).rowcount == 1
    except IntegrityError:
        return False  # the index `runs_one_running`: another worker was first with this incident
