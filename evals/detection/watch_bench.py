"""What the watch costs on a real Prometheus as its series grow, beside rules on the server.

Synthetic services are scraped every interval; the watch learns what little past there is, and then
scans it. The peer is what a team writes without us: each query of ours as a recording rule, and an
alert where it is three standard deviations off its mean of an hour, evaluated by the same server.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.progress import Progress

import copilot
from copilot.sources.clock import SystemClock
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus.client import PrometheusClient
from copilot.sources.prometheus.queries import queries
from copilot.sources.prometheus.source import PrometheusSource
from copilot.sources.watch import Watch
from copilot.testing.servers import free_port
from evals.lab.monitoring import binary
from evals.lab.processes import end, spawn
from evals.report import Options, Result, Table, number

SERIES, GROWTH = 4_400, (1, 5, 20)
SERIES_EACH = 11
"""Series that the watch hears of each service; more traffic is not watched."""

INTERVAL_S, SCRAPES, SCANS = 15.0, 6, 3
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class WatchCost:
    """One size: seconds of a scan and of the learning, in all and of our processor."""

    series: int
    learn_s: float
    scan_s: float
    scan_cpu_s: float
    scan_bytes: int
    server_cpu_s: float
    rules_s: float
    state_bytes: int


class CountingApi(JsonApi):
    """Counts the bytes of the answers to ranges."""

    received = 0

    def post_unread(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The answer, counted."""
        answer = super().post_unread(path, body)
        self.received += len(answer)
        return answer


def run(options: Options, progress: Progress) -> Result:
    """Measure each size; `--limit` leaves out those beyond the first so many."""
    started = time.perf_counter()
    sizes = GROWTH[: options.limit]
    task = progress.add_task("watch", total=len(sizes))
    costs = []
    for factor in sizes:
        costs.append(cost(SERIES * factor // SERIES_EACH))
        progress.advance(task)
    summary: dict[str, float] = {}
    for factor, one in zip(sizes, costs, strict=True):
        summary |= {f"scan_s.{factor}x": one.scan_s, f"scan_cpu_s.{factor}x": one.scan_cpu_s}
        summary |= {f"learn_s.{factor}x": one.learn_s, f"rules_s.{factor}x": one.rules_s}
        summary[f"bytes_per_series.{factor}x"] = one.scan_bytes / max(one.series, 1)
    last = costs[-1]
    summary["series_per_core_and_interval"] = INTERVAL_S * last.series / last.scan_cpu_s
    summary["state_bytes_per_series"] = last.state_bytes / max(last.series, 1)
    return Result(
        suite="watch",
        version=copilot.__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(costs),),
    )


def _table(costs: list[WatchCost]) -> Table:
    rows = tuple(
        (
            f"{one.series:,}",
            number(one.scan_s),
            number(one.scan_cpu_s),
            number(one.server_cpu_s),
            f"{one.scan_bytes / max(one.series, 1):.0f}",
            number(one.learn_s),
            f"{one.state_bytes / max(one.series, 1):.0f}",
            number(one.rules_s),
        )
        for one in costs
    )
    columns = (
        *("series", "scan s", "our CPU s", "Prometheus CPU s", "bytes a series"),
        *("learn s", "state bytes a series", "three sigma as rules s"),
    )
    title = f"One scan every {INTERVAL_S:g} s of a real Prometheus"
    return Table(title=title, columns=columns, rows=rows)


def cost(
    services: int, interval_s: float = INTERVAL_S, scrapes: int = SCRAPES, scans: int = SCANS
) -> WatchCost:
    """Measure one size after so many scrapes; the figures of scans are their means."""
    with _scraped(services, interval_s) as server:
        time.sleep(scrapes * interval_s)
        api = CountingApi("prometheus", ApiEndpoint(server.url))
        source = PrometheusSource(PrometheusClient(api), queries(), SystemClock())
        watch = Watch(source, interval_s)
        began = time.perf_counter()
        watch.learn(time.time())
        learn_s = time.perf_counter() - began
        api.received = 0
        walls, cpus, served = 0.0, 0.0, 0.0
        for _ in range(scans):
            time.sleep(interval_s)
            at, own, theirs = time.perf_counter(), time.process_time(), server.cpu_s()
            watch.look(time.time())
            walls += time.perf_counter() - at
            cpus += time.process_time() - own
            served += server.cpu_s() - theirs
        rules_s = server.rules_s([asked.expression for asked in source.plan().asked], interval_s)
        api.close()
        return WatchCost(
            series=watch.series,
            learn_s=learn_s,
            scan_s=walls / scans,
            scan_cpu_s=cpus / scans,
            scan_bytes=api.received // scans,
            server_cpu_s=served / scans,
            rules_s=rules_s,
            state_bytes=watch.state_bytes,
        )


@dataclass(frozen=True, slots=True)
class ScrapedServer:
    """A Prometheus of its own in one folder."""

    url: str
    folder: Path

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30.0, trust_env=False).text.splitlines()
        told = (line for line in lines if line.startswith("process_cpu_seconds_total "))
        return float(next(told).split()[1])

    def rules_s(self, expressions: list[str], interval_s: float) -> float:
        """Seconds that one evaluation of three sigma takes there, as it says itself."""
        rules: list[dict[str, str]] = []
        for number_, expression in enumerate(expressions):
            name = f"bench:query{number_}"
            rules.append({"record": name, "expr": expression})
            band = f"3 * stddev_over_time({name}[1h])"
            strange = f"abs({name} - avg_over_time({name}[1h])) > {band}"
            rules.append({"alert": f"Query{number_}IsStrange", "expr": strange})
        group = {"name": "three-sigma", "interval": f"{interval_s:g}s", "rules": rules}
        (self.folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
        httpx.post(f"{self.url}/-/reload", timeout=60.0, trust_env=False).raise_for_status()
        taken, until = 0.0, time.monotonic() + 4 * interval_s + READY_S
        while not taken and time.monotonic() < until:
            time.sleep(interval_s / 4)
            found = httpx.get(f"{self.url}/api/v1/rules", timeout=30.0, trust_env=False).json()
            taken = sum(one["evaluationTime"] for one in found["data"]["groups"])
        return taken


@contextmanager
def _scraped(services: int, interval_s: float) -> Iterator[ScrapedServer]:
    """An exporter of so many services and a Prometheus that scrapes it; both end with the block."""
    exporter, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="watch-bench-") as place:
        folder = Path(place)
        every = f"{interval_s:g}s"
        target = {"targets": [f"127.0.0.1:{exporter}"]}
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": "bench", "honor_labels": True, "static_configs": [target]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shop = [sys.executable, "-m", "evals.detection.exporter", str(exporter), str(services)]
        flags = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
        ]
        running = [spawn(shop, output=folder / "exporter.log")]
        try:
            log = folder / "prometheus.log"
            running.append(spawn([binary("prometheus"), *flags], output=log))
            server = ScrapedServer(f"http://127.0.0.1:{port}", folder)
            _until_ready(server.url)
            yield server
        finally:
            for one in running:
                end(one)


def _until_ready(url: str) -> None:
    until = time.monotonic() + READY_S
    while True:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)
