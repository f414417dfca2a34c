"""A store on each database we promise: SQLite always, PostgreSQL where a server is installed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from copilot.store import Store
from evals.torture.databases import Server
from evals.torture.service import TortureError

_NUMBERS = count(1)


@contextmanager
def throwaway() -> Iterator[Server]:
    """A PostgreSQL of one's own."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        try:
            server = Server(Path(folder), "fsync=off")
        except TortureError as missing:
            pytest.skip(str(missing))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A throw-away server for all; yields the folder of its socket."""
    with throwaway() as server:
        yield str(server.folder)


@pytest.fixture
def mortal() -> Iterator[Server]:
    """A throw-away server that may be killed."""
    with throwaway() as server:
        yield server


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
