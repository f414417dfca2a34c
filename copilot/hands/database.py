"""End one session of a database or cancel its query, found again just before; extend its limit."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from copilot.hands.credentials import WithPassword
from copilot.hands.dialects import (
    ConnectionLimit,
    DatabaseDialect,
    DatabaseSession,
    MySqlDialect,
    PostgreSqlDialect,
)
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock, FactSource, SourceError
from copilot.sources import business_sql
from tools.log_retriever import excerpt
from tools.playbook_executor.vocabulary import LimitArguments, SessionArguments
from tools.types import Fact, PlanStep, StepResult

TIMEOUT_S = 5
GONE_WITHIN_S = 5.0
_MYSQL = MySqlDialect()
_DIALECTS: Mapping[str, DatabaseDialect] = {
    "postgresql": PostgreSqlDialect(),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


class DatabaseTarget(WithPassword):
    """A database of the runners file, and whose sessions may be ended there.

    `users` empty: those of anybody but superusers. `component` is the name it has in the topology:
    with it, the session that blocks the most others is a fact about that component. Its limit of
    connections is set up to `most_connections` at most, 0: not at all.
    """

    url: str
    users: tuple[str, ...] = ()
    component: str = ""
    most_connections: int = Field(default=0, ge=0, le=100_000)

    @field_validator("url")
    @classmethod
    def _of_a_known_kind(cls, given: str) -> str:
        url = business_sql.address(given)
        if url.get_backend_name() not in _DIALECTS:
            known = ", ".join(_DIALECTS)
            raise ValueError(f"is of {url.get_backend_name()!r}; sessions of {known} are ended")
        if url.password is not None:
            raise ValueError("holds a password; put it in a variable and name that: password_env")
        return given

    @model_validator(mode="after")
    def _names_whose(self) -> Self:
        if not self.users and business_sql.address(self.url).get_backend_name() != "postgresql":
            raise ValueError("needs users: MySQL does not tell who is mightier than the copilot")
        return self

    @property
    def dialect(self) -> DatabaseDialect:
        """How it is asked."""
        return _DIALECTS[business_sql.address(self.url).get_backend_name()]

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
        options: dict[str, object] = {"connect_timeout": TIMEOUT_S}
        if url.get_backend_name() == "postgresql":
            options["options"] = f"-cstatement_timeout={TIMEOUT_S}s"
        else:
            options |= {"read_timeout": TIMEOUT_S, "write_timeout": TIMEOUT_S}
        try:
            engine = create_engine(url, poolclass=NullPool, connect_args=options)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                yield connection
        except DBAPIError as error:
            said = excerpt(str(error.orig).strip().split("\n")[0])
            raise StepFailedError(f"{self.told} said: {said}") from error
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise StepFailedError(f"{self.told} cannot be asked: {error}") from error


class DatabaseRunner:
    """Runs `database` steps: ends one session, or cancels its query, and sees that it is gone.

    The session is found again by its process, its start and its query; what it does now is another
    query or session's is not touched. What waits for it and how long it has run are asked again.
    """

    def __init__(self, targets: Mapping[str, DatabaseTarget], clock: Clock) -> None:
        self._targets, self._clock = dict(targets), clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """End, cancel or set; what is so already is as wanted."""
        if _sets_limit(step):
            return reported(self._clock, key, lambda: self._set(of_type(step, LimitArguments)))
        return reported(self._clock, key, lambda: self._act(of_type(step, SessionArguments)))

    def touches(self, step: PlanStep) -> bool:
        """The session is really ended."""
        return True

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Find the session or the limit, and say what would be refused, such as a missing right."""
        if _sets_limit(step):
            limited = of_type(step, LimitArguments)
            target = self._target(limited.database)
            with target.connected() as connection:
                limit = target.dialect.limit(connection)
            return Rehearsal(_told(limit), limit_refusal(target, limited, limit))
        wanted = of_type(step, SessionArguments)
        target = self._target(wanted.database)
        with target.connected() as connection:
            found = target.dialect.session(connection, wanted.session)
            if found is None:
                blocking = target.dialect.blocking(connection)
                now = f"; what blocks now: {blocking.session}" if blocking is not None else ""
                return Rehearsal(f"session {wanted.session} is gone{now}")
            return Rehearsal(found.told, refusal(target, wanted, found))

    def _target(self, name: str) -> DatabaseTarget:
        target = self._targets.get(name)
        if target is None:
            raise StepFailedError(f"database {name!r} is not declared")
        return target

    def _act(self, wanted: SessionArguments) -> str:
        target = self._target(wanted.database)
        dialect = target.dialect
        with target.connected() as connection:
            found = dialect.session(connection, wanted.session)
            if found is None:
                return f"session {wanted.session} is gone already"
            if problem := refusal(target, wanted, found):
                raise StepFailedError(problem)
            dialect.act(connection, wanted.verb, found)
            until = time.monotonic() + GONE_WITHIN_S
            while _goes_on(wanted, left := dialect.session(connection, wanted.session)):
                if time.monotonic() > until:
                    told = left.told if left is not None else ""
                    raise StepFailedError(f"still there after {GONE_WITHIN_S:g} s: {told}")
                time.sleep(0.05)
        done = "ended" if wanted.verb == "end_session" else "cancelled the query of"
        return f"{done} {found.told}"

    def _set(self, wanted: LimitArguments) -> str:
        target = self._target(wanted.database)
        with target.connected() as connection:
            before = target.dialect.limit(connection)
            if before.most == wanted.value:
                return f"{_told(before)} already"
            if problem := limit_refusal(target, wanted, before):
                raise StepFailedError(problem)
            target.dialect.set_limit(connection, wanted.value)
            after = target.dialect.limit(connection)
        if after.most != wanted.value:
            raise StepFailedError(f"it was set to {wanted.value}, and is: {_told(after)}")
        return f"connections {before.most} -> {after.most}; {after.used} in use"


def _sets_limit(step: PlanStep) -> bool:
    return step.arguments.get("verb") == "set_limit"


def _told(limit: ConnectionLimit) -> str:
    return f"{limit.used} of {limit.most} connections in use"


def limit_refusal(target: DatabaseTarget, wanted: LimitArguments, found: ConnectionLimit) -> str:
    """Why its limit is left as it is; empty where it may be set."""
    if found.most not in (wanted.before, wanted.value):
        return f"it was planned from {wanted.before} on, and is: {_told(found)}"
    if wanted.value > found.highest:
        return f"{target.told} takes {found.highest} at most until it is restarted"
    if not target.most_connections or wanted.value > max(target.most_connections, found.most):
        return f"at most {target.most_connections} are allowed by most_connections: {_told(found)}"
    return ""


def _goes_on(wanted: SessionArguments, left: DatabaseSession | None) -> bool:
    if left is None or left.session != wanted.session:
        return False
    return wanted.verb == "end_session" or left.state == "active"


def refusal(target: DatabaseTarget, wanted: SessionArguments, found: DatabaseSession) -> str:
    """Why this session is left alone; empty where it may be ended."""
    if found.query == "<insufficient privilege>":
        return f"{target.told} does not show its query: grant pg_read_all_stats to the copilot"
    if found.session != wanted.session:
        return f"it does something else by now: {found.told}"
    if found.above or (target.users and found.owner not in target.users):
        return f"sessions of {found.owner!r} are not to be ended here"
    if not (found.mighty or found.may_signal or found.ours):
        return f"{target.told}: grant {target.dialect.grant} to the copilot"
    if wanted.verb == "cancel_query" and found.state != "active":
        return f"no query to cancel: {found.told}"
    if found.blocks < wanted.blocks:
        return f"at least {wanted.blocks} have to wait for it: {found.told}"
    if found.for_s < wanted.for_s:
        return f"it has to have run for {wanted.for_s:g} s: {found.told}"
    return ""


@dataclass(frozen=True)
class FactsWithSessions:
    """Facts with what each database with a component tells: who blocks, what runs away, its limit.

    `database`, the target's name, `blocking_session` and `blocked_sessions`, `runaway_session`,
    `connection_share` and, where it may be raised, `connection_limit`, each of the component. A
    database that is not reached tells nothing.
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
                blocking = target.dialect.blocking(connection)
                runaway = target.dialect.runaway(connection)
                limit = target.dialect.limit(connection)
        except StepFailedError:
            return {}
        about = f":{target.component}"
        named: dict[str, Fact] = {f"database{about}": name}
        named[f"connection_share{about}"] = limit.used / max(1, limit.most)
        if min(target.most_connections, limit.highest) > limit.most:
            named[f"connection_limit{about}"] = float(limit.most)
        if runaway is not None:
            named[f"runaway_session{about}"] = runaway.session
        if blocking is not None:
            named |= {
                f"blocking_session{about}": blocking.session,
                f"blocked_sessions{about}": float(blocking.blocks),
            }
        return named
