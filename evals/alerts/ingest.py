"""Ingest: alerts accepted per second by the running service, written to disk, on the loopback.

Each size gets a fresh `copilot serve` in a process of its own, which works on what it accepts as
always. Clients post what Prometheus posts, in batches as large as its own; the clock runs from the
first byte to the last 200. Then the service is killed with SIGKILL, and what was answered for is
counted on disk. Beside it, in the same run: Alertmanager, where it is installed, which keeps alerts
in memory; and bare SQLite, one transaction per batch, which is as fast as the disk allows.
"""

import json
import os
import platform
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
from rich.progress import Progress

from copilot import __version__
from copilot.store import Store
from evals.report import Options, Result, Table, number

SIZES = {"x1": 1_000, "x10": 10_000, "x100": 100_000}
BATCH = 64
"""Alerts in one request: what one Prometheus sends at once."""

BATCHES = {1: 1_000, 16: 10_000, 1000: 10_000}
"""Other sizes of a request, and how many alerts are sent in them."""

SERIES = 1_000
"""Series of the row `repeated`, which alert again and again; all others are distinct."""

CLIENTS = 4
START_SECONDS = 60.0


class BenchmarkError(Exception):
    """The benchmark could not be run; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class IngestTiming:
    """One flood: how many alerts in how long, how long one request took, how many were kept."""

    alerts: int
    seconds: float
    latencies_ms: Sequence[float]
    kept: int | None = None
    cpu_seconds: float | None = None
    """Processor time of the service between the first byte and the last answer."""

    @property
    def rate(self) -> float:
        """Alerts per second."""
        return self.alerts / self.seconds


def run(options: Options, progress: Progress) -> Result:
    """Measure the service at three sizes and several batch sizes, and its peers beside it."""
    started = time.perf_counter()
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    peers = {"bare SQLite": _bare} | ({"Alertmanager": _peer} if alertmanager else {})
    plans = [(name, size, BATCH, size) for name, size in SIZES.items()]
    plans += [(f"batch{batch}", size, batch, size) for batch, size in BATCHES.items()]
    plans += [("repeated", SIZES["x10"], BATCH, SERIES)]
    task = progress.add_task("ingest", total=len(plans) * (1 + len(peers)))
    rows, summary = [], dict[str, float]()
    for name, size, batch, series in plans:
        bodies = bodies_of(size, batch, options.seed, series)
        for who, measure in {"copilot": service, **peers}.items():
            measured = measure(bodies, size)
            rows.append(_row(who, batch, series, measured))
            key = "" if who == "copilot" else f"{who.lower().replace(' ', '_')}."
            summary[f"{key}alerts_per_second.{name}"] = measured.rate
            if measured.kept is not None:
                summary[f"{key}lost.{name}"] = measured.alerts - measured.kept
            if measured.cpu_seconds is not None:
                per_thousand = measured.cpu_seconds / measured.alerts * 1000
                summary[f"{key}cpu_seconds_per_1000.{name}"] = per_thousand
            progress.advance(task)
    for name in SIZES:
        bare = summary[f"bare_sqlite.alerts_per_second.{name}"]
        summary[f"ratio_to_bare_sqlite.{name}"] = summary[f"alerts_per_second.{name}"] / bare
    return Result(
        suite="ingest",
        version=__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(rows),),
        notes={"machine": platform.machine(), "python": platform.python_version()},
    )


# --- the load ----------------------------------------------------------------------------------


def bodies_of(size: int, batch: int, seed: int, series: int | None = None) -> list[bytes]:
    """Requests of alerts of 40 services, as Prometheus posts them; no two start at one time.

    `series` label sets take turns; without it, each alert has its own.
    """
    chance = random.Random(seed)
    labelled = [_posted(position, chance) for position in range(min(series or size, size))]
    alerts = [{**labelled[i % len(labelled)], "startsAt": _started(chance)} for i in range(size)]
    return [json.dumps(alerts[i : i + batch]).encode() for i in range(0, size, batch)]


def _posted(position: int, chance: random.Random) -> dict[str, object]:
    service = f"service-{chance.randrange(40):02d}"
    return {
        "labels": {
            "alertname": chance.choice(("HighLatency", "HighErrorRate", "HighCPU", "PodRestarts")),
            "service": service,
            "namespace": "shop",
            "cluster": "eu-1",
            "severity": chance.choice(("critical", "warning")),
            "pod": f"{service}-{position:07d}",
            "instance": f"10.0.{chance.randrange(256)}.{chance.randrange(256)}:9100",
        },
        "annotations": {
            "summary": f"{service} has been out of its bounds for 5 minutes",
            "runbook_url": "https://runbooks.example/latency",
        },
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
    }


def _started(chance: random.Random) -> str:
    return datetime.fromtimestamp(time.time() - chance.uniform(0, 300), UTC).isoformat()


def post(port: int, bodies: Iterable[bytes]) -> tuple[float, list[float]]:
    """Post bodies over one kept-alive connection, as they come; seconds in all, and of each."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    took = []
    first = time.perf_counter()
    for body in bodies:
        began = time.perf_counter()
        connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchmarkError(f"the service answered {answer.status}")
        took.append(time.perf_counter() - began)
    connection.close()
    return time.perf_counter() - first, took


def _flood(port: int, bodies: Sequence[bytes]) -> tuple[float, list[float]]:
    """Post all bodies from a few clients at once; latencies in milliseconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [pool.submit(post, port, bodies[start::CLIENTS]) for start in range(CLIENTS)]
        latencies = [one * 1000 for share in shares for one in share.result()[1]]
    return time.perf_counter() - began, latencies


# --- who is measured ---------------------------------------------------------------------------


def service(bodies: Sequence[bytes], size: int) -> IngestTiming:
    """Flood a fresh `copilot serve`, kill it, and count what it kept."""
    with tempfile.TemporaryDirectory(prefix="ingest") as folder:
        port, url = _free_port(), f"sqlite:///{folder}/store.sqlite"
        command = [sys.executable, "-m", "copilot", "--data-dir", folder, "serve"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with serving(command, port, "/readyz", COPILOT_DATABASE_URL=url) as process:
            before = cpu_seconds(process.pid)
            seconds, latencies = _flood(port, bodies)
            used = cpu_seconds(process.pid) - before
            process.send_signal(signal.SIGKILL)
            process.wait()
        return IngestTiming(size, seconds, latencies, _kept(url), used)


def _kept(url: str) -> int:
    store = Store(url)
    store.create()
    undecided = len(store.alerts.unassigned(limit=10_000_000))
    incidents = [incident.id for incident in store.incidents.list(limit=1_000_000)]
    decided = sum(len(store.alerts.decisions(i, limit=10_000_000)) for i in [None, *incidents])
    store.close()
    return undecided + decided


def _peer(bodies: Sequence[bytes], size: int) -> IngestTiming:
    program = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    if program is None:
        raise BenchmarkError("Alertmanager is not installed")
    with tempfile.TemporaryDirectory(prefix="ingest") as folder:
        config = Path(folder, "alertmanager.yml")
        config.write_text("route:\n  receiver: none\nreceivers:\n- name: none\n", encoding="utf-8")
        port = _free_port()
        command = [program, f"--config.file={config}", f"--storage.path={folder}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        with serving(command, port, "/-/ready") as process:
            before = cpu_seconds(process.pid)
            seconds, latencies = _flood(port, bodies)
            used = cpu_seconds(process.pid) - before
    return IngestTiming(size, seconds, latencies, cpu_seconds=used)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process: fields 14 and 15 of proc_pid_stat(5)."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _bare(bodies: Sequence[bytes], size: int) -> IngestTiming:
    """No service, no parsing: the documents into one table, on disk at each commit as ours are."""
    latencies = []
    with tempfile.TemporaryDirectory(prefix="ingest") as folder:
        database = sqlite3.connect(Path(folder, "bare.sqlite"), isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE alerts (document TEXT)")
        batches = [[(json.dumps(alert),) for alert in json.loads(body)] for body in bodies]
        began = time.perf_counter()
        for batch in batches:
            at = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO alerts VALUES (?)", batch)
            database.execute("COMMIT")
            latencies.append((time.perf_counter() - at) * 1000)
        seconds = time.perf_counter() - began
        (kept,) = database.execute("SELECT count(*) FROM alerts").fetchone()
        database.close()
    return IngestTiming(size, seconds, latencies, kept)


@contextmanager
def serving(
    command: Sequence[str], port: int, ready: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, which begins when the path `ready` answers."""
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    ) as service:
        try:
            _wait(lambda: _answers(port, ready), service)
            yield service
        finally:
            service.kill()


def _wait(ready: Callable[[], bool], service: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if service.poll() is not None or time.monotonic() > until:
            raise BenchmarkError(f"{service.args!r} did not come up within {START_SECONDS:.0f} s")
        time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


# --- the table ---------------------------------------------------------------------------------


def _row(who: str, batch: int, series: int, measured: IngestTiming) -> tuple[str, ...]:
    p50, p95, p99 = np.percentile(measured.latencies_ms, (50, 95, 99))
    names = {
        "copilot": "copilot",
        "Alertmanager": "Alertmanager (measured)",
        "bare SQLite": "SQLite alone (measured)",
    }
    return (
        names[who],
        f"{measured.alerts:,}",
        f"{series:,}",
        str(batch),
        f"{measured.rate:,.0f}",
        number(p50, 1),
        number(p95, 1),
        number(p99, 1),
        "–"
        if measured.cpu_seconds is None
        else number(measured.cpu_seconds / measured.alerts * 1000, 3),
        "–" if measured.kept is None else f"{measured.kept:,}",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    columns = (
        "who",
        "alerts",
        "series",
        "at once",
        "alerts/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU s/1000",
        "kept",
    )
    return Table(
        title="Ingest: copilot and SQLite write to disk, Alertmanager to memory",
        columns=columns,
        rows=tuple(rows),
    )
