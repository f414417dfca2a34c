"""End one session of a database, or cancel its query: that very session, found again just before.

Source: PostgreSQL 15 manual, sections 9.27.2 (`pg_terminate_backend`), 9.26.1
(`pg_blocking_pids`) and 28.2.3 (`pg_stat_activity`).
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import field_validator
from sqlalchemy import Connection, NullPool, Row, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from copilot.hands.credentials import WithPassword
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock, FactSource, SourceError
from copilot.sources import business_sql
from tools.log_retriever import excerpt
from tools.playbook_executor.vocabulary import SessionArguments
from tools.types import Fact, PlanStep, StepResult

TIMEOUT_S = 5
_SESSION = re.compile(r"[0-9]{1,10}-[0-9]{1,17}-[0-9a-f]{12}")
GONE_WITHIN_S = 5.0

# One token names a session for ever: its process, when it connected (microseconds), its query.
_SESSIONS = """
SELECT a.pid || '-' || (extract(epoch FROM a.backend_start) * 1000000)::bigint
           || '-' || left(md5(a.query), 12) AS session,
       a.pid, a.usename AS owner, a.state, a.query,
       extract(epoch FROM clock_timestamp() - coalesce(
           CASE WHEN a.state = 'active' THEN a.query_start ELSE a.xact_start END,
           a.query_start))::float AS for_s,
       (SELECT count(*) FROM pg_stat_activity w
        WHERE a.pid = ANY(pg_blocking_pids(w.pid))) AS blocks,
       cardinality(pg_blocking_pids(a.pid)) AS waits_for,
       r.rolsuper AS above, pg_has_role(a.usesysid, 'MEMBER') AS ours,
       (SELECT m.rolsuper FROM pg_roles m WHERE m.rolname = current_user) AS mighty,
       pg_has_role('pg_signal_backend', 'MEMBER') AS may_signal
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
"""
_OF_PID = text(f"{_SESSIONS} AND a.pid = :pid")
_BLOCKING = text(
    f"SELECT * FROM ({_SESSIONS}) s WHERE s.blocks > 0 AND s.waits_for = 0 "
    "ORDER BY s.blocks DESC, s.for_s DESC LIMIT 1"
)
_ACTS = {"end_session": "pg_terminate_backend", "cancel_query": "pg_cancel_backend"}


class DatabaseTarget(WithPassword):
    """A database of the runners file, and whose sessions may be ended there.

    `users` empty: those of anybody but superusers. `component` is the name it has in the topology:
    with it, the session that blocks the most others is a fact about that component.
    """

    url: str
    users: tuple[str, ...] = ()
    component: str = ""

    @field_validator("url")
    @classmethod
    def _postgresql(cls, given: str) -> str:
        url = business_sql.address(given)
        if url.get_backend_name() != "postgresql":
            raise ValueError(f"is of {url.get_backend_name()!r}; sessions of postgresql are ended")
        if url.password is not None:
            raise ValueError("holds a password; put it in a variable and name that: password_env")
        return given

    def meaning(self, step: PlanStep) -> str:
        """The database."""
        return self.told

    @property
    def told(self) -> str:
        """For a person."""
        return self.url

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection of its own, with a timeout; `StepFailedError` where there is none."""
        url = business_sql.address(self.url)
        if self.password is not None:
            url = url.set(password=self.password.get_secret_value())
        options = {"connect_timeout": TIMEOUT_S, "options": f"-cstatement_timeout={TIMEOUT_S}s"}
        try:
            engine = create_engine(url, poolclass=NullPool, connect_args=options)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                yield connection
        except DBAPIError as error:
            said = excerpt(str(error.orig).strip().split("\n")[0])
            raise StepFailedError(f"{self.told} said: {said}") from error
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise StepFailedError(f"{self.told} cannot be asked: {error}") from error


class DatabaseSession(NamedTuple):
    """A session as the database has it now."""

    session: str
    pid: int
    owner: str
    state: str
    query: str
    for_s: float
    blocks: int
    waits_for: int
    above: bool
    ours: bool
    mighty: bool
    may_signal: bool

    @property
    def told(self) -> str:
        """For a person; the query without its values' secrets."""
        said = excerpt(self.query)[:120]
        return (
            f"session {self.pid} of {self.owner}, {self.state} for {self.for_s:.0f} s, "
            f"{self.blocks} wait for it: {said}"
        )


class DatabaseRunner:
    """Runs `database` steps: ends one session, or cancels its query, and sees that it is gone.

    The session is found again by its process, its start and its query; what it does now is another
    query or session's is not touched. What waits for it and how long it has run are asked again.
    """

    def __init__(self, targets: Mapping[str, DatabaseTarget], clock: Clock) -> None:
        self._targets, self._clock = dict(targets), clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """End or cancel; a session that is gone already is as wanted."""
        return reported(self._clock, key, lambda: self._act(of_type(step, SessionArguments)))

    def touches(self, step: PlanStep) -> bool:
        """The session is really ended."""
        return True

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Find the session, and say which right is missing."""
        wanted = of_type(step, SessionArguments)
        target = self._target(wanted)
        with target.connected() as connection:
            found = _session(connection, wanted)
            if found is None:
                blocking = _blocking(connection)
                now = f"; what blocks now: {blocking.session}" if blocking is not None else ""
                return Rehearsal(f"session {wanted.session} is gone{now}")
            return Rehearsal(found.told, refusal(target, wanted, found))

    def _target(self, wanted: SessionArguments) -> DatabaseTarget:
        target = self._targets.get(wanted.database)
        if target is None:
            raise StepFailedError(f"database {wanted.database!r} is not declared")
        return target

    def _act(self, wanted: SessionArguments) -> str:
        target = self._target(wanted)
        with target.connected() as connection:
            found = _session(connection, wanted)
            if found is None:
                return f"session {wanted.session} is gone already"
            if problem := refusal(target, wanted, found):
                raise StepFailedError(problem)
            # The condition stands in the statement that acts: between a look and an act it may end.
            act = f"SELECT {_ACTS[wanted.verb]}(s.pid) FROM ({_SESSIONS} AND a.pid = :pid) s "
            act += "WHERE s.session = :session"
            connection.execute(text(act), {"pid": found.pid, "session": found.session})
            until = time.monotonic() + GONE_WITHIN_S
            while (left := _session(connection, wanted)) is not None and _goes_on(wanted, left):
                if time.monotonic() > until:
                    raise StepFailedError(f"still there after {GONE_WITHIN_S:g} s: {left.told}")
                time.sleep(0.05)
        done = "ended" if wanted.verb == "end_session" else "cancelled the query of"
        return f"{done} {found.told}"


def _goes_on(wanted: SessionArguments, left: DatabaseSession) -> bool:
    same = left.session == wanted.session
    return same and (wanted.verb == "end_session" or left.state == "active")


def _session(connection: Connection, wanted: SessionArguments) -> DatabaseSession | None:
    """The session with that process and start, whatever it does now; None where it is gone."""
    if not _SESSION.fullmatch(wanted.session):
        raise StepFailedError(f"{wanted.session!r} is no session, as 4711-1772546400123456-0f1e…")
    pid, started, _ = wanted.session.split("-")
    row = connection.execute(_OF_PID, {"pid": int(pid)}).one_or_none()
    found = None if row is None else _read(row)
    same = found is not None and found.session.split("-")[1] == started
    return found if same else None


def _blocking(connection: Connection) -> DatabaseSession | None:
    row = connection.execute(_BLOCKING).one_or_none()
    return None if row is None else _read(row)


def _read(row: Row[tuple[object, ...]]) -> DatabaseSession:
    given = row._asdict()
    return DatabaseSession(**{name: given[name] for name in DatabaseSession._fields})


def refusal(target: DatabaseTarget, wanted: SessionArguments, found: DatabaseSession) -> str:
    """Why this session is left alone; empty where it may be ended."""
    if found.query == "<insufficient privilege>":
        return f"{target.told} does not show its query: grant pg_read_all_stats to the copilot"
    if found.session != wanted.session:
        return f"it does something else by now: {found.told}"
    if found.above or (target.users and found.owner not in target.users):
        return f"sessions of {found.owner!r} are not to be ended here"
    if not (found.mighty or found.may_signal or found.ours):
        return f"{target.told}: grant pg_signal_backend to the copilot"
    if wanted.verb == "cancel_query" and found.state != "active":
        return f"no query to cancel: {found.told}"
    if found.blocks < wanted.blocks:
        return f"at least {wanted.blocks} have to wait for it: {found.told}"
    if found.for_s < wanted.for_s:
        return f"it has to have run for {wanted.for_s:g} s: {found.told}"
    return ""


@dataclass(frozen=True)
class FactsWithSessions:
    """Facts with the session that blocks the most others in each database with a component.

    `blocking_session:<component>` and `database:<component>`, the target's name. A database that
    is not reached tells nothing.
    """

    told: FactSource
    targets: Mapping[str, DatabaseTarget]

    def facts(self) -> Mapping[str, Fact]:
        """Both; a problem of the told facts counts only where nothing else is known."""
        found: dict[str, Fact] = {}
        for name, target in self.targets.items():
            if target.component:
                found |= self._of(name, target)
        try:
            return {**found, **self.told.facts()}
        except SourceError:
            if not found:
                raise
            return found

    @staticmethod
    def _of(name: str, target: DatabaseTarget) -> Mapping[str, Fact]:
        try:
            with target.connected() as connection:
                blocking = _blocking(connection)
        except StepFailedError:
            return {}
        about = f":{target.component}"
        named: dict[str, Fact] = {f"database{about}": name}
        if blocking is not None:
            named |= {
                f"blocking_session{about}": blocking.session,
                f"blocked_sessions{about}": float(blocking.blocks),
            }
        return named
