"""`copilot db`: look at the database, bring it forward, prune it, copy it and put a copy back."""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError
from rich.console import Console
from sqlalchemy.engine import make_url

from copilot import __version__, wiring
from copilot.case import wiring as case_wiring
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import SCHEMA_VERSION, Store, StoreError
from copilot.store.migrations import copied
from copilot.store.retention import used_bytes
from copilot.surfaces.cli_options import print_json
from copilot.types.home import made, owned
from copilot.types.time_format import iso
from tools.types import FrozenModel


def db_check(settings: Settings, *, as_json: bool = False) -> int:
    """Say the schema version; 0 where it is this program's, 1 where it is not."""
    console, place = _console(), _place(settings)
    made(settings.home)
    with closing(Store(settings.store_url)) as store:
        written = store.schema_version()
    if as_json:
        print_json({"place": place, "schema": written, "needed": SCHEMA_VERSION})
    elif written is None:
        console.print(f"{place}: no store yet; the first start makes it")
    elif written < SCHEMA_VERSION:
        console.print(
            f"{place}: schema version {written}, this program needs {SCHEMA_VERSION}; "
            "run: copilot db upgrade"
        )
    elif written > SCHEMA_VERSION:
        console.print(
            f"{place}: schema version {written} of a newer copilot; this program knows "
            f"{SCHEMA_VERSION} and leaves it alone"
        )
    else:
        console.print(f"{place}: schema version {written}, up to date")
    return int(written is not None and written != SCHEMA_VERSION)


def db_upgrade(settings: Settings) -> int:
    """Bring the database forward; what was done is printed."""
    made(settings.home)
    with closing(Store(settings.store_url)) as store:
        before, now = store.upgrade()
    said = f"schema version {now}" + (", was up to date" if before == now else "")
    came = f", from {before}" if before not in (None, now) else ""
    _console().print(f"{_place(settings)}: {said}{came}")
    return 0


def db_prune(settings: Settings, *, dry_run: bool, vacuum: bool) -> int:
    """Take out what is too old; what went, or would go, is printed."""
    console, now = _console(), SystemClock().now()
    with wiring.store(settings) as store:
        retention, limits = case_wiring.retention(settings, store)
        report = retention.prune(limits, now, dry_run=dry_run)
        report["checkpoints"] = case_wiring.sweep_checkpoints(settings, store, dry_run=dry_run)
        if vacuum and not dry_run:
            store.database.outside("VACUUM")
            _vacuum(settings.home / "checkpoints.sqlite")
        size = used_bytes(store.database)
    for kind, rows in report.items():
        console.print(f"{kind:14} {rows:>8} {'would go' if dry_run else 'gone'}")
    console.print(f"the store has {size / 2**20:.1f} MB")
    return 0


PARTS = ("copilot.sqlite", "checkpoints.sqlite")
DUMP = "copilot.pgdump"
KEPT_FOLDERS = ("knowledge", "journal-archive")
KEPT_FILES = ("noise.json", "redaction.key")
"""The key of the heads is not among them: who holds a backup must not be able to sign one."""


class BackupManifest(FrozenModel):
    """What a backup is of; the first file in it."""

    schema_version: int
    program: str
    database: Literal["sqlite", "postgresql"]
    at: str


def db_backup(settings: Settings, *, path: Path) -> int:
    """Write everything that cannot be made again into one file."""
    if path.exists():
        raise SettingsError(f"{str(path)!r} exists; name another file")
    if not path.parent.is_dir():
        raise SettingsError(f"there is no folder {str(path.parent)!r}; make it first")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup") as folder:
        whole = Path(folder, "whole.zip")
        with wiring.store(settings) as store, zipfile.ZipFile(whole, "w", _ZIP) as archive:
            manifest = BackupManifest(
                schema_version=SCHEMA_VERSION,
                program=__version__,
                database="postgresql" if store.shared else "sqlite",
                at=iso(SystemClock().now()),
            )
            archive.writestr(_MANIFEST, manifest.model_dump_json())
            # Checkpoints first: a store that is newer repeats a node, one that is older a step.
            if store.shared:
                archive.write(_dumped(settings, store, Path(folder)), DUMP)
            else:
                for name, file in reversed([*zip(PARTS, _files(settings), strict=True)]):
                    if file.exists():
                        copied(file, Path(folder, name))
                        archive.write(Path(folder, name), name)
            for one in (p for name in KEPT_FOLDERS for p in (settings.home / name).rglob("*")):
                if one.is_file():
                    archive.write(one, one.relative_to(settings.home))
            for name in KEPT_FILES:
                if (settings.home / name).is_file():
                    archive.write(settings.home / name, name)
        whole.chmod(0o600)
        whole.replace(path)
    _console().print(
        f"wrote {path} ({path.stat().st_size / 2**20:.1f} MB); put back by: "
        f"copilot db restore {path} --yes"
    )
    return 0


def db_restore(settings: Settings, *, path: Path, yes: bool) -> int:
    """Put a backup in place of what is there, which is kept beside it; all of it, or nothing."""
    shared = make_url(settings.store_url).get_backend_name() != "sqlite"
    with (
        owned(settings.home, "restore"),
        tempfile.TemporaryDirectory(dir=settings.home, prefix=".restore") as held,
    ):
        folder = Path(held)
        _unpacked(path, folder, shared)
        if not yes:
            raise SettingsError("this replaces the database; say so with --yes")
        if shared:
            _load(settings, folder / DUMP)
        else:
            for name, file in zip(PARTS, _files(settings), strict=True):
                _put(folder / name, file)
        for name in KEPT_FOLDERS:
            if (folder / name).is_dir():
                shutil.copytree(folder / name, settings.home / name, dirs_exist_ok=True)
        for name in (*KEPT_FILES, "journal.heads"):
            # Heads of rows that came after the backup would say that its journal was cut.
            if (folder / name).is_file() or name == "journal.heads":
                _put(folder / name, settings.home / name)
        try:
            with wiring.store(settings) as store:
                told = _noted(store, path)
        except StoreError as older:  # PostgreSQL is brought forward by a person
            told = str(older)
    _console().print(
        f"{_place(settings)}: restored from {path}; {told}; vectors are made again by "
        "`copilot kb index`; start with: copilot serve"
    )
    return 0


_ZIP, _MANIFEST = zipfile.ZIP_DEFLATED, "backup.json"


def _noted(store: Store, path: Path) -> str:
    """Write into the journal that what followed is gone; what its check says, for a person."""
    check = store.journal.verify()
    detail: dict[str, JsonValue] = {"backup": path.name, "rows": check.rows, "head": check.head}
    store.journal.append("", "restored", "copilot", detail, SystemClock().now())
    if check.ok:
        return f"its journal of {check.rows} rows is whole"
    return f"its journal is BROKEN at row {check.first_bad_seq}: {check.problem}"


def _unpacked(path: Path, folder: Path, shared: bool) -> None:
    """Unpack a backup and look whether it can be put in place; raises `SettingsError`."""
    ours = f"{str(path)!r} is not a file that `copilot db backup` wrote"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if not names & {DUMP, PARTS[0]}:
                raise SettingsError(f"{ours}: it holds no database")
            archive.extractall(folder)  # zipfile keeps names inside the folder, and checks sums
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise SettingsError(f"{ours}, or it is broken: {error}") from error
    if (DUMP in names) != shared:
        raise SettingsError("the backup is of the other kind of database: SQLite or PostgreSQL")
    try:
        version = 0
        if _MANIFEST in names:
            text = (folder / _MANIFEST).read_text(encoding="utf-8")
            version = BackupManifest.model_validate_json(text).schema_version
        if not shared:
            with closing(Store(f"sqlite:///{folder / PARTS[0]}")) as copy:
                version = copy.schema_version() or 0
            with closing(sqlite3.connect(folder / PARTS[0])) as file:
                (found,) = file.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok" or not version:
                raise SettingsError(f"{ours}: its database is broken: {found}")
    except (ValidationError, StoreError, sqlite3.Error) as error:
        raise SettingsError(f"{ours}, or it is broken: {error}") from error
    if version > SCHEMA_VERSION:
        raise SettingsError(
            f"the backup has schema version {version}, this program knows {SCHEMA_VERSION}: "
            "a newer copilot wrote it; restore it with that one"
        )


def _load(settings: Settings, dump: Path) -> None:
    """Restore a dump into the schema of ours, in one transaction, where nobody else works."""
    with closing(Store(settings.store_url)) as store:
        sessions, schema = store.database.sessions()
        there = store.database.tables()
    if sessions:
        raise SettingsError(
            f"{sessions} connections of other copilot processes use this database; stop every "
            "serve, worker and watch first"
        )
    listed = _client("pg_restore", settings, "--list", str(dump))
    tables = set(re.findall(r"^\d+; \d+ \d+ TABLE \S+ (\S+) ", listed, re.MULTILINE))
    if more := sorted(there - tables):
        raise SettingsError(
            f"the database has tables that the backup has not ({', '.join(more[:5])}): restore "
            "into an empty database, or drop those first"
        )
    mode = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--schema", schema)
    _client("pg_restore", settings, *mode, "--dbname", _database(settings), str(dump))


def _files(settings: Settings) -> tuple[Path, Path]:
    store = make_url(settings.store_url).database or ""
    return Path(store), settings.home / "checkpoints.sqlite"


def _put(new: Path, at: Path) -> None:
    """Replace a database file; its log is of the old one and goes with it."""
    for suffix in ("", "-wal", "-shm"):
        old = at.with_name(at.name + suffix)
        if old.exists():
            old.replace(old.with_name(f"{at.name}.before-restore{suffix}"))
    if new.exists():
        new.chmod(0o600)
        new.replace(at)


def _vacuum(file: Path) -> None:
    if file.exists():
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            connection.execute("VACUUM")


def _dumped(settings: Settings, store: Store, folder: Path) -> Path:
    _, schema = store.database.sessions()
    options = ("--format=custom", f"--schema={schema}", f"--file={folder / DUMP}")
    _client("pg_dump", settings, *options)
    return folder / DUMP


def _database(settings: Settings) -> str:
    return make_url(settings.store_url).database or "postgres"


def _client(program: str, settings: Settings, *arguments: str) -> str:
    """Run a program of PostgreSQL's; the address, with its password, goes by the environment."""
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"{program} is not on the path; install PostgreSQL's client programs")
    url = make_url(settings.store_url)
    given = {
        "PGHOST": url.query.get("host") or url.host or "",
        "PGPORT": url.port or "",
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": _database(settings),
        "PGSSLMODE": url.query.get("sslmode") or "",
    }
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value}}
    done = subprocess.run(
        [found, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SettingsError(f"{program} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _console() -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True)


def _place(settings: Settings) -> str:
    """The database's URL, its password masked."""
    return make_url(settings.store_url).render_as_string()
