"""The tables of a bundle, read back from a lab that ran: series, log lines and spans."""

import csv
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from copilot.sources.clock import SystemClock
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from evals.lab.blueprint import OURS, SERVICES
from evals.lab.places import LabFolder
from tools.types import LogLine, Series, Span, Window

SAMPLING_S = 5

_PLAIN = re.compile(r"(?P<ts>\S+) (?P<level>[A-Z]+) +(?P<msg>.*?)(?: trace=(?P<trace>[0-9a-f]+))?")


def table(prometheus: str, window: Window) -> str:
    """Every series of the window as CSV, a column each."""
    api = JsonApi("Prometheus", ApiEndpoint(prometheus, None), timeout_s=30.0)
    source = PrometheusSource(
        PrometheusClient(api), queries(None), SystemClock(), step_s=float(SAMPLING_S)
    )
    return metric_rows(aligned(source.series(window)))


def aligned(series: Sequence[Series]) -> list[Series]:
    """The same series on the union of their times; NaN where one has no point."""
    if not series:
        return []
    grid = np.unique(np.concatenate([one.times for one in series]))
    found = []
    for one in sorted(series, key=lambda each: (each.metric, each.owner)):
        values = np.full(grid.size, np.nan)
        values[np.searchsorted(grid, one.times)] = one.values
        found.append(Series(one.owner, one.metric, grid, values, one.unit))
    return found


def lines(places: LabFolder, window: Window, most: int, rng: Random) -> list[LogLine]:
    """Lines of the window in order of time; of too many the rarer levels are kept sooner."""
    found = [
        line
        for service in OURS
        for path in sorted((places.root / "logs").glob(f"{service}-*.log"))
        for line in _lines_of(path, service)
        if line.at in window
    ]
    return sorted(_thinned(found, most, rng), key=lambda line: (line.at, line.service))


def _lines_of(path: Path, service: str) -> Iterator[LogLine]:
    json_rows = SERVICES[service].logs == "json"
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = _line_as_json(text) if json_rows else _PLAIN.fullmatch(text)
        if row is not None:
            at = datetime.fromisoformat(row["ts"]).timestamp()
            yield LogLine(at, service, row["level"], row["msg"], row["trace"] or "")


def _line_as_json(text: str) -> dict[str, str] | None:
    try:
        row = json.loads(text)
        return {
            "ts": row["ts"],
            "level": row["level"],
            "msg": row["msg"],
            "trace": row.get("trace_id", ""),
        }
    except (ValueError, KeyError, TypeError):
        return None  # the last line of a killed process may be torn


def _thinned(found: Sequence[LogLine], most: int, rng: Random) -> list[LogLine]:
    """Each service and level gets the same room; who needs less leaves it to the others."""
    if len(found) <= most:
        return list(found)
    counts = Counter((line.service, line.level) for line in found)
    room, left = {}, most
    for rank, (key, count) in enumerate(sorted(counts.items(), key=lambda item: item[1])):
        room[key] = min(count, left // (len(counts) - rank))
        left -= room[key]
    shares = {key: room[key] / counts[key] for key in counts}
    return [line for line in found if rng.random() < shares[line.service, line.level]]


def spans(places: LabFolder, window: Window, most: int, rng: Random) -> list[Span]:
    """Whole traces that began inside the window, as many as there is room for."""
    traces: dict[str, list[Span]] = defaultdict(list)
    for service in OURS:
        for path in sorted((places.root / "spans").glob(f"{service}-*.jsonl")):
            for span in _spans_of(path, service):
                traces[span.trace].append(span)
    whole = [trace for trace in traces.values() if all(span.at in window for span in trace)]
    rng.shuffle(whole)
    kept: list[Span] = []
    for trace in whole:
        if len(kept) + len(trace) <= most:
            kept += trace
    return _shortened(sorted(kept, key=lambda span: (span.at, span.span)))


def _spans_of(path: Path, service: str) -> Iterator[Span]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            export = json.loads(text)
        except ValueError:
            continue  # the last line of a killed process may be torn
        for resource in export["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield _span_of(span, service)


def _span_of(row: dict[str, Any], service: str) -> Span:
    started = int(row["startTimeUnixNano"])
    return Span(
        at=started / 1e9,
        trace=row["traceId"],
        span=row["spanId"],
        parent=row["parentSpanId"],
        service=service,
        operation=row["name"],
        seconds=(int(row["endTimeUnixNano"]) - started) / 1e9,
        error=row["status"]["code"] == 2,
    )


def _shortened(found: list[Span]) -> list[Span]:
    """Random ids do not compress; counted ones say the same."""
    traces = {trace: f"{n:x}" for n, trace in enumerate(dict.fromkeys(s.trace for s in found), 1)}
    numbers = {span.span: f"{n:x}" for n, span in enumerate(found, 1)}
    return [
        replace(
            span,
            trace=traces[span.trace],
            span=numbers[span.span],
            parent=numbers.get(span.parent, ""),
        )
        for span in found
    ]


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
