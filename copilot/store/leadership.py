"""Leadership: of the processes on one database, who does what only one may do.

Session-level advisory locks of PostgreSQL, on a connection of their own: whoever dies, or whose
connection breaks, leads no more at that moment. On SQLite one process owns the data folder.
"""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from copilot.store.database import Database, StoreError

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

# The first half of the key is ours; the second is the name, within the schema of the store.
_SPACE = 7233206
_KEY = f"{_SPACE}, hashtext(current_schema() || ':' || :name)"
_PID = text("SELECT pg_backend_pid()")
_TRY = text(f"SELECT pg_try_advisory_lock({_KEY})")
_RELEASE = text(f"SELECT pg_advisory_unlock({_KEY})")
_JOIN = text(f"SELECT pg_advisory_lock_shared({_KEY})")
_HOLDERS = f"""
    FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = {_SPACE}
    AND objid = hashtext(current_schema() || ':' || :name)::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_MEMBERS = text(f"SELECT count(DISTINCT pid) {_HOLDERS}")
_HELD_BY = text(f"SELECT count(*) {_HOLDERS} AND pid = :pid")


class LeadershipLostError(StoreError):
    """Another process leads by now; what this one decided meanwhile is not written."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another process has {name!r} by now", recoverable=True)


class Leadership:
    """What this process leads; safe to use from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._pid = 0
        self._held: set[str] = set()

    def leads(self, name: str) -> bool:
        """Whether this process is the one; it becomes it where nobody is."""
        if self._database.sqlite:
            return True
        return bool(self._asked(lambda connection: self._take(connection, name)))

    def check(self, name: str) -> None:
        """Raise `LeadershipLostError` where another may lead; within the transaction to guard."""
        if self._database.sqlite:
            return
        with self._database.read() as connection:
            held = connection.execute(_HELD_BY, {"name": name, "pid": self._pid}).scalar()
        if not held:
            raise LeadershipLostError(name)

    def shards(self, name: str, count: int) -> frozenset[int]:
        """Which of `count` parts of some work are this process's: as many as anybody has."""
        if self._database.sqlite:
            return frozenset(range(count))
        return self._asked(lambda connection: self._share(connection, name, count)) or frozenset()

    def close(self) -> None:
        """Lead nothing any more."""
        with self._lock:
            self._drop()

    def _share(self, connection: Connection, name: str, count: int) -> frozenset[int]:
        member = f"{name}/member"
        if member not in self._held:
            connection.execute(_JOIN, {"name": member})
            self._held.add(member)
        members = int(connection.execute(_MEMBERS, {"name": member}).scalar() or 1)
        fair = -(-count // members)
        parts = {part: f"{name}/{part}" for part in range(count)}
        mine = [part for part, key in parts.items() if key in self._held]
        for part in mine[fair:]:
            connection.execute(_RELEASE, {"name": parts[part]})
            self._held.discard(parts[part])
        for part, key in parts.items():
            if len([key for key in parts.values() if key in self._held]) >= fair:
                break
            if part not in mine[fair:]:
                self._take(connection, key)
        return frozenset(part for part, key in parts.items() if key in self._held)

    def _take(self, connection: Connection, name: str) -> bool:
        if name not in self._held and connection.execute(_TRY, {"name": name}).scalar():
            self._held.add(name)
        return name in self._held

    def _asked(self, question: Callable[[Connection], AnswerT]) -> AnswerT | None:
        """The answer over the connection that holds the locks; None where it is broken."""
        with self._lock:
            try:
                if self._connection is None:
                    plain = self._database.engine.connect()
                    self._connection = plain.execution_options(isolation_level="AUTOCOMMIT")
                    self._pid = self._connection.execute(
                        text("SELECT pg_backend_pid()")
                    ).scalar_one()
                else:
                    # Also where everything is held already: a broken connection holds nothing.
                    self._connection.execute(text("SELECT 1"))
                return question(self._connection)
            except DBAPIError as problem:
                log.warning("leads nothing, the database does not answer: %s", problem.orig)
                self._drop()
                return None

    def _drop(self) -> None:
        self._held.clear()
        connection, self._connection, self._pid = self._connection, None, 0
        if connection is not None:
            # Not given back to the pool: the locks end with the connection.
            connection.invalidate()
            connection.close()
