"""Fleet: how many incidents one, two and more workers finish, on one PostgreSQL.

The server is our own, for the run. When all `copilot worker` processes are up, the alerts are
accepted, and the clock runs until the last run is done. Their only source answers after a delay, as
a monitoring system does, and knows nothing. What begins at once shares its answers, and is limited
by the processor; what began minutes apart asks for itself, and is limited by the source. Beside
it: alerts accepted per second on PostgreSQL against SQLite, in the same run.
"""

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.progress import Progress

import copilot
from copilot import wiring
from copilot.alerts.formats import parse
from copilot.case.loops import Role
from copilot.settings import load
from copilot.sources.deployment import SHARED_GRID_S
from copilot.types.time_format import iso
from evals.alerts.ingest import BenchmarkError, bodies_of, cpu_seconds, service
from evals.alerts.storm import Briefs, apart, scripted, told
from evals.report import Options, Result, Table, number
from evals.torture.databases import Server
from evals.torture.service import TortureError

WORKERS = (1, 2)
BEGUN = {"at_once": 0.0, "apart": 2 * SHARED_GRID_S}
"""Seconds between the beginnings of two incidents."""

INCIDENTS = 24
THREADS = 2
"""Threads of a worker: few, so that a source that is slow is what limits it."""

ANSWER_S = 2.0
"""Seconds the scripted source takes for each question: a busy Prometheus, asked for an hour."""

METRIC = "container_memory_working_set_bytes"
"""What it says it records: so it is asked for that, and not left alone."""

ALERTS = 10_000
PATIENCE_S = 240.0


def run(options: Options, progress: Progress) -> Result:
    """Measure both; `--limit` is the number of incidents."""
    started = time.perf_counter()
    size = options.limit or INCIDENTS
    task = progress.add_task("fleet", total=len(BEGUN) * len(WORKERS) + 2)
    rows: list[tuple[str, ...]] = []
    summary: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="fleet") as folder:
        try:
            server = Server(Path(folder))
        except TortureError as error:
            raise BenchmarkError(str(error)) from error
        try:
            for begun, apart_s in BEGUN.items():
                alerts = _begun(apart(size, options.seed), apart_s)
                for workers in WORKERS:
                    seconds, briefs, used = finished(server.fresh(), workers, alerts)
                    waits = briefs.waits()
                    summary[f"incidents_per_s.{begun}.workers{workers}"] = len(waits) / seconds
                    figures = number(seconds, 1), number(len(waits) / seconds), number(used / size)
                    named = begun.replace("_", " "), str(workers), str(size), str(len(waits))
                    rows.append((*named, *figures))
                    progress.advance(task)
                one, *_, most = (summary[f"incidents_per_s.{begun}.workers{n}"] for n in WORKERS)
                summary[f"ratio_of_workers.{begun}"] = most / one
            bodies = bodies_of(min(ALERTS, 400 * size), 64, options.seed)
            count = min(ALERTS, 400 * size)
            accepted = []
            for name, url in (("sqlite", ""), ("postgresql", server.fresh())):
                timing = service(bodies, count, url)
                summary[f"alerts_per_second.{name}"] = timing.rate
                cpu = (timing.cpu_seconds or 0.0) / count * 1000
                summary[f"cpu_seconds_per_1000.{name}"] = cpu
                accepted.append((name, f"{count:,}", f"{timing.rate:,.0f}", number(cpu, 3),
                                 f"{timing.kept or 0:,}"))  # fmt: skip
                progress.advance(task)
        finally:
            server.stop()
    rates = [summary[f"alerts_per_second.{name}"] for name in ("postgresql", "sqlite")]
    summary["ratio_postgresql_to_sqlite"] = rates[0] / rates[1]
    columns = ("begun", "workers", "incidents", "done", "s", "incidents/s", "CPU s/incident")
    takes = ("database", "alerts", "alerts/s at 64", "CPU s/1000", "kept")
    return Result(
        suite="fleet",
        version=copilot.__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(
            Table(title=f"Workers on one PostgreSQL, a source that takes {ANSWER_S:g} s",
                  columns=columns, rows=tuple(rows)),
            Table(title="Accepted and on disk", columns=takes, rows=tuple(accepted)),
        ),
        notes={"machine": platform.machine(), "load": os.getloadavg()[0], "threads": THREADS},
    )  # fmt: skip


def _begun(alerts: list[dict[str, Any]], apart_s: float) -> list[dict[str, Any]]:
    """The alerts, the last one new and each before it begun so much earlier."""
    now = time.time()
    return [
        {**one, "startsAt": iso(now - apart_s * back)}
        for back, one in zip(reversed(range(len(alerts))), alerts, strict=True)
    ]


def finished(url: str, workers: int, alerts: list[dict[str, Any]]) -> tuple[float, Briefs, float]:
    """Seconds that so many workers take for their incidents, the briefs, and processor time."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet")))
        source = stack.enter_context(scripted(ANSWER_S, [METRIC]))
        environment = {**os.environ, **told(source), "COPILOT_DATABASE_URL": url,
                       "COPILOT_SETTLE_S": "0", "COPILOT_WORKERS": str(THREADS)}  # fmt: skip
        settings = load(data_dir=home / "intake", database_url=url)
        intake: frozenset[Role] = frozenset(("intake",))
        engine = stack.enter_context(wiring.engine(settings, "bench", roles=intake))
        processes = [
            stack.enter_context(_worker(home / f"worker{number_}", environment))
            for number_ in range(workers)
        ]
        before = [cpu_seconds(one.pid) for one in processes]
        began, now = time.monotonic(), engine.now()
        engine.accept(parse(alerts, "alertmanager_v2", now=now), now)
        engine.group()
        briefs = Briefs(url)
        briefs.wait(PATIENCE_S, whole=True)
        seconds = time.monotonic() - began
        used = sum(cpu_seconds(one.pid) for one in processes) - sum(before)
    return seconds, briefs, used


@contextmanager
def _worker(home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A `copilot worker` that has begun; ended with the block."""
    command = [sys.executable, "-m", "copilot", "--data-dir", str(home), "worker"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr
        assert said is not None
        while "works on" not in (line := said.readline()):
            if not line:
                raise BenchmarkError("a worker ended before it began to work")
        threading.Thread(target=lambda: [None for _ in said], daemon=True).start()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
