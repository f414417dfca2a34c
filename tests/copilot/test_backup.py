"""A backup made beside a running service is whole, and only a whole one is put back."""

import json
import random
import signal
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from copilot import wiring
from copilot.settings import Settings, load
from copilot.store import SCHEMA_VERSION, Store
from copilot.surfaces.cli_options import Flags
from copilot.surfaces.commands import call
from evals.torture.databases import Files, Server
from evals.torture.kinds import MOVES_S, PATIENCE_S, Round, approve, environment, planned
from evals.torture.service import Nursery, Service
from tools.types import Alert

NOW = 1_700_000_000.0


def flags(settings: Settings) -> Flags:
    return Flags(None, settings.data_dir, None)


def test_a_backup_made_while_others_write_restores_to_a_whole_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, backup = load(data_dir=tmp_path / "data"), tmp_path / "backup.zip"
    with wiring.store(settings) as store:
        store.journal.append("", "first", "ann", {}, NOW)
        stopping = threading.Event()

        def write() -> None:
            number = 0
            while not stopping.is_set():
                number += 1
                alert = Alert(fingerprint=f"a{number}", name="a", starts_at=NOW)
                store.alerts.accept([alert], NOW + 1)
                store.journal.append("", "written", "ann", {"n": number}, NOW)

        thread = threading.Thread(target=write)
        thread.start()
        assert call("db_backup", flags(settings), {"path": backup}) == 0
        stopping.set()
        thread.join()
        written = store.journal.last()
    assert call("db_restore", flags(settings), {"path": backup, "yes": False}) == 2
    assert "--yes" in capsys.readouterr().err
    assert call("db_restore", flags(settings), {"path": backup, "yes": True}) == 0
    with wiring.store(settings) as store:
        check = store.journal.verify()
        assert check.ok
        before = check.rows - 1
        assert 1 <= before <= written
        assert len(store.alerts.unassigned(100_000)) in (before - 1, before)
        assert store.journal.events(after=before)[0].kind == "restored"
    assert (tmp_path / "data" / "copilot.sqlite.before-restore").exists()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A good one of a small store."""
    settings = load(data_dir=tmp_path / "first")
    with wiring.store(settings) as store:
        store.journal.append("", "first", "ann", {}, NOW)
    assert call("db_backup", flags(settings), {"path": tmp_path / "good.zip"}) == 0
    return tmp_path / "good.zip"


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def of_another_program(path: Path) -> None:
    written(path, {"readme.txt": b"holiday pictures"})


def of_a_newer_one(path: Path) -> None:
    manifest = json.loads(parts(path)["backup.json"]) | {"schema_version": SCHEMA_VERSION + 1}
    written(path, {**parts(path), "backup.json": json.dumps(manifest).encode()})
    with zipfile.ZipFile(path) as archive:
        archive.extract("copilot.sqlite", path.parent)
    with closing(Store(f"sqlite:///{path.parent / 'copilot.sqlite'}")) as store:
        with store.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE schema_version SET version = {SCHEMA_VERSION + 1}")
        store.database.outside("PRAGMA wal_checkpoint(TRUNCATE)")
    written(path, {**parts(path), "copilot.sqlite": (path.parent / "copilot.sqlite").read_bytes()})


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def with_a_flipped_byte(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(whole))


def with_a_broken_database(path: Path) -> None:
    content = parts(path)
    database = content["copilot.sqlite"]
    garbled = database[:4096] + bytes(reversed(database[4096:]))
    written(path, {**content, "copilot.sqlite": garbled})


def of_the_other_kind(path: Path) -> None:
    written(path, {"copilot.pgdump": b"PGDMP"})


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        pytest.param(of_another_program, "holds no database", id="of another program"),
        pytest.param(of_a_newer_one, "a newer copilot wrote it", id="of a newer copilot"),
        pytest.param(cut_short, "broken", id="cut short"),
        pytest.param(with_a_flipped_byte, "broken", id="with a flipped byte"),
        pytest.param(with_a_broken_database, "broken", id="with a broken database"),
        pytest.param(of_the_other_kind, "the other kind of database", id="of PostgreSQL"),
    ],
)
def test_what_is_no_whole_backup_of_this_version_changes_nothing(
    spoilt: Callable[[Path], None],
    said: str,
    backup: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = load(data_dir=tmp_path / "second")
    with wiring.store(settings) as store:
        store.journal.append("", "kept", "ann", {}, NOW)
    spoilt(backup)
    assert call("db_restore", flags(settings), {"path": backup, "yes": True}) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    with wiring.store(settings) as store:
        assert [event.kind for event in store.journal.events()] == ["kept"]


def test_a_second_backup_is_not_written_over_the_first(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("db_backup", flags(load(data_dir=tmp_path / "first")), {"path": backup}) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_beside_a_service_that_takes_alerts_and_back_to_where_it_stood(
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: Server | None = None if kind == "sqlite" else request.getfixturevalue("mortal")
    url = server.fresh() if server else ""
    monkeypatch.setenv("COPILOT_DATABASE_URL", url)
    here, backup = Flags(None, tmp_path / "data", None), tmp_path / "backup.zip"
    elsewhere = Flags(None, tmp_path / "elsewhere", None)
    variables = {**environment(tmp_path, "kill in a step", 0), "COPILOT_DATABASE_URL": url}
    with closing(Nursery()) as nursery:
        service = Service(nursery, tmp_path, variables)
        service.start()
        at = Round(service, random.Random(0), server or Files())
        incident = planned(at)
        with at.posting():
            service.until(lambda: len(service.accepted) > 50, PATIENCE_S)
            before = set(service.accepted)
            assert call("db_backup", here, {"path": backup}) == 0
            for flags in (here, elsewhere) if server else (here,):
                assert call("db_restore", flags, {"path": backup, "yes": True}) == 2
                assert "stop" in capsys.readouterr().err
        assert service.end(signal.SIGTERM) == 0
        assert call("db_restore", here, {"path": backup, "yes": True}) == 0
        assert "is whole" in capsys.readouterr().out
        service.start()

        def lost() -> set[str]:
            return before - {one["labels"]["alertname"] for one in service.alerts()}

        assert not service.until_none(lost, MOVES_S)
        approve(at, incident)
        path = f"/incidents/{incident['id']}"
        assert service.until(lambda: service.ask("GET", path)["results"], PATIENCE_S)
        assert call("journal_verify", here, {"head": None}) == 0
        service.close()
