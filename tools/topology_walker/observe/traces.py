"""Where traces spend more time than before: in a component's own code, or on the wire."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tools.log_retriever.sanitize import sanitize
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.deviation import deviation
from tools.topology_walker.observe.metrics import strength_of
from tools.types import Finding, Span, Telemetry, Timestamp, Window

_HALF_MILLISECOND = 5e-4
_MIN_SPANS = 3

TraceOperation = tuple[str, str]
"""Whose time (`service` or `caller->callee`) and in which operation."""


def trace_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """Return, per component, the operation whose own time grew most, and, per edge, the growth of
    the time between caller and callee.
    """
    spans = telemetry.spans
    is_early = [span.at < onset for span in spans]
    traces = len({span.trace for span in spans if span.at >= onset})
    if not traces or not any(is_early):
        return []
    spent: dict[tuple[TraceOperation, bool], list[float]] = defaultdict(list)
    for (place, seconds), before in zip(_own_times(spans), is_early, strict=True):
        spent[place, before].append(seconds)
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    degree = Counter(
        name for owner in {o for (o, _), _ in spent if "->" in o} for name in owner.split("->")
    )
    best: dict[str, Finding] = {}
    total: dict[str, float] = defaultdict(float)
    for place in {place for place, _ in spent}:
        early, late = spent.get((place, True), []), spent.get((place, False), [])
        if len(early) < _MIN_SPANS or len(late) < _MIN_SPANS:
            continue
        finding = _slower(place, np.asarray(early), np.asarray(late), traces, window)
        if finding is None or finding.figures["z"] < config.min_strength:
            continue
        total[finding.subject] += finding.figures["per_trace"]
        known = best.get(finding.subject)
        if known is None or finding.figures["per_trace"] > known.figures["per_trace"]:
            best[finding.subject] = finding
    return [
        one.model_copy(
            update={
                "figures": {
                    **one.figures,
                    "per_trace": total[subject],
                    **_ends(subject, degree),
                }
            }
        )
        for subject, one in best.items()
    ]


def _ends(owner: str, degree: Counter[str]) -> dict[str, float]:
    caller, wire, callee = owner.partition("->")
    if not wire:
        return {}
    return {"caller_edges": float(degree[caller]), "callee_edges": float(degree[callee])}


def _own_times(spans: Sequence[Span]) -> list[tuple[TraceOperation, float]]:
    """For each span its own seconds, and whose they are.

    A span whose child ran elsewhere is a call: what the child does not explain was spent between.
    """
    service = {(span.trace, span.span): span.service for span in spans}
    inside: dict[tuple[str, str], float] = defaultdict(float)
    elsewhere: dict[tuple[str, str], tuple[float, str]] = {}
    for span in spans:
        parent = (span.trace, span.parent)
        if parent not in service:
            continue
        inside[parent] += span.seconds
        if service[parent] != span.service and span.seconds >= elsewhere.get(parent, (0.0, ""))[0]:
            elsewhere[parent] = (span.seconds, span.service)
    found: list[tuple[TraceOperation, float]] = []
    for span in spans:
        key = (span.trace, span.span)
        own = max(span.seconds - inside.get(key, 0.0), 0.0)
        called = elsewhere.get(key)
        owner = f"{span.service}->{called[1]}" if called else span.service
        found.append(((owner, span.operation), own))
    return found


def _slower(
    place: TraceOperation,
    early: np.ndarray[tuple[int], np.dtype[np.float64]],
    late: np.ndarray[tuple[int], np.dtype[np.float64]],
    traces: int,
    window: Window,
) -> Finding | None:
    owner, operation = place
    middle, high = float(np.median(late)), float(np.percentile(late, 90))
    was_middle, was_high = float(np.median(early)), float(np.percentile(early, 90))
    growth = max(middle - was_middle, (high - was_high) / 3.0)
    by = deviation(early, late, late, _HALF_MILLISECOND)
    if by is None or growth <= _HALF_MILLISECOND:
        return None
    z = growth / by.scale
    wire = "->" in owner
    return Finding(
        kind="trace",
        subject=owner,
        name="wire_time" if wire else "self_time",
        source="traces",
        query=f"{owner} {operation}",
        window=window,
        value=middle if middle - was_middle >= growth else high,
        baseline=was_middle if middle - was_middle >= growth else was_high,
        unit="s",
        direction="up",
        strength=strength_of(z),
        figures={
            "z": z,
            "delta": growth,
            "per_trace": growth * len(late) / traces,
            "before": float(len(early)),
            "after": float(len(late)),
        },
        excerpt=sanitize(operation, 120),
        statement=(
            f"{owner} spends {'between the two' if wire else 'itself'} {growth:.4g} s more in "
            f"{sanitize(operation, 80)!r} than before."
        ),
    )
