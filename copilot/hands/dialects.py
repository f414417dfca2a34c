"""What the sessions of a PostgreSQL, a MariaDB or a MySQL are, and how one is ended there.

Sources: PostgreSQL 15 manual, sections 9.27.2 (`pg_terminate_backend`), 9.26.1 (`pg_blocking_pids`)
and 28.2.3 (`pg_stat_activity`); MariaDB's knowledge base on KILL, information_schema.PROCESSLIST,
INNODB_TRX and INNODB_LOCK_WAITS; MySQL 8.0 manual, section 29.12.13 (`data_lock_waits`).
"""

import hashlib
import re
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, Row, text

from copilot.hands.report import StepFailedError
from tools.log_retriever import excerpt

SESSION = re.compile(r"[0-9]{1,20}-[0-9]{1,17}-[0-9a-f]{12}")
RUNAWAY_S = 60
"""A query that runs as long is told as one that runs away. source: a step asks again how long."""


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


class ConnectionLimit(NamedTuple):
    """How many connections are allowed, how many there are, and what it can be raised to."""

    most: int
    used: int
    highest: int


class DatabaseDialect(Protocol):
    """What differs from one database to another."""

    grant: str
    """What the copilot has to be granted to end sessions."""

    def session(self, connection: Connection, token: str) -> DatabaseSession | None:
        """The session with that process and start, whatever it does now; None where it is gone."""
        ...

    def blocking(self, connection: Connection) -> DatabaseSession | None:
        """The session that the most others wait for and that waits for nobody itself."""
        ...

    def runaway(self, connection: Connection) -> DatabaseSession | None:
        """The query that runs longest, if it runs for as long as `RUNAWAY_S`."""
        ...

    def act(self, connection: Connection, verb: str, found: DatabaseSession) -> None:
        """End the session, or cancel its query."""
        ...

    def limit(self, connection: Connection) -> ConnectionLimit:
        """How many connections it takes."""
        ...

    def set_limit(self, connection: Connection, value: int) -> None:
        """Let it take so many from now on."""
        ...


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
_RUNAWAY = text(
    f"SELECT * FROM ({_SESSIONS}) s WHERE s.state = 'active' AND s.for_s >= {RUNAWAY_S} "
    "ORDER BY s.for_s DESC LIMIT 1"
)
_LIMIT = text(
    "SELECT d.datconnlimit, current_setting('max_connections')::int, "
    "(SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid), current_database() "
    "FROM pg_database d WHERE d.datname = current_database()"
)


class PostgreSqlDialect:
    """PostgreSQL; its limit is that of the one database, up to the server's (`max_connections`),
    which needs a restart.
    """

    grant = "pg_signal_backend"

    def session(self, connection: Connection, token: str) -> DatabaseSession | None:
        pid, started, _ = _parts(token)
        row = connection.execute(_OF_PID, {"pid": pid}).one_or_none()
        found = None if row is None else _read(row)
        return found if found is not None and _parts(found.session)[1] == started else None

    def blocking(self, connection: Connection) -> DatabaseSession | None:
        return _first(connection.execute(_BLOCKING).one_or_none())

    def runaway(self, connection: Connection) -> DatabaseSession | None:
        return _first(connection.execute(_RUNAWAY).one_or_none())

    def act(self, connection: Connection, verb: str, found: DatabaseSession) -> None:
        # The condition stands in the statement that acts: between a look and an act it may end.
        act = f"SELECT {_ACTS[verb]}(s.pid) FROM ({_SESSIONS} AND a.pid = :pid) s "
        act += "WHERE s.session = :session"
        connection.execute(text(act), {"pid": found.pid, "session": found.session})

    def limit(self, connection: Connection) -> ConnectionLimit:
        own, server, used, _ = connection.execute(_LIMIT).one()
        return ConnectionLimit(server if own < 0 else min(own, server), used, server)

    def set_limit(self, connection: Connection, value: int) -> None:
        name = connection.execute(_LIMIT).one()[3]
        quoted = connection.dialect.identifier_preparer.quote(name)
        connection.execute(text(f"ALTER DATABASE {quoted} CONNECTION LIMIT {value:d}"))


_PROCESSES = """
SELECT p.id AS pid, p.user AS owner, p.command AS command, coalesce(p.info, '') AS query,
       CAST(coalesce(
           CASE WHEN p.command = 'Query' THEN p.time
                ELSE timestampdiff(SECOND, t.trx_started, now()) END, p.time) AS DOUBLE) AS for_s,
       (SELECT count(DISTINCT w.{waits}) FROM {locks} w WHERE w.{blocks} = t.trx_id) AS blocks,
       (SELECT count(*) FROM {locks} w WHERE w.{waits} = t.trx_id) AS waits_for
FROM information_schema.processlist p
LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
WHERE p.id <> connection_id() AND p.user NOT IN ('system user', 'event_scheduler')
"""
_MARIADB = _PROCESSES.format(
    locks="information_schema.innodb_lock_waits",
    waits="requesting_trx_id",
    blocks="blocking_trx_id",
)
_MYSQL = _PROCESSES.format(
    locks="performance_schema.data_lock_waits",
    waits="requesting_engine_transaction_id",
    blocks="blocking_engine_transaction_id",
)
_SERVER = text("SELECT version(), substring_index(current_user(), '@', 1), unix_timestamp()")
_CONNECTIONS = text(
    "SELECT @@global.max_connections, (SELECT count(*) FROM information_schema.processlist)"
)
_PRIVILEGES = text(
    "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = "
    "concat(quote(substring_index(current_user(), '@', 1)), '@', "
    "quote(substring_index(current_user(), '@', -1)))"
)
_MYSQL_MOST = 100_000
"""source: MariaDB's and MySQL's manuals, range of the variable max_connections."""
_MAY_END = frozenset({"SUPER", "CONNECTION ADMIN", "CONNECTION_ADMIN"})
_SAME_START_S = 2.0
"""The start of a server follows from its uptime, in whole seconds."""


class MySqlDialect:
    """MariaDB and MySQL. Connection numbers begin anew with the server, so its start goes along.

    A KILL names a connection and no query, so between the last look and it the session may have
    begun another one. MySQL 8 is written by its manual and not tested against a real one.
    """

    grant = "CONNECTION ADMIN and PROCESS"

    def session(self, connection: Connection, token: str) -> DatabaseSession | None:
        pid, started, _ = _parts(token)
        found = self._sessions(connection, "AND p.id = :pid", {"pid": pid}, started)
        return found[0] if found else None

    def blocking(self, connection: Connection) -> DatabaseSession | None:
        order = "HAVING blocks > 0 AND waits_for = 0 ORDER BY blocks DESC, for_s DESC LIMIT 1"
        return next(iter(self._sessions(connection, order, {})), None)

    def runaway(self, connection: Connection) -> DatabaseSession | None:
        order = f"AND p.command = 'Query' AND p.time >= {RUNAWAY_S} ORDER BY p.time DESC LIMIT 1"
        return next(iter(self._sessions(connection, order, {})), None)

    def act(self, connection: Connection, verb: str, found: DatabaseSession) -> None:
        what = "CONNECTION" if verb == "end_session" else "QUERY"
        connection.execute(text(f"KILL {what} {found.pid:d}"))

    def limit(self, connection: Connection) -> ConnectionLimit:
        most, used = connection.execute(_CONNECTIONS).one()
        return ConnectionLimit(int(most), int(used), _MYSQL_MOST)

    def set_limit(self, connection: Connection, value: int) -> None:
        connection.execute(text(f"SET GLOBAL max_connections = {value:d}"))

    def _sessions(
        self, connection: Connection, narrowed: str, bound: dict[str, int], started: int = 0
    ) -> list[DatabaseSession]:
        version, own, since = self._server(connection)
        if started and abs(started / 1e6 - since) > _SAME_START_S:
            return []
        rights = {str(one[0]) for one in connection.execute(_PRIVILEGES)}
        query = f"{_MARIADB if 'mariadb' in version.lower() else _MYSQL} {narrowed}"
        return [
            DatabaseSession(
                session=f"{row.pid}-{started or int(since * 1e6)}-{_hash(row.query)}",
                pid=int(row.pid),
                owner=str(row.owner),
                state="active" if row.command == "Query" else str(row.command).lower(),
                query=str(row.query),
                for_s=float(row.for_s),
                blocks=int(row.blocks),
                waits_for=int(row.waits_for),
                above=row.owner in ("root", "mysql", "mysql.sys", "mariadb.sys"),
                ours=row.owner == own,
                mighty="SUPER" in rights,
                may_signal=bool(rights & _MAY_END),
            )
            for row in connection.execute(text(query), bound)
        ]

    def _server(self, connection: Connection) -> tuple[str, str, float]:
        version, own, now = connection.execute(_SERVER).one()
        up = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Uptime'")).one()
        return str(version), str(own), float(now) - float(up[1])


def _parts(token: str) -> tuple[int, int, str]:
    if not SESSION.fullmatch(token):
        raise StepFailedError(f"{token[:80]!r} is no session, as 4711-1772546400123456-0f1e…")
    pid, started, query = token.split("-")
    return int(pid), int(started), query


def _hash(query: str) -> str:
    return hashlib.md5(query.encode(), usedforsecurity=False).hexdigest()[:12]


def _first(row: Row[tuple[object, ...]] | None) -> DatabaseSession | None:
    return None if row is None else _read(row)


def _read(row: Row[tuple[object, ...]]) -> DatabaseSession:
    given = row._asdict()
    return DatabaseSession(**{name: given[name] for name in DatabaseSession._fields})
