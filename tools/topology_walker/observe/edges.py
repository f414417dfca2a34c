"""What call edges show: time in the callee, time on the wire between, errors on either side."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.deviation import Deviation, deviation, finite, since
from tools.topology_walker.observe.metrics import SeriesShift, strength_of
from tools.topology_walker.signals import read, seconds_per
from tools.types import Finding, Owner, Series, Telemetry, Timestamp, Window

_MILLISECOND = 1e-3


def edge_findings(
    all_moved: Iterable[SeriesShift], telemetry: Telemetry, onset: Timestamp, config: WalkerConfig
) -> list[Finding]:
    """Return the strongest finding per call edge and name (`wire_latency`, `callee_latency`, …)."""
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    best: dict[tuple[str, str], Finding] = {}
    found = (
        *_measured(all_moved, window),
        *_derived(telemetry, onset, window),
        *_stopped(telemetry, onset, window),
    )
    for one in found:
        if one.strength < strength_of(config.min_strength):
            continue
        key = (one.subject, one.name)
        if key not in best or one.strength > best[key].strength:
            best[key] = one
    degree, inside = _degrees(telemetry), _inside(telemetry)
    return [
        one.model_copy(update={"figures": {**one.figures, **_ends(one.subject, degree, inside)}})
        for one in best.values()
    ]


def _inside(telemetry: Telemetry) -> frozenset[str]:
    """Components that measured, logged or traced anything themselves, now or before."""
    owners = (Owner.parse(one.owner) for one in (*telemetry.series, *telemetry.baseline))
    return frozenset(
        {owner.service for owner in owners if owner.kind in ("service", "version")}
        | {line.service for line in telemetry.logs}
        | {span.service for span in telemetry.spans}
    )


def _degrees(telemetry: Telemetry) -> dict[str, int]:
    """How many measured edges each component has."""
    edges = {one.owner for one in telemetry.series if "->" in one.owner}
    return Counter(name for edge in edges for name in edge.split("->"))


def _ends(edge: str, degree: dict[str, int], inside: frozenset[str]) -> dict[str, float]:
    caller, _, callee = edge.partition("->")
    return {
        "caller_edges": float(degree[caller]),
        "callee_edges": float(degree[callee]),
        "outside": float(caller in inside and callee not in inside),
    }


def _measured(all_moved: Iterable[SeriesShift], window: Window) -> list[Finding]:
    found = []
    for one in all_moved:
        if one.owner.kind != "edge" or one.signal.version:
            continue
        if one.signal.family == "latency":
            factor = seconds_per(one.series.unit)
            # A change below a millisecond is never why an incident was opened.
            z = one.by.change * factor / max(one.by.scale * factor, _MILLISECOND)
            side = {"gap": "wire_latency", "callee": "callee_latency"}.get(one.signal.side)
            name = side or "caller_latency"
            found.append(_finding(one.series, name, one.by, z, factor, window))
        elif one.signal.family in ("success", "errors"):
            name = "callee_errors" if one.signal.side == "callee" else "caller_errors"
            factor = -0.01 if one.signal.family == "success" else 0.01
            found.append(_finding(one.series, name, one.by, one.worse, factor, window))
        elif one.signal.family == "traffic" and one.by.change < 0:
            found.append(_finding(one.series, "calls", one.by, one.by.z, 1.0, window))
    return [one for one in found if one.strength > 0]


def _stopped(telemetry: Telemetry, onset: Timestamp, window: Window) -> list[Finding]:
    """Edges that were measured up to the onset and no more in the second half since."""
    last: dict[str, float] = defaultdict(float)
    first: dict[str, float] = {}
    for one in telemetry.series:
        if "->" in one.owner:
            times, _ = finite(one)
            if times.size:
                last[one.owner] = max(last[one.owner], float(times[-1]))
                first[one.owner] = min(first.get(one.owner, np.inf), float(times[0]))
    newest = max(last.values(), default=0.0)
    half = 0.5 * (onset + newest)
    return [
        Finding(
            kind="edge",
            subject=edge,
            name="no_calls",
            source="metrics",
            query=f"owner={edge}",
            window=window,
            value=0.0,
            onset=at,
            direction="down",
            strength=strength_of(6.0),
            figures={"z": 6.0, "delta": 0.0},
            statement=f"{edge} was not measured any more: no calls.",
        )
        for edge, at in last.items()
        if first[edge] < onset <= half and at < half
    ]


def _finding(
    series: Series, name: str, by: Deviation, z: float, factor: float, window: Window
) -> Finding:
    up = by.value > by.baseline
    unit = "" if series.unit == "%" or not series.unit else f" {series.unit}"
    return Finding(
        kind="edge",
        subject=series.owner,
        name=name,
        source="metrics",
        query=series.name,
        window=window,
        value=by.value,
        baseline=by.baseline,
        unit=series.unit,
        onset=by.first_out,
        direction="up" if up else "down",
        strength=strength_of(z) if z > 0 or name == "calls" else 0.0,
        figures={"z": z, "delta": by.change * factor, "steady": by.steady, "fresh": by.fresh},
        statement=(
            f"{series.owner} {series.metric} {'rose' if up else 'fell'} to {by.value:.4g}{unit},"
            f" normally {by.baseline:.4g}{unit}."
        ),
    )


def _derived(telemetry: Telemetry, onset: Timestamp, window: Window) -> list[Finding]:
    """Time between the caller's measurement of an edge and the callee's own, same quantile."""
    if any(read(one.metric).side == "gap" for one in telemetry.series):
        return []
    own: dict[tuple[str, str], Series] = {}
    edges: list[tuple[Series, Owner, str]] = []
    for one in telemetry.series:
        signal, owner = read(one.metric), Owner.parse(one.owner)
        if signal.family != "latency" or signal.version or not signal.quantile:
            continue
        if owner.kind == "service" and signal.side == "own":
            own[owner.service, signal.quantile] = one
        elif owner.kind == "edge" and signal.side != "callee":
            edges.append((one, owner, signal.quantile))
    past = {one.name: one for one in telemetry.baseline}
    found = []
    for series, owner, quantile in edges:
        callee = own.get((owner.service, quantile))
        if callee is None or seconds_per(callee.unit) != seconds_per(series.unit):
            continue
        by = _gap(series, callee, past, onset)
        if by is not None and by.change > 0 and _confirmed(by, series, onset):
            factor = seconds_per(series.unit)
            z = by.change * factor / max(by.scale * factor, _MILLISECOND)
            found.append(_finding(series, "wire_latency", by, z, factor, window))
    return found


_CONFIRMED = 3
"""Both ends are read up to one interval apart, so one or two samples may show a gap of nobody."""


def _confirmed(by: Deviation, series: Series, onset: Timestamp) -> bool:
    times, _ = finite(series)
    return by.steady * (times.size - since(times, onset)) >= _CONFIRMED - 0.5


def _gap(
    edge: Series, callee: Series, past: dict[str, Series], onset: Timestamp
) -> Deviation | None:
    times, gap = _minus(edge, callee)
    first = since(times, onset)
    before = gap[:first]
    history = past.get(edge.name), past.get(callee.name)
    if history[0] is not None and history[1] is not None:
        before = _minus(history[0], history[1])[1]
    return deviation(before, times[first:], gap[first:])


def _minus(
    one: Series, other: Series
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]
]:
    a_times, a = finite(one)
    b_times, b = finite(other)
    common, at_a, at_b = np.intersect1d(a_times, b_times, return_indices=True)
    return common, a[at_a] - b[at_b]


_USUAL_REPEATS = 1.0
"""Up to one repeat per call is how a failing callee looks anyway."""

_TIMES_WORSE = 2.0
_CALLS = re.compile(r"calls|request")


def retry_findings(telemetry: Telemetry, onset: Timestamp) -> list[Finding]:
    """Return who repeats each call more than once, and twice as often as before.

    A counter of repeats often begins with the first one, so no past at all means none.
    """
    rates = {
        one.owner: one
        for one in telemetry.series
        if read(one.metric).family == "traffic" and _CALLS.search(one.metric)
    }
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    found = [
        _retry_finding(one, rates, onset, window)
        for one in telemetry.series
        if read(one.metric).family == "retries" and one.unit != "%"
    ]
    return [one for one in found if one is not None]


def _retry_finding(
    one: Series, rates: dict[str, Series], onset: Timestamp, window: Window
) -> Finding | None:
    before, now = _median(one, onset)
    firsts_before, firsts = _firsts(one, rates, onset)
    if firsts <= 0.0:
        return None
    usual = before / firsts_before if firsts_before > 0.0 else 0.0
    per_call = now / firsts
    if per_call <= max(_USUAL_REPEATS, _TIMES_WORSE * usual):
        return None
    return Finding(
        kind="edge" if Owner.parse(one.owner).kind == "edge" else "metric",
        subject=one.owner,
        name="retries_per_call",
        source="metrics",
        query=one.name,
        window=window,
        value=per_call,
        baseline=usual,
        direction="up",
        strength=strength_of(10.0 * per_call),
        figures={"z": 10.0 * per_call, "delta": per_call - usual, "per_call": per_call},
        statement=f"{one.owner} repeats each call {per_call:.1f} times, normally {usual:.1f}.",
    )


def _firsts(one: Series, rates: dict[str, Series], onset: Timestamp) -> tuple[float, float]:
    """Calls per second that are no repeats, before and since; or the requests of the caller."""
    owner = Owner.parse(one.owner)
    repeats, calls = _median(one, onset), rates.get(one.owner)
    if calls is not None and owner.kind == "edge":
        all_calls = _median(calls, onset)
        firsts = all_calls[0] - repeats[0], all_calls[1] - repeats[1]
        if firsts[1] > 0.0:
            return firsts
    requests = rates.get(owner.caller or owner.service)
    return _median(requests, onset) if requests is not None else (0.0, 0.0)


def _median(one: Series, onset: Timestamp) -> tuple[float, float]:
    times, values = finite(one)
    first = since(times, onset)
    before, now = values[:first], values[first:]
    return float(np.median(before)) if before.size else 0.0, float(
        np.median(now)
    ) if now.size else 0.0
