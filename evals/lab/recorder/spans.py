"""Spans: the exports of the instances, read back; whole traces, under short ids."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from evals.lab.blueprint import OURS
from evals.lab.places import LabFolder
from tools.types import Span, Window


def spans(places: LabFolder, window: Window, most: int, rng: Random) -> list[Span]:
    """Whole traces that began inside the window, as many as there is room for."""
    traces: dict[str, list[Span]] = defaultdict(list)
    for service in OURS:
        for path in sorted((places.root / "spans").glob(f"{service}-*.jsonl")):
            for span in _read(path, service):
                traces[span.trace].append(span)
    whole = [trace for trace in traces.values() if all(span.at in window for span in trace)]
    rng.shuffle(whole)
    kept: list[Span] = []
    for trace in whole:
        if len(kept) + len(trace) <= most:
            kept += trace
    return _shortened(sorted(kept, key=lambda span: (span.at, span.span)))


def _read(path: Path, service: str) -> Iterator[Span]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            export = json.loads(text)
        except ValueError:
            continue  # the last line of a killed process may be torn
        for resource in export["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield _span(span, service)


def _span(row: dict[str, Any], service: str) -> Span:
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
