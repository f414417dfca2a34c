"""`copilot db`: look at the database, bring it forward, prune it, copy it and put a copy back."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from rich.console import Console
from sqlalchemy.engine import make_url

from copilot import wiring
from copilot.case import wiring as case_wiring
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import SCHEMA_VERSION, Store
from copilot.store.home import made, owned
from copilot.store.migrations import copied
from copilot.store.retention import used_bytes


def db_check(settings: Settings) -> int:
    """Say the schema version; 0 where it is this program's, 1 where it is not."""
    console, place = _console(), _place(settings)
    made(settings.home)
    with closing(Store(settings.store_url)) as store:
        written = store.schema_version()
    if written is None:
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
KEPT_FOLDERS = ("knowledge", "journal-archive")


def db_backup(settings: Settings, *, path: Path) -> int:
    """Write everything that cannot be made again into one file."""
    if path.exists():
        raise SettingsError(f"{str(path)!r} exists; name another file")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup") as folder:
        whole = Path(folder, "whole.zip")
        with wiring.store(settings) as store, zipfile.ZipFile(whole, "w", _ZIP) as archive:
            # Checkpoints first: a store that is newer repeats a node, one that is older a step.
            if store.shared:
                archive.write(_dumped(settings, Path(folder)), "copilot.pgdump")
            else:
                for name, file in reversed([*zip(PARTS, _files(settings), strict=True)]):
                    if file.exists():
                        copied(file, Path(folder, name))
                        archive.write(Path(folder, name), name)
            for one in (p for name in KEPT_FOLDERS for p in (settings.home / name).rglob("*")):
                if one.is_file():
                    archive.write(one, one.relative_to(settings.home))
        whole.replace(path)
    path.chmod(0o600)
    _console().print(
        f"wrote {path} ({path.stat().st_size / 2**20:.1f} MB); put back by: "
        f"copilot db restore {path}"
    )
    return 0


def db_restore(settings: Settings, *, path: Path, yes: bool) -> int:
    """Put a backup in place of what is there, which is kept beside it."""
    if not zipfile.is_zipfile(path):
        raise SettingsError(f"{str(path)!r} is not a file that `copilot db backup` wrote")
    if not yes:
        raise SettingsError("this replaces the database; say so with --yes")
    shared = make_url(settings.store_url).get_backend_name() != "sqlite"
    with owned(settings.home, "restore"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if ("copilot.pgdump" in names) != shared:
            raise SettingsError("the backup is of the other kind of database: SQLite or PostgreSQL")
        with tempfile.TemporaryDirectory(dir=settings.home, prefix=".restore") as folder:
            archive.extractall(folder)  # zipfile keeps names inside the folder
            if shared:
                _client(
                    "pg_restore",
                    settings,
                    "--clean",
                    "--if-exists",
                    "--no-owner",
                    str(Path(folder, "copilot.pgdump")),
                )
            else:
                for name, file in zip(PARTS, _files(settings), strict=True):
                    _put(Path(folder, name), file)
            for name in KEPT_FOLDERS:
                if (part := Path(folder, name)).is_dir():
                    shutil.copytree(part, settings.home / name, dirs_exist_ok=True)
    _console().print(f"{_place(settings)}: restored from {path}; start with: copilot serve")
    return 0


_ZIP = zipfile.ZIP_DEFLATED


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
        new.replace(at)


def _vacuum(file: Path) -> None:
    if file.exists():
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            connection.execute("VACUUM")


def _dumped(settings: Settings, folder: Path) -> Path:
    file = folder / "copilot.pgdump"
    _client("pg_dump", settings, "--format=custom", f"--file={file}")
    return file


def _client(program: str, settings: Settings, *arguments: str) -> None:
    """Run a program of PostgreSQL's; the address, with its password, goes by the environment."""
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"{program} is not on the path; install PostgreSQL's client programs")
    url = make_url(settings.store_url)
    options = str(url.query.get("options", ""))
    place = ["--schema", options.partition("search_path=")[2]] if "search_path=" in options else []
    host = url.query.get("host") or url.host or ""
    given = {
        "PGHOST": host,
        "PGPORT": url.port or "",
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
    }
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value}}
    target = ["--dbname", url.database or "postgres"] if program == "pg_restore" else []
    done = subprocess.run(
        [found, *place, *target, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SettingsError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _console() -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True)


def _place(settings: Settings) -> str:
    """The database's URL, its password masked."""
    return make_url(settings.store_url).render_as_string()
