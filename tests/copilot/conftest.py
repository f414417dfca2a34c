"""A store on each database we promise: SQLite always, PostgreSQL where a server is installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from copilot.store import Store

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A throw-away server; yields the folder of its socket."""
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the path")
    root = os.geteuid() == 0
    if root and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if root:
            shutil.chown(folder, "postgres")

        def run(program: str, *arguments: str) -> None:
            as_user = ["runuser", "-u", "postgres", "--"] if root else []
            full = [*as_user, str(Path(initdb).resolve().with_name(program)), "-D", f"{folder}/db"]
            subprocess.run([*full, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)

        run("initdb", "-U", "copilot", "-A", "trust", "-N")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-o", options, "-l", f"{folder}/log", "start")
        yield folder
        run("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    folder, name = request.getfixturevalue("postgresql"), f"t{next(_NUMBERS)}"
    with psycopg.connect(host=folder, user="copilot", dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE SCHEMA {name}".encode())
    return f"postgresql://copilot@/postgres?host={folder}&options=-csearch_path%3D{name}"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store(database_url)
    opened.create()
    yield opened
    opened.close()
