"""What clustering costs: alerts a second and memory as a storm grows, beside the peers."""

import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.alerts import peers, real_alertmanager
from evals.alerts.feed import MethodOutcome, ours
from evals.alerts.score import Clustering, score
from evals.alerts.streams import AlertStream, storms, weeks
from evals.report import Options, Result, Table, number
from tools.clusterer import Clusterer, fingerprint
from tools.types import Alert, Topology

BATCH = 500
SIZES = (1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True)
class StormCost:
    """One run over a storm of some size."""

    alerts: int
    seconds: float
    peak_bytes: int
    peer_seconds: float

    @property
    def rate(self) -> float:
        """Alerts a second of processor time."""
        return self.alerts / self.seconds


def run(options: Options, progress: Progress) -> Result:
    """Measure throughput, growth and memory; run the real Alertmanager where it is installed."""
    started = time.perf_counter()
    folder = _folder(options.data)
    storm, source = _storm(folder, options.seed)
    task = progress.add_task("storm", total=len(SIZES))
    costs = []
    for size in SIZES:
        costs.append(_cost(_stretched(storm, size)))
        progress.advance(task)
    tables = [_cost_table(costs, source)]
    summary = _cost_summary(costs)
    notes: dict[str, JsonValue] = {"storm": source}
    if folder is not None:
        table, real = _alertmanager(folder, progress)
        tables.append(table)
        notes["alertmanager"] = table.title
        summary |= real
    return Result(
        suite="clusterer",
        arm="ml",
        version=copilot.__version__,
        data=str(options.data or "generated"),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=tuple(tables),
        notes=notes,
    )


def _folder(data: Path | None) -> Path | None:
    if data is None:
        return None
    return data / "alerts" if (data / "alerts").is_dir() else data


def _storm(folder: Path | None, seed: int) -> tuple[AlertStream, str]:
    """The largest recorded storm, or a generated one."""
    recorded = list(storms(folder)) if folder is not None else []
    if recorded:
        largest = max(recorded, key=lambda stream: len(stream.alerts))
        return largest, f"recorded storm {largest.name}"
    return _generated(seed), "generated storm"


def _generated(seed: int) -> AlertStream:
    """Events of 200 kinds with a heavy tail, in bursts, over a day."""
    rng = random.Random(seed)
    weights = [1.0 / (kind + 1) for kind in range(200)]
    alerts, at = [], 1.7e9
    for _ in range(10_000):
        at += rng.expovariate(50.0 if rng.random() < 0.95 else 0.05)
        kind = rng.choices(range(200), weights)[0]
        labels = {"alertname": f"Kind{kind}", "host": f"host-{kind % 12}"}
        alerts.append(
            Alert(
                fingerprint=fingerprint(labels),
                name=labels["alertname"],
                service=labels["host"],
                starts_at=at,
                ends_at=at,
                labels=labels,
            )
        )
    return AlertStream(
        "generated", tuple(alerts), (None,) * 10_000, Topology(), ("NOISE",) * 10_000
    )


def _stretched(storm: AlertStream, size: int) -> AlertStream:
    """The storm cut, or repeated one after another, to a number of alerts."""
    alerts = list(storm.alerts[:size])
    span = storm.alerts[-1].starts_at - storm.alerts[0].starts_at + 60.0
    rounds = 1
    while len(alerts) < size:
        shift = rounds * span
        alerts += [_later(a, shift) for a in storm.alerts[: size - len(alerts)]]
        rounds += 1
    return AlertStream(storm.name, tuple(alerts), (None,) * size, Topology(), ("NOISE",) * size)


def _later(alert: Alert, seconds: float) -> Alert:
    at = alert.starts_at + seconds
    return alert.model_copy(update={"starts_at": at, "ends_at": at})


def _cost(stream: AlertStream) -> StormCost:
    seconds = _timed(lambda: _update_all(stream.alerts))
    peer = _timed(lambda: peers.alertmanager(stream, ["alertname", "host"]))
    tracemalloc.start()
    _update_all(stream.alerts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return StormCost(len(stream.alerts), seconds, peak, peer)


def _timed(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return max(1e-9, time.process_time() - before)


def _update_all(alerts: Sequence[Alert]) -> None:
    clusterer = Clusterer()
    for start in range(0, len(alerts), BATCH):
        batch = alerts[start : start + BATCH]
        clusterer.update(batch, batch[-1].starts_at)


def _cost_summary(costs: Sequence[StormCost]) -> dict[str, float]:
    largest = costs[-1]
    return {
        "alerts_per_second": largest.rate,
        "ratio_to_alertmanager_emulation": largest.peer_seconds / largest.seconds,
        "growth_100x": largest.seconds / costs[0].seconds,
        "peak_megabytes_100x": largest.peak_bytes / 1e6,
        "memory_growth_100x": largest.peak_bytes / costs[0].peak_bytes,
    }


def _cost_table(costs: Sequence[StormCost], source: str) -> Table:
    return Table(
        title=f"Clusterer on a {source}, one core, batches of {BATCH}",
        columns=("alerts", "seconds", "alerts/s", "peak MB", "peer (emulated Alertmanager)/s"),
        rows=tuple(
            (
                str(cost.alerts),
                number(cost.seconds, 3),
                number(cost.rate, 0),
                number(cost.peak_bytes / 1e6, 1),
                number(cost.alerts / cost.peer_seconds, 0),
            )
            for cost in costs
        ),
    )


def _alertmanager(folder: Path, progress: Progress) -> tuple[Table, dict[str, float]]:
    """The real Alertmanager on the isolated week, with the emulation and us beside it."""
    binary = real_alertmanager.installed()
    week = next((stream for stream in weeks(folder) if stream.name == "isolated"), None)
    columns = ("method", "told", "notifications", "never sent", "ARI", "AP", "delay s")
    if binary is None or week is None:
        why = "no binary on the path" if binary is None else "no isolated stream in the data"
        return Table(title=f"Real Alertmanager: skipped, {why}", columns=columns, rows=()), {}
    task = progress.add_task("real Alertmanager", total=len(week.alerts))
    real = real_alertmanager.run(week, binary, ("cluster",), lambda: progress.advance(task))
    version = real_alertmanager.version(binary)
    rows = [
        _peer_row(week, f"{version}, real, {real_alertmanager.COMPRESSION:.0f}x time", real),
        _peer_row(week, "the same, emulated", peers.alertmanager(week, ["cluster"])),
        _peer_row(week, "ours, ml", ours(week)),
    ]
    title = f"Real Alertmanager by cluster on the isolated week ({version})"
    summary = {
        "alertmanager_real.notifications": float(real.notifications),
        "alertmanager_real.never_sent": float(real.never_sent),
    }
    return Table(title=title, columns=columns, rows=tuple(rows)), summary


def _peer_row(week: AlertStream, name: str, outcome: MethodOutcome) -> tuple[str, ...]:
    starts = [alert.starts_at for alert in week.alerts]
    figures = score(Clustering(week.truth, outcome.clusters, starts, outcome.rank, outcome.told))
    return (
        name,
        str(len(outcome.told)),
        str(outcome.notifications or len(outcome.told)),
        str(outcome.never_sent),
        number(figures.ari, 3),
        number(figures.ap, 3),
        number(figures.delay_mean, 0),
    )
