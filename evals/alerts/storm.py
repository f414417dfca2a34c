"""Storm: many alerts within a minute, and a thousand incidents at once; from opened to the brief.

A real `copilot serve` in a process of its own is posted what Prometheus posts, at an even pace.
Its only source is a scripted Prometheus that answers after a delay and knows nothing, so that the
figures are of the copilot and not of a detector. The journal says when each incident was opened and
when its first brief was out. Beside it, in the same run, the real Alertmanager where it is
installed: from the alert posted to its first notification.
"""

import json
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

import copilot
from copilot.store import Store
from copilot.testing import servers
from evals.alerts.ingest import BenchmarkError, cpu_seconds, post, serving
from evals.report import Options, Result, Table, number

SERVICES, SYSTEMS = 300, 12
"""Services of a storm, and the clusters they stand in."""

MINUTE_S = 60.0
SIZES = {"x1": 1_000, "x10": 10_000, "x100": 100_000}
OPEN = {"open x1": 10, "open x10": 100, "open x100": 1_000}
"""Incidents that are open at once: an alert each, of a system each."""

DEFAULT_LIMIT = 10_000
"""Alerts of the largest storm that is run unless `--limit` says otherwise: a run of 3 minutes."""

PER_REQUEST = 64
ANSWER_S = 0.1
"""Seconds the scripted Prometheus takes for an answer; a query of a real one takes that or more."""

LABELS = ("container", "namespace", "pod")
"""Of each metric it knows, as those of cAdvisor."""

QUIET_S = 120.0
"""For how long briefs are waited for after the last alert."""

GROUP_WAIT = "1s"
"""Alertmanager's wait before a first notification; its own default is 30 s."""


@dataclass(slots=True)
class StormTiming:
    """What one storm came to; times in seconds."""

    alerts: int
    seconds: float
    accept_s: Sequence[float]
    waits_s: Sequence[float]
    """From an incident opened (or, of Alertmanager, an alert posted) to what people are told."""
    grave_s: Sequence[float] = ()
    """The same of critical incidents."""
    opened: int = 0
    unbriefed: int = 0
    cpu_s: float = 0.0
    rss_mb: float = 0.0


def run(options: Options, progress: Progress) -> Result:
    """Measure storms of growing size, incidents open at once, and Alertmanager beside them."""
    started = time.perf_counter()
    most = options.limit or DEFAULT_LIMIT
    plans = [
        (name, storm(size, options.seed), MINUTE_S * min(size / SIZES["x10"], 1.0))
        for name, size in SIZES.items()
        if size <= most
    ]
    plans += [(name, apart(size, options.seed), 0.0) for name, size in OPEN.items() if size <= most]
    task = progress.add_task("storm", total=2 * len(plans))
    rows: list[tuple[str, ...]] = []
    summary: dict[str, float] = {}
    for name, alerts, within_s in plans:
        ours = measured(alerts, within_s)
        key = name.replace(" ", "_")
        rows.append(_row("copilot", name, ours))
        summary |= {f"{figure}.{key}": value for figure, value in _figures(ours).items()}
        progress.advance(task)
        if servers.ALERTMANAGER is not None and within_s < MINUTE_S:
            theirs = notified(alerts, within_s)
            rows.append(_row(f"Alertmanager, group_wait {GROUP_WAIT} (measured)", name, theirs))
            summary[f"alertmanager.notified_s.p95.{key}"] = _p(theirs.waits_s, 95)
            summary[f"alertmanager.cpu_seconds_per_1000.{key}"] = theirs.cpu_s / len(alerts) * 1000
        progress.advance(task)
    return Result(
        suite="storm",
        version=copilot.__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(rows),),
        notes={
            "machine": platform.machine(),
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        },
    )


# --- the load ----------------------------------------------------------------------------------


def storm(size: int, seed: int) -> list[dict[str, Any]]:
    """Alerts of 300 services in a dozen clusters, each with a few pods, in no order."""
    chance = random.Random(seed)
    kinds = ("HighLatency", "HighErrorRate", "HighCPU", "PodRestarts", "QueueGrows", "DiskFills")
    found = []
    for position in range(size):
        service = chance.randrange(SERVICES)
        labels = {
            "alertname": chance.choice(kinds),
            "service": f"service-{service:03d}",
            "namespace": f"team-{service % 40:02d}",
            "cluster": f"cluster-{service % SYSTEMS:02d}",
            "pod": f"service-{service:03d}-{position:06d}",
            "severity": chance.choice(("critical", *("warning",) * 5)),
        }
        found.append(_alert(labels))
    return found


def apart(size: int, seed: int) -> list[dict[str, Any]]:
    """One alert of each of so many systems, which nothing relates; one of ten is critical."""
    chance = random.Random(seed)
    return [
        _alert(
            {
                "alertname": "CheckoutFails",
                "service": f"checkout-{position}",
                "cluster": f"system-{position:05d}",
                "severity": "critical" if chance.random() < 0.1 else "warning",
            }
        )
        for position in range(size)
    ]


def _alert(labels: dict[str, str]) -> dict[str, Any]:
    summary = f"{labels['service']}: {labels['alertname']} for 5 minutes"
    return {"labels": labels, "annotations": {"summary": summary}}


def _paced(alerts: Sequence[dict[str, Any]], within_s: float) -> Iterator[bytes]:
    """Requests, each at its time; an alert starts when it is sent."""
    began, requests = time.monotonic(), range(0, len(alerts), PER_REQUEST)
    for number_, start in enumerate(requests):
        time.sleep(max(0.0, began + within_s * number_ / len(requests) - time.monotonic()))
        now = datetime.now(UTC).isoformat()
        batch = alerts[start : start + PER_REQUEST]
        yield json.dumps([{**one, "startsAt": now} for one in batch]).encode()


# --- who is measured ---------------------------------------------------------------------------


def measured(alerts: Sequence[dict[str, Any]], within_s: float) -> StormTiming:
    """Let a storm pass over a fresh service, and wait until every incident has its brief."""
    with tempfile.TemporaryDirectory(prefix="storm") as folder, scripted(ANSWER_S) as source:
        port, url = servers.free_port(), f"sqlite:///{folder}/store.sqlite"
        command = [sys.executable, "-m", "copilot", "--data-dir", folder, "serve"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        with serving(command, port, "/readyz", COPILOT_DATABASE_URL=url, **told(source)) as process:
            before = cpu_seconds(process.pid)
            seconds, accept = post(port, _paced(alerts, within_s))
            journal = Briefs(url)
            journal.wait(QUIET_S)
            used, rss = cpu_seconds(process.pid) - before, _rss_mb(process.pid)
    return StormTiming(
        alerts=len(alerts),
        seconds=seconds,
        accept_s=accept,
        waits_s=journal.waits(),
        grave_s=journal.waits("critical"),
        opened=len(journal.opened),
        unbriefed=len(journal.waiting()),
        cpu_s=used,
        rss_mb=rss,
    )


def told(source: str) -> dict[str, str]:
    """Settings of a service whose only source is this one, and which looks at it for incidents."""
    return {
        "COPILOT_PROMETHEUS_URL": source,
        "COPILOT_WATCH_EVERY_S": "0",
        "COPILOT_MODEL_USE": "off",
        "COPILOT_EMBEDDER": "none",
    }


class Briefs:
    """When incidents were opened and first told of, read from the journal while they are."""

    def __init__(self, url: str) -> None:
        self._store = Store(url)
        self._read = 0
        self.opened: dict[str, float] = {}
        self.briefed: dict[str, float] = {}
        self.over: set[str] = set()

    def look(self) -> None:
        """Read on."""
        while events := self._store.journal.events(after=self._read, limit=5000):
            self._read = events[-1].seq
            for event in events:
                if event.kind == "opened":
                    self.opened[event.incident_id] = event.at
                elif event.kind == "briefed":
                    self.briefed.setdefault(event.incident_id, event.at)
                elif event.kind in ("merged", "resolved"):
                    self.over.add(event.incident_id)

    def waiting(self) -> set[str]:
        """Incidents that nobody has been told of, nor will be of another."""
        return self.opened.keys() - self.briefed.keys() - self.over

    def wait(self, within_s: float, *, whole: bool = False) -> None:
        """Wait until all that was accepted is decided on and told; `whole`: and no run is left."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.look()
            left = self._store.alerts.unassigned(limit=1) or (
                whole and self._store.runs.unfinished()
            )
            self.look()
            if not left and not self.waiting():
                return
            time.sleep(0.5)

    def waits(self, severity: str = "") -> list[float]:
        """From opened to briefed, each incident once."""
        told = [one for one in self.opened if one in self.briefed]
        if severity:
            held = {one.id for one in self._store.incidents.list(limit=1_000_000)
                    if one.severity == severity}  # fmt: skip
            told = [one for one in told if one in held]
        return [max(0.0, self.briefed[one] - self.opened[one]) for one in told]


@contextmanager
def scripted(delay_s: float, names: Sequence[str] = ()) -> Iterator[str]:
    """A Prometheus that answers every question after a delay, and has recorded nothing.

    One that knows no metric at all is left alone after three looks; with `names` it is asked on.
    """

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            time.sleep(delay_s)
            lists = any(word in self.path for word in ("label", "series", "metadata"))
            labels = ["__name__", *LABELS] if "/labels" in self.path else []
            named = list(names) if "__name__" in self.path else labels
            data: object = named if lists else {"resultType": "matrix", "result": []}
            body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass(slots=True)
class _Hook:
    """Whoever Alertmanager notifies: when each alert was first heard of."""

    heard: dict[str, float] = field(default_factory=dict)

    def serve(self) -> ThreadingHTTPServer:
        heard = self.heard

        class Notified(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.end_headers()
                now = time.time()
                for one in json.loads(body)["alerts"]:
                    began = datetime.fromisoformat(one["startsAt"]).timestamp()
                    heard.setdefault(one["fingerprint"], now - began)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return ThreadingHTTPServer(("127.0.0.1", 0), Notified)


def notified(alerts: Sequence[dict[str, Any]], within_s: float) -> StormTiming:
    """The same storm over Alertmanager, grouped by cluster and service, to one webhook."""
    if servers.ALERTMANAGER is None:
        raise BenchmarkError("Alertmanager is not installed")
    hook = _Hook()
    with tempfile.TemporaryDirectory(prefix="storm") as folder, hook.serve() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        config = Path(folder, "alertmanager.yml")
        route = {"receiver": "r", "group_by": ["cluster", "service"], "group_wait": GROUP_WAIT,
                 "group_interval": GROUP_WAIT}  # fmt: skip
        hooks = [{"url": f"http://127.0.0.1:{receiver.server_port}/"}]
        declared = {"route": route, "receivers": [{"name": "r", "webhook_configs": hooks}]}
        config.write_text(json.dumps(declared), encoding="utf-8")
        port = servers.free_port()
        command = [servers.ALERTMANAGER, f"--config.file={config}", f"--storage.path={folder}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        with serving(command, port, "/-/ready") as process:
            before = cpu_seconds(process.pid)
            seconds, accept = post(port, _paced(alerts, within_s))
            deadline = time.monotonic() + QUIET_S / 4
            while len(hook.heard) < len(alerts) and time.monotonic() < deadline:
                time.sleep(0.2)
            used, rss = cpu_seconds(process.pid) - before, _rss_mb(process.pid)
        receiver.shutdown()
    waits = list(hook.heard.values())
    return StormTiming(len(alerts), seconds, accept, waits, cpu_s=used, rss_mb=rss)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- the table ---------------------------------------------------------------------------------


def _p(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _figures(one: StormTiming) -> dict[str, float]:
    return {
        "brief_s.p50": _p(one.waits_s, 50),
        "brief_s.p95": _p(one.waits_s, 95),
        "critical_brief_s.p95": _p(one.grave_s, 95),
        "accept_s.p95": _p(one.accept_s, 95),
        "cpu_seconds_per_1000": one.cpu_s / one.alerts * 1000,
        "incidents": float(one.opened),
        "unbriefed": float(one.unbriefed),
        "rss_mb": one.rss_mb,
    }


def _row(who: str, name: str, one: StormTiming) -> tuple[str, ...]:
    return (
        who,
        name,
        f"{one.alerts:,}",
        number(one.seconds, 1),
        number(_p(one.accept_s, 95) * 1000, 0),
        str(one.opened) if one.opened else "–",
        number(_p(one.waits_s, 50), 1),
        number(_p(one.waits_s, 95), 1),
        number(_p(one.grave_s, 95), 1),
        str(one.unbriefed),
        number(one.cpu_s / one.alerts * 1000, 2),
        number(one.rss_mb, 0),
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    columns = ("who", "storm", "alerts", "within s", "accept p95 ms", "incidents", "told p50 s",
               "told p95 s", "critical p95 s", "not told", "CPU s/1000", "RSS MB")  # fmt: skip
    return Table(
        title="Storm: from an incident opened to its brief; Alertmanager: alert to notification",
        columns=columns,
        rows=tuple(rows),
    )
