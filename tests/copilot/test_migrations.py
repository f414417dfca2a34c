"""A database of yesterday is used today: upgraded with its data, or a clear word what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from copilot.settings import load
from copilot.store import SCHEMA_VERSION, Store, StoreError, migrations
from copilot.store.database import Database
from copilot.store.tables import metadata
from copilot.surfaces.cli_options import Flags
from copilot.surfaces.commands import call
from copilot.types.incident import Incident
from tools.types import Alert

NOW = 1_700_000_000.0
SERIAL = {
    "sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL NOT NULL PRIMARY KEY",
}
INCIDENT = Incident(id="inc-1", title="cart is slow", opened_at=NOW, updated_at=NOW)
ALERT = Alert(fingerprint="a", name="CartSlow", starts_at=NOW - 60, service="cart")
ROWS = (
    "INSERT INTO schema_version VALUES (1, 1)",
    f"INSERT INTO incidents VALUES ('inc-1', 'investigating', {NOW},"
    f" '{INCIDENT.model_dump_json()}')",
    "INSERT INTO alerts (fingerprint, starts_at, status, accepted_at, document, incident_id,"
    f" action, reason) VALUES ('a', {NOW - 60}, 'firing', {NOW}, '{ALERT.model_dump_json()}',"
    " 'inc-1', 'opened', 'first')",
    f"INSERT INTO runs VALUES ('inc-1.1', 'inc-1', 1, 'accepted', '', 0.0, 0, {NOW}, {NOW}, '')",
    f"INSERT INTO journal_head VALUES (1, 0, '{'0' * 64}')",
)


def schema_1(url: str, without: tuple[str, ...] = ()) -> None:
    """A database as version 1 wrote it, with an incident, its alert and its run."""
    database = Database(url)
    backend = make_url(url).get_backend_name()
    script = (migrations.HERE / "schema_1.sql").read_text(encoding="utf-8")
    statements = script.format(serial=SERIAL[backend]).split(";\n")
    with database.write() as connection:
        for statement in [*filter(str.strip, statements), *ROWS]:
            connection.exec_driver_sql(statement)
        for table in without:
            connection.exec_driver_sql(f"DROP TABLE {table}")
    database.close()


@pytest.fixture
def old(database_url: str) -> Iterator[Store]:
    schema_1(database_url)
    store = Store(database_url)
    yield store
    store.close()


def holds_everything(store: Store) -> bool:
    incident = store.incidents.require("inc-1")
    (alert,) = store.alerts.of("inc-1")
    (run,) = store.runs.recoverable(NOW)
    store.journal.append("inc-1", "opened", "copilot", {}, NOW)
    return (incident, alert, run.id) == (INCIDENT, ALERT, "inc-1.1") and store.journal.verify().ok


def test_a_database_of_schema_1_is_brought_forward_with_its_data(old: Store) -> None:
    assert old.upgrade() == (1, SCHEMA_VERSION)
    assert holds_everything(old)
    assert old.upgrade() == (SCHEMA_VERSION, SCHEMA_VERSION)


def test_an_upgraded_database_and_a_new_one_have_the_same_tables(
    old: Store, database_url: str
) -> None:
    old.upgrade()
    database = Database(database_url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_tables_that_version_1_got_later_are_made_where_they_are_missing(database_url: str) -> None:
    schema_1(database_url, without=("silences", "turns", "conversations", "alert_leases"))
    store = Store(database_url)
    store.upgrade()
    assert store.silences.all() == ()
    assert holds_everything(store)
    store.close()


def test_a_file_upgrades_itself_at_the_start_and_the_copy_of_before_can_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.sqlite"
    schema_1(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    store.create()
    assert holds_everything(store)
    store.close()
    with closing(sqlite3.connect(f"{path}.schema-1")) as kept:
        assert kept.execute("SELECT version FROM schema_version").fetchone() == (1,)
        assert kept.execute("SELECT id FROM incidents").fetchall() == [("inc-1",)]
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_upgrade_that_breaks_leaves_the_database_as_it_was(
    old: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "v0001.py").write_text(
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n op.execute('DROP TABLE halt')\n op.execute('nonsense')\n"
    )
    monkeypatch.setattr(migrations, "HERE", tmp_path)
    with pytest.raises(StoreError, match="nonsense"):
        old.upgrade()
    assert old.schema_version() == 1
    assert old.halt.get() is None


def test_on_postgresql_a_person_upgrades(postgresql: str) -> None:
    with psycopg.connect(
        host=postgresql, user="copilot", dbname="postgres", autocommit=True
    ) as server:
        server.execute("CREATE SCHEMA older")
    url = f"postgresql://copilot@/postgres?host={postgresql}&options=-csearch_path%3Dolder"
    schema_1(url)
    store = Store(url)
    with pytest.raises(StoreError, match="copilot db upgrade"):
        store.create()
    store.upgrade()
    store.create()
    assert holds_everything(store)
    store.close()


def test_check_and_upgrade_say_where_the_database_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = Flags(None, tmp_path, None)
    assert call("db_check", flags, {"as_json": False}) == 0
    assert "no store yet" in capsys.readouterr().out
    schema_1(load(data_dir=tmp_path).store_url)
    assert call("db_check", flags, {"as_json": False}) == 1
    assert "run: copilot db upgrade" in capsys.readouterr().out
    assert call("db_upgrade", flags, {}) == 0
    assert f"schema version {SCHEMA_VERSION}, from 1" in capsys.readouterr().out
    assert call("db_check", flags, {"as_json": False}) == 0
    assert "up to date" in capsys.readouterr().out


def test_the_last_migration_is_the_schema_of_the_tables() -> None:
    scripts = ScriptDirectory(str(migrations.HERE), version_locations=[str(migrations.HERE)])
    assert scripts.get_heads() == [f"{SCHEMA_VERSION:04}"]
