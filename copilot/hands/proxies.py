"""What traffic is moved by: HAProxy's runtime API, and the upstream files of nginx.

Source: HAProxy 2.6 management guide, sections 9.1 (columns of `show stat`) and 9.3 (commands);
nginx, Module ngx_http_upstream_module (`server`, `weight`, `down`; `$upstream_addr`,
`$upstream_status`) and Controlling nginx (a reload lets old workers end their requests).
"""

import csv
import io
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from pydantic import field_validator

from copilot.hands.command import CLEAN
from copilot.hands.report import StepFailedError
from tools.playbook_executor.vocabulary import name
from tools.types import FrozenModel

MOST_BYTES = 4 * 1024 * 1024
_WEIGHT = re.compile(r"(\d+) \(initial (\d+)\)")
_ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")


class PoolServer(NamedTuple):
    """One server of a pool as its proxy has it; answers and failures are counted since start."""

    name: str
    state: Literal["serves", "down", "drained", "in maintenance"]
    answers: int
    failures: int


class Proxy(Protocol):
    """What traffic is moved by."""

    def servers(self, pool: str) -> Sequence[PoolServer]:
        """The servers of a pool; `StepFailedError` where there is no such pool."""
        ...

    def weight(self, pool: str, server: str) -> tuple[int, int]:
        """The weight now, and the configured one."""
        ...

    def weigh(self, pool: str, server: str, share: int) -> None: ...

    def drain(self, pool: str, server: str) -> None: ...

    def ready(self, pool: str, server: str) -> None: ...

    def forbidden(self) -> str:
        """Why nothing may be changed here; empty where it may."""
        ...


class HaproxyRuntime:
    """HAProxy's stats socket; each command is a connection of its own, which HAProxy closes."""

    def __init__(self, path: Path | None, address: str, timeout_s: float = 5.0) -> None:
        self._path, self._address, self._timeout_s = path, address, timeout_s

    def servers(self, pool: str) -> Sequence[PoolServer]:
        """The rows of the pool's servers in `show stat`."""
        table = csv.DictReader(io.StringIO(self._ask(f"show stat {pool} 4 -1").lstrip("# ")))
        found = tuple(_server(row) for row in table if row.get("pxname") == pool)
        if not found:
            raise StepFailedError(f"{self._place} has no pool {pool!r} with servers")
        return found

    def weight(self, pool: str, server: str) -> tuple[int, int]:
        """Both numbers of `get weight`."""
        said = self._ask(f"get weight {pool}/{server}")
        match = _WEIGHT.search(said)
        if match is None:
            raise StepFailedError(f"{self._place}: {pool}/{server}: {said.strip()}")
        return int(match[1]), int(match[2])

    def weigh(self, pool: str, server: str, share: int) -> None:
        """`set server … weight`, in per cent of the configured weight, and its state is ready."""
        self._tell(f"set server {pool}/{server} weight {share}%")
        self._tell(f"set server {pool}/{server} state ready")

    def drain(self, pool: str, server: str) -> None:
        """`set server … state drain`: no new work but that of sessions bound to it."""
        self._tell(f"set server {pool}/{server} state drain")

    def ready(self, pool: str, server: str) -> None:
        """Its whole share again."""
        self.weigh(pool, server, 100)

    def forbidden(self) -> str:
        """Setting needs the socket's level `admin`."""
        level = self._ask("show cli level").strip()
        return "" if level == "admin" else f"{self._place} has level {level!r}; it needs admin"

    @property
    def _place(self) -> str:
        return f"HAProxy at {self._path or self._address}"

    def _tell(self, command: str) -> None:
        said = self._ask(command).strip()
        if said:  # a command that sets something answers nothing unless it is refused
            raise StepFailedError(f"{self._place} refused {command!r}: {said}")

    def _ask(self, command: str) -> str:
        kept, deadline = bytearray(), time.monotonic() + self._timeout_s
        try:
            with closing(self._connected()) as line:
                line.sendall(f"{command}\n".encode("ascii"))
                while chunk := line.recv(65_536):
                    kept += chunk
                    if len(kept) > MOST_BYTES or time.monotonic() > deadline:
                        raise StepFailedError(f"{self._place}: {command!r} is answered at length")
        except OSError as error:
            raise StepFailedError(f"{self._place} is not reached: {error}") from error
        return kept.decode("utf-8", errors="replace")

    def _connected(self) -> socket.socket:
        if self._path is not None:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.settimeout(self._timeout_s)
            try:
                line.connect(str(self._path))
            except OSError:
                line.close()
                raise
            return line
        host, _, port = self._address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), self._timeout_s)


def _server(row: Mapping[str, str | None]) -> PoolServer:
    failed = _number(row, "econ") + _number(row, "eresp")
    answers = sum(_number(row, column) for column in _ANSWERS)
    return PoolServer(
        name=row.get("svname") or "",
        state=_state(row.get("status") or "", _number(row, "weight")),
        answers=max(answers + failed, _number(row, "stot")),  # in TCP mode only sessions count
        failures=_number(row, "hrsp_5xx") + failed,
    )


def _state(status: str, weight: int) -> Literal["serves", "down", "drained", "in maintenance"]:
    if status.startswith("MAINT"):
        return "in maintenance"
    if not status.startswith(("UP", "no check", "DRAIN")):
        return "down"
    return "drained" if status.startswith("DRAIN") or weight == 0 else "serves"


def _number(row: Mapping[str, str | None], column: str) -> int:
    text = row.get(column) or ""
    return int(text) if text.isdecimal() else 0


# --- nginx --------------------------------------------------------------------------------------

_SERVER = re.compile(
    r"\s*server[ \t]+(?P<address>[^\s;#{}]+)(?P<rest>(?:[ \t]+[a-z_]+(?:=[^\s;#{}]+)?)*)[ \t]*;"
    r"[ \t]*#[ \t]*(?P<name>\S+)(?: of (?P<configured>\d{1,5}))?(?P<drained> drained)?\s*"
)
_MOST_FILE = 65_536
_PLAIN = re.compile(r"[0-9.]{7,15}:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}|unix:/\S+")
"""An address as the log has it: nginx writes there what a host name was resolved to."""


class NginxFiles(FrozenModel):
    """nginx by files: `folder` holds `<pool>.conf`, which the upstream block of the pool includes.

    A line of it is `server 10.0.0.1:80 weight=100; # a1`. `log` is an access log of the format
    `'$upstream_addr|$upstream_status'`: who answered, and how.
    """

    folder: Path
    log: Path
    binary: Path = Path("/usr/sbin/nginx")
    config: Path = Path("/etc/nginx/nginx.conf")

    @field_validator("folder", "log", "binary", "config")
    @classmethod
    def _absolute(cls, given: Path) -> Path:
        if not given.is_absolute():
            raise ValueError(f"{str(given)!r} is not an absolute path")
        return given


class _UpstreamLine(NamedTuple):
    """A `server` line of a pool, read: other parameters stay as they are."""

    name: str
    address: str
    weight: int
    configured: int
    down: bool
    drained: bool
    rest: str

    def text(self) -> str:
        """The line; that we drained it is in its comment, for a person and for us."""
        down = " down" if self.down else ""
        mark = " drained" if self.drained else ""
        said = f"# {self.name} of {self.configured}{mark}"
        return f"server {self.address} weight={self.weight}{self.rest}{down}; {said}"


def _upstream(line: str) -> _UpstreamLine | None:
    """A line of a named server; None for what is another line."""
    match = _SERVER.fullmatch(line)
    if match is None:
        return None
    if not _PLAIN.fullmatch(match["address"]):
        problem = "write its address and port, as the log has them"
        raise StepFailedError(f"{match['name']} is at {match['address']!r}: {problem}")
    try:
        named = name(match["name"])
    except ValueError as error:
        raise StepFailedError(f"{match['address']}: {error}") from error
    words = match["rest"].split()
    weights = [word for word in words if re.fullmatch(r"weight=[0-9]{1,5}", word)]
    rest = "".join(f" {word}" for word in words if word != "down" and word not in weights)
    weight = int(weights[-1].partition("=")[2]) if weights else 1
    return _UpstreamLine(
        name=named,
        address=match["address"],
        weight=weight,
        configured=int(match["configured"] or weight),
        down="down" in words,
        drained=match["drained"] is not None,
        rest=rest,
    )


class NginxUpstreams:
    """nginx's upstream files: a line is changed, nginx checks all of its files, and reloads.

    What nginx does not take is put back. One object is for one step: answers are counted in the log
    from when it first looks.
    """

    def __init__(self, files: NginxFiles, timeout_s: float = 10.0) -> None:
        self._files, self._timeout_s = files, timeout_s
        self._read_from: int | None = None
        self._counted: dict[str, tuple[int, int]] = {}

    def servers(self, pool: str) -> Sequence[PoolServer]:
        """The named lines of the pool's file, with what they answered since the first look."""
        self._count()
        found = []
        for line in self._lines(pool):
            one = _upstream(line)
            if one is None:
                continue
            answers, failures = self._counted.get(one.address, (0, 0))
            state: Literal["serves", "drained", "in maintenance"] = "serves"
            if one.down:
                state = "drained" if one.drained else "in maintenance"
            found.append(PoolServer(one.name, state, answers, failures))
        if not found:
            raise StepFailedError(f"{self._path(pool)} names no server: server ADDRESS; # NAME")
        return found

    def weight(self, pool: str, server: str) -> tuple[int, int]:
        """The weight of the line, and the one it had before we changed it."""
        one = self._one(pool, server)
        return one.weight, one.configured

    def weigh(self, pool: str, server: str, share: int) -> None:
        """So many per cent of the configured weight, and `down` is taken away."""
        one = self._one(pool, server)
        weight = one.configured * share // 100
        self._change(pool, one._replace(weight=weight, down=False, drained=False))

    def drain(self, pool: str, server: str) -> None:
        """`down`: no new requests; old workers end those they have."""
        self._change(pool, self._one(pool, server)._replace(down=True, drained=True))

    def ready(self, pool: str, server: str) -> None:
        """Its whole share again."""
        self.weigh(pool, server, 100)

    def forbidden(self) -> str:
        """The folder has to be ours to write, and nginx has to take its files as they are."""
        if not os.access(self._files.folder, os.W_OK):
            return f"{self._files.folder} cannot be written"
        try:
            self._nginx("-t", "-q")
        except StepFailedError as error:
            return str(error)
        return ""

    def _path(self, pool: str) -> Path:
        return self._files.folder / f"{name(pool)}.conf"

    def _lines(self, pool: str) -> Sequence[str]:
        path = self._path(pool)
        if path.is_symlink() or not path.is_file():
            raise StepFailedError(f"nginx has no pool {pool!r}: there is no file {path}")
        text = path.read_bytes()
        if len(text) > _MOST_FILE:
            raise StepFailedError(f"{path} is longer than {_MOST_FILE} bytes")
        # Only this ends a line for nginx: at another one the rest of a comment would come alive.
        return text.decode("utf-8", errors="surrogateescape").split("\n")

    def _one(self, pool: str, server: str) -> _UpstreamLine:
        named = [one for line in self._lines(pool) if (one := _upstream(line)) is not None]
        found = [one for one in named if one.name == server]
        if len(found) != 1:
            raise StepFailedError(f"{self._path(pool)} names {server!r} {len(found)} times")
        return found[0]

    def _change(self, pool: str, wanted: _UpstreamLine) -> None:
        before, changed = self._lines(pool), []
        for line in before:
            one = _upstream(line)
            mine = one is not None and one.name == wanted.name
            indent = line[: len(line) - len(line.lstrip())]
            changed.append(f"{indent}{wanted.text()}" if mine else line)
        if changed != before:
            self._write(pool, changed)
        try:  # even then: the step may be one that was cut off between its file and its reload
            self._nginx("-t", "-q")
            self._nginx("-s", "reload")
        except StepFailedError as error:
            self._write(pool, before)
            raise StepFailedError(f"{self._path(pool)} is as it was: {error}") from error

    def _write(self, pool: str, lines: Sequence[str]) -> None:
        path = self._path(pool)
        text = "\n".join(lines).encode("utf-8", errors="surrogateescape")
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
                temporary.write(text)
                temporary.flush()
                os.fsync(temporary.fileno())
            Path(temporary.name).chmod(path.stat().st_mode & 0o777)
            Path(temporary.name).replace(path)
        except OSError as error:
            raise StepFailedError(f"{path} cannot be written: {error.strerror}") from error

    def _nginx(self, *options: str) -> None:
        argv = [str(self._files.binary), *options, "-c", str(self._files.config)]
        try:
            ended = subprocess.run(
                argv, capture_output=True, timeout=self._timeout_s, env=CLEAN, cwd="/", check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StepFailedError(f"{' '.join(argv)}: {error}") from error
        if ended.returncode != 0:
            said = ended.stderr.decode("utf-8", errors="replace").strip().splitlines()[-3:]
            raise StepFailedError(f"{' '.join(argv)}: {' '.join(said) or ended.returncode}")

    def _count(self) -> None:
        """Add what the log has since the last look; a log that got shorter was rotated."""
        try:
            with self._files.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                start = end if self._read_from is None else self._read_from
                if end < start:
                    raise StepFailedError(f"{self._files.log} was rotated; look again")
                log.seek(start)
                text = log.read(min(end - start, MOST_BYTES))
        except OSError as error:
            raise StepFailedError(f"{self._files.log} is not read: {error.strerror}") from error
        whole = text[: text.rfind(b"\n") + 1]
        self._read_from = start + len(whole)
        for address, status in _answered(whole.decode("ascii", errors="replace")):
            if not status.isdecimal():  # `-`: it said nothing before the client left
                continue
            answers, failures = self._counted.get(address, (0, 0))
            self._counted[address] = answers + 1, failures + status.startswith("5")


def _answered(text: str) -> Iterator[tuple[str, str]]:
    """Each server that was tried for a request, and its status: a request may have had several."""
    for line in text.splitlines():
        addresses, bar, statuses = line.strip().partition("|")
        if bar:
            split = re.compile(r"\s*[,:]\s+")  # a comma between tries, a colon after a redirect
            yield from zip(split.split(addresses), split.split(statuses), strict=False)
