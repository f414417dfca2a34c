"""How often calls are repeated: repeats per first call, before the onset and since."""

import re

import numpy as np

from tools.topology_walker.observe.deviation import finite, since
from tools.topology_walker.observe.metrics import strength_of
from tools.topology_walker.signals import read
from tools.types import Finding, Owner, Series, Telemetry, Timestamp, Window

_WORTH = 1.0
"""Up to one repeat per call is how a failing callee looks anyway."""

_WORSE = 2.0
_CALLS = re.compile(r"calls|request")


def retry_findings(telemetry: Telemetry, onset: Timestamp) -> list[Finding]:
    """Edges or components that repeat each call more than once, and twice as often as before.

    A counter of repeats often begins with the first one, so no past at all means none.
    """
    rates = {
        one.owner: one
        for one in telemetry.series
        if read(one.metric).family == "traffic" and _CALLS.search(one.metric)
    }
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    found = [
        _finding(one, rates, onset, window)
        for one in telemetry.series
        if read(one.metric).family == "retries" and one.unit != "%"
    ]
    return [one for one in found if one is not None]


def _finding(
    one: Series, rates: dict[str, Series], onset: Timestamp, window: Window
) -> Finding | None:
    before, now = _median(one, onset)
    firsts_before, firsts = _firsts(one, rates, onset)
    if firsts <= 0.0:
        return None
    usual = before / firsts_before if firsts_before > 0.0 else 0.0
    per_call = now / firsts
    if per_call <= max(_WORTH, _WORSE * usual):
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
