"""Databases that earlier programs wrote: today's brings each forward with all that is in it."""

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from copilot.settings import Settings, SettingsError, load
from copilot.store import SCHEMA_VERSION, Store
from copilot.surfaces.cli_options import Flags
from copilot.surfaces.commands import call
from copilot.types.setting_names import MOVED, without_effect
from evals.torture.kinds import environment
from evals.torture.service import Nursery, Service
from tests.upgrades.make import HERE, PROGRAMS

FIXTURES = [name for name, *_ in PROGRAMS]
TOLD = {"incidents": "id", "alerts": "fingerprint", "runs": "id", "approvals": "plan_id"}


def laid(name: str, folder: Path) -> Path:
    """A data folder as the program of then left it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "copilot.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.executescript((HERE / f"{name}.sql").read_text(encoding="utf-8"))
    return file


def rows(file: Path, *, sql: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return sorted(database.execute(sql).fetchall())


@pytest.fixture(params=FIXTURES)
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return laid(request.param, tmp_path / "data")


def test_each_schema_is_brought_forward_with_its_incidents_plans_and_journal(
    older: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = {table: f"SELECT {key} FROM {table}" for table, key in TOLD.items()}
    queries["journal"] = "SELECT seq, digest FROM journal"
    before = {table: rows(older, sql=sql) for table, sql in queries.items()}
    documents = rows(older, sql="SELECT id, document FROM incidents")
    flags = Flags(None, older.parent, None)
    assert call("db_upgrade", flags, {}) == 0
    assert call("db_check", flags, {"as_json": False}) == 0
    assert "up to date" in capsys.readouterr().out
    assert {table: rows(older, sql=sql) for table, sql in queries.items()} == before
    with closing(Store(load(data_dir=older.parent).store_url)) as store:
        assert store.schema_version() == SCHEMA_VERSION
        assert store.journal.verify().ok
        for incident_id, document in documents:
            then, now = json.loads(document), store.incidents.require(incident_id)
            assert (now.title, now.status) == (then["title"], then["status"])
            assert now.plan is not None
            assert now.plan.digest == then["plan"]["digest"]
            assert store.alerts.of(incident_id)
            shown = {"incident": incident_id, "as_json": False, "limit": 1, "report": False}
            assert call("incidents", flags, shown) == 0
            assert "1-5-10" in capsys.readouterr().out


def test_the_newest_schema_has_a_fixture() -> None:
    made = {int(re.findall(r"schema-(\d+)", name)[0]) for name in FIXTURES}
    assert made >= set(range(1, SCHEMA_VERSION)), "add a row to tests/upgrades/make.py and run it"


def test_every_setting_of_the_first_stage_exists_or_says_where_it_went() -> None:
    of_then = (HERE / "settings-first-stage.txt").read_text(encoding="utf-8").split()
    assert set(of_then) <= {*Settings.model_fields, *MOVED}


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        pytest.param("COPILOT_PROMETHEUS_ADDRESS", "it is called prometheus_url now", id="moved"),
        pytest.param("COPILOT_MODEL_RETRIES", "it has no effect any more", id="gone"),
        pytest.param("COPILOT_PROMETEUS_URL", "did you mean prometheus_url?", id="mistyped"),
    ],
)
def test_a_variable_that_sets_nothing_is_named_with_what_may_be_meant(
    variable: str, said: str
) -> None:
    moved = {"prometheus_address": "prometheus_url", "model_retries": ""}
    variables = ["PATH", "COPILOT_STEP_KEY", "COPILOT_PORT", variable]
    assert without_effect(variables, Settings.model_fields, moved) == (f"{variable} ({said})",)


def test_doctor_the_demo_and_a_file_of_settings_name_what_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COPILOT_PROMETEUS_URL", "http://prometheus")
    call("doctor", Flags(None, tmp_path, None), {"as_json": False})
    assert "COPILOT_PROMETEUS_URL (did you mean prometheus_url?)" in " ".join(
        capsys.readouterr().out.split()
    )
    call("demo", Flags(None, tmp_path, None), {"incident": "none-of-this-name", "yes": True})
    assert capsys.readouterr().err.startswith(
        "no such setting, it has no effect: COPILOT_PROMETEUS_URL (did you mean prometheus_url?)"
    )
    file = tmp_path / "settings.toml"
    file.write_text('lokki_url = "http://loki"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="lokki_url: no such setting; did you mean loki_url?"):
        load(file)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with closing(Nursery()) as forks:
        yield forks


def nobody_waits(service: Service) -> bool:
    """Of a plan that nobody answered for months it says so, and runs nothing."""
    return {one["status"] for one in service.incidents()} <= {"recovered", "handed_over"}


@pytest.mark.integration
def test_a_service_starts_on_the_first_schema_and_shows_what_was_there(
    nursery: Nursery, tmp_path: Path
) -> None:
    name = "schema-1-first-stage"
    folder = tmp_path / name
    file = laid(name, folder / "data")
    known = rows(file, sql="SELECT id FROM incidents")
    with ExitStack() as stack:
        service = Service(nursery, folder, environment(folder, name, 0))
        stack.callback(service.close)
        service.start()
        assert sorted((one["id"],) for one in service.incidents()) == known
        assert service.until(partial(nobody_waits, service), 60)
        assert service.end(signal.SIGTERM) == 0
