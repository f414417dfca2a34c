"""What localization costs as the system grows 1x, 10x, 100x, beside two peers in the same run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from rich.progress import Progress

import copilot
from evals.localization.peers import n_sigma, page_rank
from evals.report import Options, Result, Table, number
from tools.evidence import number as numbered
from tools.topology_walker import observe, rank
from tools.types import Edge, LogLine, Series, Span, Telemetry, Topology, Window

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
    ranking_s, ranking = _timed(lambda: rank(numbered(findings)[:400], seen.topology, onset))
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
