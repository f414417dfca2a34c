"""Connections, transactions, and their way to the disk: one writer at a time, on both databases.

Nearly every transaction ends in the journal, which is one chain: its writers take turns anyway. So
they take the turn at the start, where waiting for it cannot deadlock, on both databases alike.
"""

import json
import math
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from sqlalchemy import (
    Connection,
    Engine,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
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
        self._log = WriteAheadLog(f"{self.url.database}-wal")
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
        """Settle, and give all connections back; the database can be opened again."""
        try:
            self.settle()
        finally:
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

    def insert_many(
        self,
        connection: Connection,
        table: Table,
        columns: Sequence[str],
        rows: Sequence[tuple[object, ...]],
        on_conflict: str,
    ) -> None:
        """Insert rows; on a conflict of the first UNIQUE or PRIMARY KEY of `columns`, `DO …`.

        A tenth of what SQLAlchemy's own way costs for each row, which an alert storm feels.
        """
        if not rows:
            return
        keys = [[one.name for one in rule.columns] for rule in table.constraints
                if isinstance(rule, UniqueConstraint | PrimaryKeyConstraint)]  # fmt: skip
        key = next(names for names in keys if names and set(names) <= set(columns))
        into = f"INSERT INTO {table.name} ({', '.join(columns)})"
        conflict = f"ON CONFLICT ({', '.join(key)}) {on_conflict}"
        if self.sqlite:
            marks = ", ".join("?" * len(columns))
            connection.exec_driver_sql(f"{into} VALUES ({marks}) {conflict}", list(rows))
            return
        # As JSON: psycopg takes ten times as long to write an array of texts.
        kinds = (f"{name} {table.c[name].type.compile(self._engine.dialect)}" for name in columns)
        given = f"json_to_recordset(%s::json) AS given({', '.join(kinds)})"
        values = (_json(columns, rows),)
        connection.exec_driver_sql(f"{into} SELECT * FROM {given} {conflict}", values)

    @contextmanager
    def write(self, *, lazily: bool = False) -> Iterator[Connection]:
        """A transaction that may write: all of it or nothing, on disk when it ends.

        `lazily` is for what is done again where a power cut takes it: others see it at once, it is
        on disk with the next one that is not, and at the next `settle`. The outermost decides. On
        PostgreSQL nothing is: its server may die alone, and who wrote would go on.
        """
        joined: Connection | None = getattr(self._local, "connection", None)
        if joined is not None:
            yield joined
            return
        if not self.sqlite:
            with self._outermost() as connection:
                yield connection
            return
        with self._writer, self._outermost() as connection:
            before = _changes(connection)
            yield connection
            wrote = _changes(connection) > before
        # Not under the lock: who waited for it commits meanwhile, and shares the next sync.
        if wrote and lazily:
            self._log.defer()
        elif wrote:
            with self._translated():
                self._log.sync()

    def settle(self) -> None:
        """Bring to disk what was written lazily."""
        self._log.settle()

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
        except (DBAPIError, sqlite3.Error) as problem:
            said = problem.orig if isinstance(problem, DBAPIError) else problem
            lost = isinstance(problem, DBAPIError) and problem.connection_invalidated
            raise StoreError(
                f"the database {self.url.render_as_string()!r} refused: {said}; "
                "check that it is reachable, writable and not full",
                recoverable=lost or _transient(str(said)),
            ) from problem


class WriteAheadLog:
    """SQLite's log of commits; whoever syncs it does so for all who committed before.

    What `synchronous=FULL` does at each commit, while nobody else may write, done for many. Who
    acts on what another wrote and did not sync yet syncs that, too, with its own next commit.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn, self._count = threading.Lock(), threading.Lock()
        self._committed = self._synced = self._file = 0

    def sync(self) -> None:
        """Return when what this thread committed is on disk; raises `StoreError`."""
        with self._count:
            self._committed += 1
            mine = self._committed
        with self._turn:
            if self._synced >= mine:
                return
            until = self._committed
            try:
                self.flush()
            except OSError as problem:
                said = f"{self._path!r} cannot be synced: {problem.strerror}; is the disk full?"
                raise StoreError(said, recoverable=True) from problem
            self._synced = until

    def defer(self) -> None:
        """Somebody committed and does not wait for the disk."""
        with self._count:
            self._committed += 1

    def settle(self) -> None:
        """Sync where a commit waits for it; raises `StoreError`."""
        if self._synced < self._committed:
            self.sync()

    def flush(self) -> None:
        """Write through to the disk what the log holds, and that it is there; raises OSError."""
        try:
            log = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return  # its pages are in the database file, which SQLite synced before it took it away
        try:
            getattr(os, "fdatasync", os.fsync)(log)
            file = os.fstat(log).st_ino
        finally:
            os.close(log)
        if file != self._file and os.name == "posix":
            # A new file may be gone after a power cut until its folder is synced, too; SQLite does
            # so at its own first sync (os_unix.c, UNIXFILE_DIRSYNC).
            folder = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY)  # noqa: PTH120
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._file = file


def _json(columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    """Rows as PostgreSQL reads them; infinities by name, since JSON has none."""
    endless = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return json.dumps(
        [
            {
                name: endless.get(one, one) if isinstance(one, float) else one
                for name, one in zip(columns, row, strict=True)
            }
            for row in rows
        ]
    )


def _changes(connection: Connection) -> int:
    return connection.connection.driver_connection.total_changes  # type: ignore[union-attr,no-any-return]


def _transient(said: str) -> bool:
    words = said.lower()
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
        (mode,) = cursor.execute("PRAGMA journal_mode=WAL").fetchone()
        for pragma in (
            # A commit is on disk before its 202 is sent, power cut included: by `WriteAheadLog`,
            # and where the file system knows no such log by SQLite itself.
            f"synchronous={'NORMAL' if mode == 'wal' else 'FULL'}",
            "foreign_keys=ON",
            f"busy_timeout={int(BUSY_SECONDS * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = bool(connection.get_execution_options().get("copilot_writes"))
        # By the driver itself: SQLAlchemy's way to it costs ten times what SQLite needs.
        connection.connection.driver_connection.execute(_BEGIN[writes])  # type: ignore[union-attr]

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
