"""One SELECT of a business database: checked, in a read-only transaction, bounded in time and rows.

The statement is an operator's, so the check keeps mistakes out; what keeps writing out is the
database: give the copilot a user that may only read.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from copilot.ports import SourceError
from copilot.sources.business import MOST_ROWS, MetricColumns, cube
from tools.log_retriever import redact
from tools.slice_finder import MetricCube
from tools.types import Window

READ_AT_ONCE = 5000
STEPS = 10_000
"""SQLite's virtual machine looks at the clock after so many steps, some thousand times a second."""

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WRITES = re.compile(
    r"\b(?:insert|update|delete|merge|truncate|drop|alter|create|grant|revoke|call|do|copy|into|"
    r"outfile|dumpfile|lock|attach|detach|pragma|vacuum|analyze|set|execute|prepare|commit|"
    r"rollback|begin|load_file|pg_sleep|sleep|benchmark)\b",
    re.IGNORECASE,
)


def checked(statement: str) -> str:
    """The statement without its last semicolon; `ValueError` where it is not one plain SELECT."""
    if "/*!" in statement or "\\" in statement:
        raise ValueError("holds /*! or a backslash, which a plain SELECT does not need")
    bare = _QUOTED.sub(" ", statement).strip().rstrip(";").strip()
    if not re.match(r"(?:select|with)\b", bare, re.IGNORECASE):
        raise ValueError("is no SELECT (nor WITH ... SELECT)")
    if ";" in bare:
        raise ValueError("is more than one statement")
    if any(mark in bare for mark in ("'", '"', "`", "$", "/*", "#")):
        raise ValueError("holds a quote that is not closed, or $ or # outside of one")
    if found := _WRITES.search(bare):
        raise ValueError(f"holds {found[0].upper()}, and may only read")
    return statement.strip().rstrip(";").strip()


def address(given: str) -> URL:
    """The address of a database that can be held to reading; `ValueError` without its secrets."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise ValueError("is no SQLAlchemy URL, as postgresql+psycopg://user@host/db is") from None
    if url.get_backend_name() not in _READ_ONLY:
        known = ", ".join(sorted(_READ_ONLY))
        raise ValueError(f"is of {url.get_backend_name()!r}; {known} are read")
    if url.drivername == "postgresql":  # the driver that the copilot has
        return url.set(drivername="postgresql+psycopg")
    return url


def read_sql(
    name: str,
    url: URL,
    statement: str,
    window: Window,
    columns: MetricColumns,
    timeout_s: float,
) -> MetricCube:
    """The rows of `statement`, `:start` and `:end` bound to the window in Unix seconds."""
    try:
        # A connection for each question: one a minute at most, and none is held in between.
        engine = create_engine(url, poolclass=NullPool, connect_args=_waiting(url, timeout_s))
        with engine.connect() as connection, _reading(engine, connection, timeout_s):
            query = text(_WRAPPED.format(statement=checked(statement), most=MOST_ROWS + 2))
            bound = {"start": window.start, "end": window.end}
            used = {key: value for key, value in bound.items() if f":{key}" in statement}
            rows = connection.execution_options(yield_per=READ_AT_ONCE).execute(query, used)
            return cube(name, list(rows.keys()), (tuple(row) for row in rows), columns)
    except DBAPIError as error:
        said = redact(str(error.orig).strip().split("\n")[0])[:_SAID]
        raise SourceError(name, f"the database said: {said}", recoverable=True) from error
    except (SQLAlchemyError, NoSuchModuleError, ModuleNotFoundError) as error:
        said = redact(str(error).split("\n")[0])[:_SAID]
        raise SourceError(name, f"cannot be asked: {said}", recoverable=False) from error


_SAID = 200
_WRAPPED = "SELECT * FROM (\n{statement}\n) AS metric LIMIT {most}"


def _waiting(url: URL, timeout_s: float) -> dict[str, object]:
    sqlite = url.get_backend_name() == "sqlite"
    return {"timeout" if sqlite else "connect_timeout": max(1, int(timeout_s))}


@contextmanager
def _reading(engine: Engine, connection: Connection, timeout_s: float) -> Iterator[None]:
    """Inside, the database itself refuses to write, and gives up after `timeout_s`."""
    backend = engine.url.get_backend_name()
    for statement in _READ_ONLY[backend]:
        connection.execute(text(statement.format(ms=int(timeout_s * 1000), s=timeout_s)))
    if backend == "sqlite":
        until = time.monotonic() + timeout_s
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        yield
    finally:
        connection.rollback()
        engine.dispose()


_READ_ONLY: dict[str, tuple[str, ...]] = {
    "sqlite": ("PRAGMA query_only = ON",),
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = {ms}"),
    "mysql": ("SET SESSION max_execution_time = {ms}", "START TRANSACTION READ ONLY"),
    "mariadb": ("SET SESSION max_statement_time = {s}", "START TRANSACTION READ ONLY"),
}
"""Source: the manuals' pages SET TRANSACTION, START TRANSACTION, PRAGMA query_only."""
