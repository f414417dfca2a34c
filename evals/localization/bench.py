"""What localization and the brief cost as the system grows 1x, 10x, 100x, beside peers of the run.

For the brief a seeded system of each size breaks; its alerts are accepted by an engine on a fresh
data folder and worked on until the brief is stored. The peer of the same run is the plainest
responder there is: it fetches the same series and marks those beyond three standard deviations. The
ratio says what the numbered evidence, the ranking, the journal and the checkpoints cost on top.
"""

import math
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import Progress

import copilot
from copilot import __version__, settings, wiring
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from evals.localization.peers import n_sigma, page_rank
from evals.report import Options, Result, Table, number
from evals.simulator import SimulatedSource, World, scenario
from evals.simulator.runner import ALWAYS
from tools.evidence import number as numbered
from tools.topology_walker import observe, rank
from tools.types import (
    Edge,
    LogLine,
    LogReading,
    Series,
    Span,
    Telemetry,
    Timestamp,
    Topology,
    Window,
)

TimedT = TypeVar("TimedT")

SIZES = (10, 100, 1000)
"""Services; each has six metrics, two call edges, ten traces' spans and ten log lines."""

POINTS, STEP_S, ONSET_AT = 120, 60.0, 110
METRICS = ("cpu_pct", "mem_bytes", "latency_p99_ms", "error_pct", "request_rate", "disk_used_pct")


@dataclass(frozen=True, slots=True)
class LocateCost:
    """Seconds of processor time for one size."""

    services: int
    look: float
    rank: float
    sigma: float
    page_rank: float
    right: bool


def run(options: Options, progress: Progress) -> Result:
    """Measure `observe` and `rank` on a synthetic system with one known fault."""
    started = time.perf_counter()
    task = progress.add_task("systems", total=len(SIZES))
    costs = []
    for size in SIZES:
        costs.append(_cost(size, options.seed))
        progress.advance(task)
    base, last = costs[0], costs[-1]
    ours = {cost.services: cost.look + cost.rank for cost in costs}
    summary = {f"seconds.{size}": seconds for size, seconds in ours.items()}
    summary["growth_at_100x"] = ours[last.services] / ours[base.services]
    summary["ratio_to_n_sigma"] = ours[last.services] / last.sigma
    summary["ratio_to_page_rank"] = ours[last.services] / last.page_rank
    summary["right"] = float(all(cost.right for cost in costs))
    rows = tuple(
        (
            str(cost.services),
            number(cost.look, 3),
            number(cost.rank, 3),
            number(cost.sigma, 3),
            number(cost.page_rank, 3),
            "yes" if cost.right else "no",
        )
        for cost in costs
    )
    table = Table(
        title="Seconds of processor time per incident",
        columns=(
            "services",
            "observe",
            "rank",
            "N-sigma, measured",
            "PageRank, measured",
            "cause first",
        ),
        rows=rows,
    )
    return Result(
        suite="locate",
        version=copilot.__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(table,),
    )


def _cost(size: int, seed: int) -> LocateCost:
    seen, cause, onset = _system(size, np.random.default_rng((seed, size)))
    look, findings = _timed(lambda: observe(seen, onset))
    ranking_s, ranking = _timed(lambda: rank(numbered(findings)[:400], seen.topology))
    sigma, _ = _timed(lambda: n_sigma(seen, onset))
    walk, _ = _timed(lambda: page_rank(seen, onset))
    right = ranking.candidates[0].component == cause
    return LocateCost(size, look, ranking_s, sigma, walk, right)


def _timed(work: Callable[[], TimedT]) -> tuple[float, TimedT]:
    started = time.process_time()
    answer = work()
    return max(time.process_time() - started, 1e-6), answer


def _system(size: int, rng: np.random.Generator) -> tuple[Telemetry, str, float]:
    """A tree of services of which one burns CPU from the onset on."""
    names = [f"s{i}" for i in range(size)]
    edges = [(f"s{(i - 1) // 2}", f"s{i}") for i in range(1, size)]
    times = STEP_S * np.arange(float(POINTS))
    onset = float(times[ONSET_AT])
    cause = names[size // 2]
    series = []
    for name in names:
        for metric in METRICS:
            values = 20.0 * (1.0 + 0.03 * rng.standard_normal(POINTS))
            if name == cause and metric == "cpu_pct":
                values[ONSET_AT:] += 70.0
            series.append(Series(name, metric, times, values, "%" if "pct" in metric else ""))
    for caller, callee in edges:
        gap = 2.0 + 0.1 * rng.standard_normal(POINTS)
        series.append(Series(f"{caller}->{callee}", "gap_p50_ms", times, gap, "ms"))
    spans = [
        Span(onset + 30.0 * (k - 5), f"{name}-{k}", "1", "", name, "op", 0.01)
        for name in names
        for k in range(10)
    ]
    lines = [
        LogLine(onset + 30.0 * (k - 5), name, "INFO", f"{name} handled request", f"{name}-{k}")
        for name in names
        for k in range(10)
    ]
    graph = tuple(Edge(caller=a, callee=b) for a, b in edges)
    topology = Topology(nodes=tuple(names), edges=graph, entry=names[0])
    window = Window(start=0.0, end=float(times[-1]))
    seen = Telemetry(
        window=window,
        series=tuple(series),
        logs=tuple(lines),
        spans=tuple(spans),
        topology=topology,
    )
    return seen, cause, onset


BRIEF_SIZES = {"x1": 6, "x10": 60, "x100": 600}
"""Services of the simulated system."""

ALERT_AFTER_S = 120.0
LOOKBACK_S = 1200.0


@dataclass(frozen=True, slots=True)
class BriefTiming:
    """One size: how much there was to look at, and what it took."""

    services: int
    series: int
    alerts: int
    brief_s: float
    cpu_s: float
    peer_s: float


def run_brief(options: Options, progress: Progress) -> Result:
    """Measure every size once; the figures are seconds of this machine and ratios."""
    started = time.perf_counter()
    task = progress.add_task("brief", total=len(BRIEF_SIZES))
    measured = {}
    for name, services in BRIEF_SIZES.items():
        measured[name] = _measure(services, options.seed)
        progress.advance(task)
    summary: dict[str, float] = {}
    for name, one in measured.items():
        summary |= {
            f"{name}.brief_seconds": one.brief_s,
            f"{name}.cpu_seconds": one.cpu_s,
            f"{name}.ratio_to_three_sigma": one.brief_s / one.peer_s,
            f"{name}.series": float(one.series),
        }
    summary["growth_x100"] = measured["x100"].brief_s / measured["x1"].brief_s
    return Result(
        suite="bench brief",
        version=__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_brief_table(list(measured.values())),),
    )


class WrittenLog(SimulatedSource):
    """A simulated system whose log has been written: reading it is not simulating it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._past: tuple[LogLine, ...] = ()
        self._written: tuple[LogLine, ...] = ()

    def write(self) -> None:
        """Simulate all lines up to now, and yesterday's."""
        self._written = super().lines(ALWAYS).lines
        self._past = super().baseline_lines(-math.inf).lines

    def lines(self, window: Window) -> LogReading:
        """Log lines of the window."""
        first = bisect_left(self._written, window.start, key=attrgetter("at"))
        last = bisect_right(self._written, window.end, key=attrgetter("at"))
        return LogReading(self._written[first:last])

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """Yesterday's lines, then those before `before`."""
        last = bisect_left(self._written, before, key=attrgetter("at"))
        return LogReading((*self._past, *self._written[:last]))


def _measure(services: int, seed: int) -> BriefTiming:
    script = scenario("cpu_saturation", seed + 1, system="random", services=services)
    world = World(script)
    source = WrittenLog(world)
    source.sleep((script.onset or script.start) + ALERT_AFTER_S - source.now())
    window = Window(start=script.start, end=source.now())
    alerts = source.alerts(window)
    source.baseline(window.end)  # simulating yesterday is not part of looking at it
    source.write()
    peer_started = time.perf_counter()
    _three_sigma(source.series(window), source.baseline(window.end))
    peer_s = time.perf_counter() - peer_started
    sources = Sources(source, source, source, source, source, source)
    with tempfile.TemporaryDirectory() as home:
        loaded = settings.load(data_dir=Path(home), lookback_s=LOOKBACK_S, model_use="off")
        with wiring.engine(
            loaded, "bench", sources=sources, clock=source, runner=DryRunRunner(source)
        ) as engine:
            began, cpu_began = time.perf_counter(), time.process_time()
            engine.accept(alerts, engine.now())
            engine.drain()
            brief_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            if not all(one.brief for one in engine.store.incidents.list()):
                raise RuntimeError(f"a system of {services} services ended without a brief")
    return BriefTiming(services, len(source.series(window)), len(alerts), brief_s, cpu_s, peer_s)


def _three_sigma(series: Sequence[Series], baseline: Sequence[Series]) -> list[str]:
    """The names of the series whose last minutes leave three standard deviations."""
    normal = {one.name: one.values for one in baseline}
    found = []
    for one in series:
        values = normal.get(one.name, one.values)
        center, spread = np.nanmean(values), np.nanstd(values) + 1e-12
        if np.nanmax(np.abs(one.values[-8:] - center)) > 3 * spread:
            found.append(one.name)
    return found


def _brief_table(measured: Sequence[BriefTiming]) -> Table:
    return Table(
        title="Alert to brief, all nodes up to the plan (one run; seconds of this machine)",
        columns=("services", "series", "alerts", "brief, s", "of CPU", "three sigma, s", "ratio"),
        rows=tuple(
            (
                str(one.services),
                str(one.series),
                str(one.alerts),
                number(one.brief_s),
                number(one.cpu_s),
                number(one.peer_s, 3),
                number(one.brief_s / one.peer_s, 1),
            )
            for one in measured
        ),
    )
