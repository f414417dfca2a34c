"""Connections, transactions and group commits: one writer at a time, on SQLite and PostgreSQL.

Nearly every transaction ends in the journal, which is one chain: its writers take turns anyway. So
they take the turn at the start, where waiting for it cannot deadlock, on both databases alike.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.dml import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.dialects.sqlite.dml import Insert as SqliteInsert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import PoolProxiedConnection

from copilot.types.errors import OperatorError
from tools.log_retriever import redact

BUSY_SECONDS = 30.0
"""How long a write waits for another process before it gives up."""

_TURN = text("SELECT pg_advisory_xact_lock(7233205)")
_PATIENCE = (
    f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}",
    # A process that hangs in a transaction gives the turn back.
    "SET idle_in_transaction_session_timeout = 60000",
    # So that a restore sees who works here, by name and schema.
    "SELECT set_config('application_name', 'copilot ' || current_schema(), false)",
    # A machine that died says no goodbye: its locks are free after half a minute, not two hours.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
)
_BEGIN = {True: "BEGIN IMMEDIATE", False: "BEGIN"}


class StoreError(OperatorError):
    """The store could not do it. `recoverable` says whether trying again may help."""

    def __init__(self, problem: str, *, recoverable: bool = False) -> None:
        super().__init__(problem)
        self.recoverable = recoverable


class Database:
    """Transactions over one SQLAlchemy engine; nested ones of a thread join the outermost."""

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite(self.url) if self.sqlite else _postgresql(self.url)
        # SQLite polls for its write lock, unfairly; threads of one process queue here instead.
        self._writer = threading.RLock()
        self._local = threading.local()

    @property
    def engine(self) -> Engine:
        """The engine under it, to create tables and to look at in tests."""
        return self._engine

    @property
    def joined(self) -> bool:
        """Whether this thread is inside a transaction."""
        return getattr(self._local, "connection", None) is not None

    def close(self) -> None:
        """Give all connections back; the database can be opened again."""
        self._engine.dispose()

    def outside(self, *statements: str) -> None:
        """Run what no transaction may hold, such as VACUUM."""
        with self._translated(), closing(self._engine.raw_connection()) as raw:
            if not self.sqlite:
                raw.driver_connection.autocommit = True  # type: ignore[union-attr]
            cursor = raw.cursor()
            for statement in statements:
                cursor.execute(statement)
                if cursor.description:
                    cursor.fetchall()
            cursor.close()
            if not self.sqlite:
                raw.driver_connection.autocommit = False  # type: ignore[union-attr]

    def sessions(self) -> tuple[int, str]:
        """How many other processes' connections work in this PostgreSQL schema, and its name."""
        query = (
            "SELECT count(*), current_schema() FROM pg_stat_activity WHERE"
            " application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
        with self.read() as connection:
            count, schema = connection.exec_driver_sql(query).one()
        return int(count), str(schema)

    def tables(self) -> set[str]:
        """The names of all tables beside ours, and ours."""
        return set(inspect(self._engine).get_table_names())

    def insert(self, table: Table) -> SqliteInsert | PostgresqlInsert:
        """An INSERT that knows `on_conflict_do_nothing` in this database's dialect."""
        return sqlite_insert(table) if self.sqlite else postgresql_insert(table)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: all of it or nothing, on disk when it ends."""
        joined: Connection | None = getattr(self._local, "connection", None)
        if joined is not None:
            yield joined
            return
        if not self.sqlite:
            with self._outermost() as connection:
                yield connection
            return
        with self._writer, self._outermost() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent look; inside a transaction of this thread it sees what that wrote."""
        joined: Connection | None = getattr(self._local, "connection", None)
        if joined is not None:
            yield joined
            return
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _outermost(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(copilot_writes=True)
            with connection.begin():
                if not self.sqlite:
                    connection.execute(_TURN)
                self._local.connection = connection
                try:
                    yield connection
                finally:
                    self._local.connection = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as problem:
            raise StoreError(
                f"the database {self.url.render_as_string()!r} refused: {problem.orig}; "
                "check that it is reachable, writable and not full",
                recoverable=problem.connection_invalidated or _transient(problem),
            ) from problem


def _transient(problem: DBAPIError) -> bool:
    words = str(problem.orig).lower()
    return any(word in words for word in ("locked", "busy", "deadlock", "connection", "timeout"))


def _shown(url: str) -> str:
    """What is no address may still hold a password: before the last @ nothing is shown."""
    return repr(redact(f"…{url[url.rfind('@') :]}" if "@" in url else url))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as problem:
        raise StoreError(
            f"{_shown(url)} is not a database URL; use sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from problem
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(
            f"database {parsed.get_backend_name()!r} is not supported; "
            "use sqlite:///PATH or postgresql://USER@HOST/NAME"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(f"{_shown(url)} keeps nothing on disk; name a file: sqlite:///PATH")
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=16,
        max_overflow=64,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: PoolProxiedConnection, _record: object) -> None:
        # The driver would begin transactions itself, and deferred; ours begin in `_begin`.
        connection.isolation_level = None  # type: ignore[attr-defined]
        cursor = connection.cursor()
        if cursor.execute("PRAGMA page_count").fetchone() == (0,):
            # So that what is pruned can be given back. Of a new file only: elsewhere it changes
            # nothing, but waits for whoever writes, and so would each reader's new connection.
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit is on disk before its 202 is sent, power cut included
            "foreign_keys=ON",
            f"busy_timeout={int(BUSY_SECONDS * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = bool(connection.get_execution_options().get("copilot_writes"))
        connection.exec_driver_sql(_BEGIN[writes])

    return engine


def _postgresql(url: URL) -> Engine:
    psycopg = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(psycopg, pool_size=16, max_overflow=32, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as problem:
        raise StoreError(
            "PostgreSQL needs the driver psycopg; install incident-copilot[postgres]"
        ) from problem

    @event.listens_for(engine, "connect")
    def _prepare(connection: PoolProxiedConnection, _record: object) -> None:
        cursor = connection.cursor()
        for setting in _PATIENCE:
            cursor.execute(setting)
        cursor.close()
        connection.commit()

    return engine


OutcomeT = TypeVar("OutcomeT")


class _Call(Generic[OutcomeT]):
    """One caller's work, and what came of it."""

    def __init__(self, work: Callable[[Connection], OutcomeT]) -> None:
        self._work = work
        self._outcomes: list[OutcomeT] = []
        self.problem: StoreError | None = None

    @property
    def over(self) -> bool:
        return bool(self._outcomes) or self.problem is not None

    def run(self, connection: Connection) -> OutcomeT:
        return self._work(connection)

    def end(self, outcome: OutcomeT) -> None:
        self._outcomes.append(outcome)

    def result(self) -> OutcomeT:
        if self.problem is not None:
            raise self.problem
        return self._outcomes[0]


class GroupCommit(Generic[OutcomeT]):
    """Runs writes of many threads; whoever comes first writes for all who came meanwhile.

    An fsync costs milliseconds, whatever it makes durable. The work may fail with `StoreError`
    only; then each of the group is tried alone, so that nobody fails for another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._list = threading.Lock()
        self._waiting: list[_Call[OutcomeT]] = []

    def __len__(self) -> int:
        """How many wait for the next transaction."""
        return len(self._waiting)

    def write(self, work: Callable[[Connection], OutcomeT]) -> OutcomeT:
        """Run the work in a transaction; what it wrote is on disk on return.

        Inside a transaction of this thread it joins that one, as every write does.
        """
        if self._database.joined:
            with self._database.write() as connection:
                return work(connection)
        call = _Call(work)
        with self._list:
            self._waiting.append(call)
        with self._turn:
            if not call.over:
                self._lead()
        return call.result()

    def _lead(self) -> None:
        with self._list:
            group, self._waiting = self._waiting, []
        try:
            self._together(group)
        except StoreError:
            for call in group:
                self._alone(call)
        finally:
            for call in group:
                if not call.over:  # this thread is being ended in the middle of it
                    call.problem = StoreError("the write was interrupted", recoverable=True)

    def _together(self, group: list[_Call[OutcomeT]]) -> None:
        with self._database.write() as connection:
            outcomes = [call.run(connection) for call in group]
        for call, outcome in zip(group, outcomes, strict=True):
            call.end(outcome)

    def _alone(self, call: _Call[OutcomeT]) -> None:
        try:
            with self._database.write() as connection:
                outcome = call.run(connection)
        except StoreError as problem:
            call.problem = problem
        else:
            call.end(outcome)
