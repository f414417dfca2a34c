"""Migrations: bring a database of an earlier version forward, one numbered file after the other.

To add one: copy the last `v*.py` here, give it the next number, change `tables.py` alike and raise
`SCHEMA_VERSION`. Only add, with a `server_default`: processes of the version before may still run.
"""

import logging
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection, inspect, select, update

from copilot.store.database import Database, StoreError
from copilot.store.journal import GENESIS
from copilot.store.tables import SCHEMA_VERSION, alembic_version, journal_head, metadata, schema

log = logging.getLogger(__name__)

HERE = Path(__file__).parent


def version(database: Database) -> int | None:
    """The schema version of a database; None where there is no store in it yet."""
    with database.read() as connection:
        return _written(connection)


def prepare(database: Database) -> None:
    """Make the tables of a new database; bring an older SQLite file forward, keeping a copy.

    PostgreSQL is other people's, too: there a person runs `copilot db upgrade`.
    """
    written = version(database)
    if written == SCHEMA_VERSION:
        return
    if written is None:
        _create(database)
        return
    _refuse_newer(written)
    if not database.sqlite:
        raise StoreError(
            f"the database has schema version {written}, this program needs {SCHEMA_VERSION}; "
            "back it up, then run: copilot db upgrade"
        )
    upgrade(database)


def upgrade(database: Database) -> tuple[int | None, int]:
    """Bring a database forward, all or nothing; returns the version before and the one now."""
    written = version(database)
    if written is None:
        _create(database)
        return None, SCHEMA_VERSION
    _refuse_newer(written)
    if written == SCHEMA_VERSION:
        return written, written
    if database.sqlite:
        kept = f"{database.url.database}.schema-{written}"
        copied(Path(str(database.url.database)), Path(kept))
        log.warning("the database as it was before its upgrade is kept in %s", kept)
    with database.write() as connection:
        # Looked up again inside: another process may have been faster.
        # Its library takes longer to load than most commands run, and is wanted once a version.
        import_module("copilot.store.alembic_steps").run(connection, HERE)
        connection.execute(update(schema).values(version=SCHEMA_VERSION))
    log.warning("the database was brought from schema %s to %s", written, SCHEMA_VERSION)
    return written, SCHEMA_VERSION


def copied(file: Path, to: Path) -> None:
    """Copy an SQLite database while others use it; the copy is whole, or is not there."""
    beside = to.with_name(to.name + ".part")
    beside.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(file, timeout=30)) as source,
            closing(sqlite3.connect(beside)) as target,
        ):
            source.backup(target)
        beside.replace(to)
    except (sqlite3.Error, OSError) as problem:
        beside.unlink(missing_ok=True)
        raise StoreError(f"the database cannot be copied to {str(to)!r}: {problem}") from problem


def _written(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema.name):
        return None
    found: int | None = connection.execute(select(schema.c.version)).scalar()
    return found


def _create(database: Database) -> None:
    with database.write() as connection:
        if _written(connection) is not None:
            return  # another process was faster
        metadata.create_all(connection)
        connection.execute(schema.insert(), {"id": 1, "version": SCHEMA_VERSION})
        connection.execute(alembic_version.insert(), {"version_num": f"{SCHEMA_VERSION:04}"})
        connection.execute(journal_head.insert(), {"id": 1, "seq": 0, "digest": GENESIS})


def _refuse_newer(written: int) -> None:
    if written > SCHEMA_VERSION:
        raise StoreError(
            f"the database has schema version {written}, this program knows version "
            f"{SCHEMA_VERSION}: a newer copilot wrote it; use that one, or the copy that its "
            "upgrade kept"
        )
