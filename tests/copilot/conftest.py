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
    """A throw-away server on a socket of its own; yields the folder of the socket."""
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the path")
    root = os.geteuid() == 0
    if root and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    programs = Path(initdb).resolve().parent
    as_user = ["runuser", "-u", "postgres", "--"] if root else []
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if root:
            shutil.chown(folder, "postgres")
        cluster = str(Path(folder, "cluster"))
        quiet = {"check": True, "cwd": "/", "stdout": subprocess.DEVNULL}
        trust = ["-D", cluster, "-U", "copilot", "-A", "trust", "-N"]
        subprocess.run([*as_user, str(programs / "initdb"), *trust], **quiet)  # type: ignore[call-overload]
        control = [*as_user, str(programs / "pg_ctl"), "-D", cluster, "-w"]
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        log = str(Path(folder, "log"))
        subprocess.run([*control, "-o", options, "-l", log, "start"], **quiet)  # type: ignore[call-overload]
        yield folder
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; on PostgreSQL a schema of its own, which is made faster."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    folder, name = request.getfixturevalue("postgresql"), f"t{next(_NUMBERS)}"
    with psycopg.connect(host=folder, user="copilot", dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE SCHEMA {name}".encode())
    return f"postgresql://copilot@/postgres?host={folder}&options=-csearch_path%3D{name}"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store with its tables."""
    opened = Store(database_url)
    opened.create()
    yield opened
    opened.close()
