"""The files of one incident as `incident-bundle/1`: redacted and bounded.

The reader beside it reads them back; docs/learning.md says what is in them.
"""

import csv
import gzip
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from pydantic import JsonValue

from copilot.sources.recorded.tables import unit_of
from copilot.types.redaction import Redactor
from tools.types import (
    Alert,
    Change,
    Commit,
    Finding,
    FloatArray,
    LogLine,
    Series,
    Span,
    Topology,
    Window,
)

BUNDLE_LIMIT = 16 * 1024 * 1024
"""Bytes a recorded incident may have on disk; the largest of the public recordings has 2."""

MOST_CELLS = 2_000_000
"""Points of one table; 40,000 lines of a log are what a live source reads in one look."""
MOST_LINES = 40_000
MOST_SPANS = 50_000
MOST_TEXT = 4096
"""Characters of one line or text, as of an alert's annotation."""

_THINNER = 0.7
HISTORY = "normal"
"""The folder of normal operation inside the bundle."""

_RowT = TypeVar("_RowT", LogLine, Span)


@dataclass(frozen=True, slots=True)
class RecordedIncident:
    """What is written of one incident; `normal` is from before `window`, `findings` what was
    found at the time and no source tells again, `missing` what could not be had.
    """

    id: str
    system: str
    window: Window
    topology: Topology
    services: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    normal: tuple[Series, ...] = ()
    logs: tuple[LogLine, ...] = ()
    normal_logs: tuple[LogLine, ...] = ()
    spans: tuple[Span, ...] = ()
    changes: tuple[Change, ...] = ()
    commits: tuple[Commit, ...] = ()
    alerts: tuple[Alert, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wording:
    """Texts without their secrets; names, of which there are few, are looked at once."""

    redactor: Redactor
    names: Mapping[str, str]

    def text(self, text: str) -> str:
        """A text, at most as long as is kept; cut last, since half a secret looks like none."""
        return self.redactor.text(text)[:MOST_TEXT]

    def name(self, name: str) -> str:
        """The name of a component, stream or operation."""
        return self.names.get(name, name)

    def document(self, value: JsonValue) -> JsonValue:
        """A document with all its texts."""
        return self.redactor.document(value)


def _names_of(incident: RecordedIncident) -> set[str]:
    series = {one.owner for one in (*incident.series, *incident.normal)}
    lines = (*incident.logs, *incident.normal_logs)
    streams = {name for line in lines for name in (line.service, line.stream)}
    return (
        series | streams | {name for one in incident.spans for name in (one.service, one.operation)}
    )


def bundle_files(incident: RecordedIncident, redactor: Redactor) -> dict[str, bytes]:
    """The files; of too much, fewer lines and spans, evenly over the time, and it is said so."""
    clean = _Wording(redactor, redactor.names(_names_of(incident)))
    most_lines, most_spans = MOST_LINES, MOST_SPANS
    tables = _tables(incident, clean)
    while True:
        missing = [*incident.missing]
        lines = _thinned(incident.logs, most_lines, "log lines", missing)
        normal = _thinned(incident.normal_logs, most_lines, "earlier log lines", missing)
        spans = _thinned(incident.spans, most_spans, "spans", missing)
        files = {
            **tables,
            "logs.ndjson.gz": _ndjson(_log(line, clean) for line in lines),
            f"history/{HISTORY}/logs.ndjson.gz": _ndjson(_log(line, clean) for line in normal),
            "spans.csv.gz": _span_rows(spans, clean) if spans else b"",
        }
        files = {name: content for name, content in files.items() if content}
        missing += _cut_series(incident)
        files["incident.json"] = _json(clean.document(_description(incident, files, missing)))
        if sum(map(len, files.values())) <= BUNDLE_LIMIT or max(most_lines, most_spans) < 1:
            return files
        most_lines, most_spans = int(most_lines * _THINNER), int(most_spans * _THINNER)


def _tables(incident: RecordedIncident, clean: _Wording) -> dict[str, bytes]:
    """Everything but log lines and spans."""

    def documents(rows: Sequence[JsonValue]) -> bytes:
        return _json(clean.document([*rows])) if rows else b""

    graph = incident.topology
    return {
        "metrics.csv.gz": _metric_rows(incident.series, clean),
        f"history/{HISTORY}/metrics.csv.gz": _metric_rows(incident.normal, clean),
        "changes.json": documents([_change(one) for one in incident.changes]),
        "commits.json": documents([_commit(one) for one in incident.commits]),
        "alerts.json": documents([_alert(one) for one in incident.alerts]),
        "findings.json": documents([one.model_dump(mode="json") for one in incident.findings]),
        "topology.json": _json(
            clean.document(
                {
                    "nodes": [*graph.nodes],
                    "edges": [[one.caller, one.callee] for one in graph.edges],
                    "source": graph.edges[0].source if graph.edges else "declared",
                }
            )
        ),
    }


def _description(
    incident: RecordedIncident, files: Mapping[str, bytes], missing: Sequence[str]
) -> dict[str, JsonValue]:
    modalities = {
        "metrics": "metrics.csv.gz",
        "logs": "logs.ndjson.gz",
        "spans": "spans.csv.gz",
        "alerts": "alerts.json",
        "findings": "findings.json",
    }
    steps = [float(np.median(np.diff(one.times))) for one in incident.series if one.times.size > 1]
    history = any(name.startswith("history/") for name in files)
    return {
        "schema": "incident-bundle/1",
        "id": incident.id,
        "system": incident.system,
        "window": [round(incident.window.start, 3), round(incident.window.end, 3)],
        "services": [*incident.services],
        "entry": incident.topology.entry,
        # No change told is an answer, too: it says that nothing was changed.
        "modalities": [*(m for m, file in modalities.items() if file in files), "changes"],
        "sampling_s": max(round(float(np.median(steps)), 3), 0.001) if steps else 60.0,
        "history": HISTORY if history else None,
        "reference_excluded": [],
        "units": dict(sorted(_units((*incident.series, *incident.normal)))),
        "missing": [*missing],
        "source": "copilot record",
    }


def _units(series: Sequence[Series]) -> set[tuple[str, str]]:
    """The units that the names of metrics do not say."""
    return {(one.metric, one.unit) for one in series if one.unit != unit_of(one.metric)}


def _thinned(found: Sequence[_RowT], most: int, name: str, missing: list[str]) -> Sequence[_RowT]:
    """Every n-th, so that no stretch of time falls silent."""
    if len(found) <= most:
        return found
    missing.append(f"{name}: {most} of {len(found)} are kept")
    return [found[number * len(found) // most] for number in range(most)] if most else ()


def _kept(series: Sequence[Series]) -> list[Series]:
    """As many whole series as fit, in the order of their names."""
    kept = sorted(series, key=lambda each: (each.metric, each.owner))
    while len(kept) > 1 and _grid(kept).size * len(kept) > MOST_CELLS:
        kept = kept[: int(len(kept) * _THINNER)]
    return kept


def _grid(series: Sequence[Series]) -> FloatArray:
    return np.unique(np.concatenate([one.times for one in series]))


def _cut_series(incident: RecordedIncident) -> list[str]:
    told = (("metrics", incident.series), ("earlier metrics", incident.normal))
    counted = ((name, len(_kept(found)), len(found)) for name, found in told)
    return [
        f"{name}: {kept} of {all_} series are kept" for name, kept, all_ in counted if kept < all_
    ]


def _metric_rows(series: Sequence[Series], clean: _Wording) -> bytes:
    """Wide: `ts`, then one column for each series on the union of their times."""
    kept = _kept(series)
    if not kept:
        return b""
    grid = _grid(kept)
    cells = [[""] * grid.size for _ in kept]
    for column, one in zip(cells, kept, strict=True):
        for at, value in zip(np.searchsorted(grid, one.times), one.values, strict=True):
            column[int(at)] = "" if math.isnan(value) else f"{value:.9g}"
    header = ["ts", *(f"{clean.name(one.owner)}|{one.metric}" for one in kept)]
    rows = ([f"{at:.3f}", *values] for at, *values in zip(grid, *cells, strict=True))
    return _csv(header, rows)


def _span_rows(spans: Iterable[Span], clean: _Wording) -> bytes:
    rows = (
        [
            f"{one.at:.6f}",
            one.trace,
            one.span,
            one.parent or "0",
            clean.name(one.service),
            clean.name(one.operation),
            f"{one.seconds * 1e6:.1f}",
            "" if one.error is None else str(int(one.error)),
        ]
        for one in spans
    )
    return _csv(("ts", "trace", "span", "parent", "service", "op", "dur_us", "error"), rows)


def _log(line: LogLine, clean: _Wording) -> JsonValue:
    row: dict[str, JsonValue] = {
        "ts": line.at,
        "service": clean.name(line.service),
        "level": line.level,
        "msg": clean.text(line.message),
        "trace": line.trace,
        "stream": clean.name(line.stream),
        "cut": line.cut,
    }
    return {name: value for name, value in row.items() if value}


def _change(one: Change) -> JsonValue:
    told: dict[str, JsonValue] = one.model_dump(mode="json")
    return {"ts": told.pop("at"), **told}


def _commit(one: Commit) -> JsonValue:
    return {
        "sha": one.sha,
        "timestamp": _iso(one.at),
        "author": one.author,
        "message": one.message,
        "files_changed": [*one.files],
        "diff": one.diff,
        "url": one.url,
    }


def _alert(one: Alert) -> JsonValue:
    """The alert as Alertmanager posts it, and as it was read from whoever sent it."""
    read = one.model_dump(
        mode="json",
        include={"name", "severity", "service", "subject", "told_by", "why", "heartbeat", "source"},
    )
    return {
        "labels": {"alertname": one.name, **one.labels},
        "annotations": dict(one.annotations),
        "status": one.status,
        "startsAt": _iso(one.starts_at),
        "endsAt": None if one.ends_at is None else _iso(one.ends_at),
        "fingerprint": one.fingerprint,
        "generatorURL": one.generator_url,
        "value": one.value if one.value is None or math.isfinite(one.value) else None,
        "read": read,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return _packed(out.getvalue())


def _ndjson(rows: Iterable[JsonValue]) -> bytes:
    text = "".join(json_line(row) for row in rows)
    return _packed(text) if text else b""


def json_line(row: JsonValue) -> str:
    """One object a line; equal objects give equal lines."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n"


def _json(content: JsonValue) -> bytes:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace")


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode("utf-8", "replace"), mtime=0)
