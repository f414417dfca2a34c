"""The tables of a bundle as CSV text: metrics, call edges, spans."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np

from evals.simulator.flow import percentile90
from evals.simulator.readings import Snapshot
from evals.simulator.world import World
from tools.types import FloatArray, Series, Span, Window

_MINUTE_S = 60


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def metric_rows(series: Sequence[Series]) -> str:
    """Wide: `ts`, then one column for each series, cut to four significant digits."""
    times = series[0].times if series else np.empty(0)
    values = [one.values for one in series]
    return _csv(
        ["ts", *(one.name for one in series)],
        ([int(at), *(_number(float(v[i])) for v in values)] for i, at in enumerate(times)),
    )


def edge_rows(world: World, window: Window) -> str:
    """One row for each minute and call: how often, how long for caller and callee, and the gap."""
    minutes: dict[int, list[Snapshot]] = {}
    for seen in world.ticks(window):
        minutes.setdefault(int(seen.at) // _MINUTE_S * _MINUTE_S, []).append(seen)
    rows: list[list[str | int]] = []
    for minute, ticks in minutes.items():
        seconds = 5.0 * len(ticks)
        figures = np.mean([_edge_figures(world, seen) for seen in ticks], axis=0)
        for call, (calls, *times) in zip(world.graph.calls, figures, strict=True):
            count = round(float(calls) * seconds)
            row: list[str | int] = [minute, call.caller, call.callee, count]
            rows.append(row + [_number(1000.0 * float(t)) for t in times])
    return _csv(
        (
            *("ts", "caller", "callee", "calls", "caller_p50_ms", "caller_p90_ms"),
            *("callee_p50_ms", "callee_p90_ms", "gap_p50_ms", "gap_p90_ms"),
        ),
        rows,
    )


def _edge_figures(world: World, seen: Snapshot) -> FloatArray:
    """Calls per second and six times in seconds for each call; NaN where we cannot measure."""
    plant, flow, at = world.plant, seen.flow, seen.conditions
    ours = np.where(plant.callee < plant.ours, 1.0, np.nan)
    callee50, callee99 = flow.p50[plant.callee], flow.p99[plant.callee]
    wire = at.link_delay
    return np.column_stack(
        (
            flow.calls,
            flow.seen50,
            percentile90(flow.seen50, flow.seen99),
            callee50 * ours,
            percentile90(callee50, callee99) * ours,
            wire * ours,
            2.0 * wire * ours,
        )
    )


def span_rows(spans: Iterable[Span]) -> str:
    """One row for each span; a root's parent is 0."""
    return _csv(
        ("ts", "trace", "span", "parent", "service", "op", "dur_us", "error"),
        (
            [
                f"{s.at:.3f}",
                s.trace,
                s.span,
                s.parent or "0",
                s.service,
                s.operation,
                round(s.seconds * 1e6),
                int(bool(s.error)),
            ]
            for s in spans
        ),
    )
