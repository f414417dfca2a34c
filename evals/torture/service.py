"""A running service as its users meet it: over HTTP; and what may be done to its process."""

import contextlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from copilot.types import home
from evals.alerts.ingest import _free_port as free_port

START_S = 180.0
"""For how long a service may start on a machine that is busy; one that cannot ends."""


class TortureError(Exception):
    """The torture could not be run; the message says what is missing."""


class Nursery:
    """The process that services are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evals.torture.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: Mapping[str, object]) -> int | None:
        """Give an order and return its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{json.dumps(order)}\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise TortureError("the process that forks services ended; its reason is on stderr")
        found: int | None = json.loads(answer)
        return found

    def close(self) -> None:
        """End it, and every service that still runs."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass
class Service:
    """One service over one folder, which may die and be started again any number of times.

    `fivexx` counts answers that no client can make anything of: a 503 that says when to come back
    is none of them. `accepted` are the identities of alerts that were answered for.
    """

    nursery: Nursery
    folder: Path
    environment: Mapping[str, str]
    fivexx: int = 0
    refused: int = 0
    first_fault: str = ""
    accepted: set[str] = field(default_factory=set)
    pid: int = 0

    def __post_init__(self) -> None:
        self.port = free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10.0)
        self._clock = self.folder / "clock"
        self._clock.write_bytes(struct.pack("d", 0.0))

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        variables = {
            **self.environment,
            "COPILOT_DATA_DIR": str(self.folder / "data"),
            "COPILOT_PORT": str(self.port),
        }
        log = str(self.folder / "log")
        self.pid = (
            self.nursery.ask({"serve": variables, "log": log, "clock": str(self._clock)}) or 0
        )
        ended = self.until(lambda: self.ready() or self._ended() is not None, START_S)
        if not ended or self.pid == 0:
            tail = Path(log).read_text("utf-8", "replace")[-600:]
            raise TortureError(f"a service did not come up within {START_S:.0f} s: {tail}")

    def _ended(self) -> int | None:
        """The exit code of a process that is over; it is asked for no more."""
        code = self.nursery.ask({"ended": self.pid})
        if code is not None:
            self.pid = 0
        return code

    def end(self, how: signal.Signals, within_s: float = 120.0) -> int | None:
        """Send a signal and wait for the end; its exit code, None where it did not end."""
        os.kill(self.pid, how)
        deadline = time.monotonic() + within_s
        while (code := self._ended()) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return code

    def close(self) -> None:
        """Kill it where it runs."""
        if self.pid:
            self.end(signal.SIGKILL)
        self._client.close()

    # what users ask

    def ask(self, method: str, path: str, content: object = None, raw: bytes = b"") -> Any:
        """The decoded answer; None where there was none, or a no. `raw` is sent as it is."""
        body = raw or (b"" if content is None else json.dumps(content).encode())
        headers = {"content-type": "application/json"}
        if method != "GET":
            token = home.admin_token(self.folder / "data")
            headers["authorization"] = f"Bearer {token}"
        try:
            answer = self._client.request(method, path, content=body, headers=headers)
        except httpx.HTTPError:
            return None
        if answer.status_code >= 500:
            patient = answer.status_code == 503 and "retry-after" in answer.headers
            self.refused += patient
            if not patient and path != "/readyz":
                self.fivexx += 1
                self.first_fault = self.first_fault or f"{method} {path}: {answer.text[:200]}"
        if not answer.is_success:
            return None
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    def ready(self) -> bool:
        """Whether it says that it can work."""
        return self.ask("GET", "/readyz") is not None

    def post(self, alerts: list[dict[str, Any]]) -> bool:
        """Post alerts as Prometheus does; those that were taken are remembered by their name."""
        taken = self.ask("POST", "/api/v2/alerts", alerts) is not None
        if taken:
            self.accepted |= {one["labels"]["alertname"] for one in alerts}
        return taken

    def incidents(self) -> list[dict[str, Any]]:
        """Every incident as its page shows it."""
        listed = self.ask("GET", "/incidents?limit=500") or []
        found = [self.ask("GET", f"/incidents/{one['id']}") for one in listed]
        return [one for one in found if one is not None]

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that was decided on, with the incident it belongs to."""
        listed = self.ask("GET", "/incidents?limit=500") or []
        paths = [*(f"/incidents/{one['id']}/alerts" for one in listed), "/alerts"]
        return [one for path in paths for one in self.ask("GET", f"{path}?limit=100000") or []]

    @staticmethod
    def until(what: Any, within_s: float) -> bool:
        """Look again and again until it is so; False where time ran out."""
        deadline = time.monotonic() + within_s
        while not (so := bool(what())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return so

    @staticmethod
    def until_none(left: Callable[[], set[Any]], still_s: float) -> set[Any]:
        """What is left: nothing, or what has not changed for so long."""
        seen, since = left(), time.monotonic()
        while seen and time.monotonic() < since + still_s:
            time.sleep(0.1)
            now = left()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    # what is done to it

    def set_clock(self, ahead_s: float) -> None:
        """Set the host's clock, as the service sees it."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", ahead_s))

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """While inside, no file of the service grows: what a full disk does to a database."""
        before = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, before)

    @property
    def rss(self) -> float:
        """Resident memory in bytes; 0 where the kernel does not say."""
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
            return 1024.0 * int(next(x for x in lines if x.startswith("VmRSS:")).split()[1])
        return 0.0
