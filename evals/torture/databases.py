"""The databases that are tortured, and how each fails: SQLite's disk, PostgreSQL's server."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy.engine import make_url

from evals.torture.service import Service, TortureError


class Databases(Protocol):
    """Fresh databases of one kind, and an outage of them."""

    name: str

    def fresh(self) -> str:
        """The URL of an empty one; empty: SQLite in the data folder."""
        ...

    def outage(self, service: Service) -> AbstractContextManager[None]:
        """While inside, nothing can be written."""
        ...


class Files:
    """SQLite in the data folder."""

    name = "sqlite"

    def fresh(self) -> str:
        return ""

    @contextmanager
    def outage(self, service: Service) -> Iterator[None]:
        with service.full_disk():
            yield


class Server:
    """A PostgreSQL of our own, killed and started again as an outage."""

    name = "postgresql"

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self._options, self._numbers = folder, options, count(1)
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        found = shutil.which("initdb") or (programs[-1] if programs else None)
        if found is None:
            raise TortureError("PostgreSQL is not installed: no initdb on the path")
        self._bin = Path(found).resolve().parent
        self._root = os.geteuid() == 0
        if self._root:  # it refuses to run as root
            try:
                shutil.chown(folder, "postgres")
            except LookupError as error:
                raise TortureError("PostgreSQL needs a user postgres where we are root") from error
        self._run("initdb", "-U", "copilot", "-A", "trust", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        full = [str(self._bin / program), "-D", f"{self.folder}/db", *arguments]
        who = "postgres" if self._root else None
        others: list[str] | None = [] if self._root else None
        subprocess.run(full, check=True, cwd="/", stdout=subprocess.DEVNULL,
                       user=who, group=who, extra_groups=others)  # fmt: skip

    def start(self) -> None:
        """Let it serve on a socket in its folder."""
        settings = ("listen_addresses=''", f"unix_socket_directories={self.folder}", *self._options)
        options = " ".join(f"-c {one}" for one in settings)
        self._run("pg_ctl", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def stop(self) -> None:
        """As kill -9 would: it recovers from its log at the next start."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def fresh(self) -> str:
        """A schema of its own."""
        url = f"postgresql://copilot@/postgres?host={self.folder}"
        return _in_schema(url, f"t{next(self._numbers)}")

    @contextmanager
    def outage(self, service: Service) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()


class Foreign:
    """A PostgreSQL somebody named: each round has a schema of its own, which is taken away."""

    name = "named"

    def __init__(self, url: str) -> None:
        if not make_url(url).get_backend_name().startswith("postgresql"):
            raise TortureError("--database: sqlite, postgresql, or the URL of a PostgreSQL")
        self._url, self._made, self._run = url, 0, secrets.token_hex(4)

    def fresh(self) -> str:
        """A schema of a name that nobody else has."""
        self._made += 1
        return _in_schema(self._url, f"copilot_torture_{self._run}_{self._made}")

    @contextmanager
    def outage(self, service: Service) -> Iterator[None]:
        """None: the server is not ours to kill."""
        yield

    def close(self) -> None:
        """Take the schemas away."""
        for number in range(1, self._made + 1):
            schema = f"copilot_torture_{self._run}_{number}"
            _tell(self._url, f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _tell(url: str, statement: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as server:
            server.execute(statement.encode())
    except psycopg.Error as error:
        raise TortureError(f"the database does not answer: {error}") from error


def _in_schema(url: str, name: str) -> str:
    _tell(url, f"CREATE SCHEMA {name}")
    given = make_url(url)
    asked = f"{given.query.get('options', '')} -csearch_path={name}".strip()
    told = given.update_query_dict({"options": asked})
    return told.render_as_string(hide_password=False)


@contextmanager
def databases(wanted: str) -> Iterator[Sequence[Databases]]:
    """Those of a name or a URL; empty: SQLite, and PostgreSQL where it is installed."""
    with ExitStack() as stack:
        found: list[Databases] = []
        if wanted in ("", "sqlite"):
            found.append(Files())
        if wanted in ("", "postgresql"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg")))
            try:
                server = Server(folder)
            except TortureError:
                if wanted:
                    raise
            else:
                stack.callback(server.stop)
                found.append(server)
        if not found:
            foreign = Foreign(wanted)
            stack.callback(foreign.close)
            found.append(foreign)
        yield found
