"""Signs of bad performance, from alerts and from series, in one form."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.cluster_inspector.view import View
from tools.types import Alert, Series

ClusterSignalKind = Literal["latency", "throttled", "cpu", "memory", "loss", "errors", "silence"]

_WORDS: tuple[tuple[str, ClusterSignalKind], ...] = (
    (r"missing|vanish|absent", "silence"),
    (r"throttl|cfs", "throttled"),
    (r"retrans|packet.?loss|packet.?drop", "loss"),
    (r"latency|slow|duration|response.?time", "latency"),
    (r"cpu", "cpu"),
    (r"memory|\bmem\b", "memory"),
    (r"error|success.?rate|failure", "errors"),
)
_KINDS = tuple((re.compile(words, re.IGNORECASE), kind) for words, kind in _WORDS)


@dataclass(frozen=True)
class ClusterSignal:
    """One measured quantity of one owner (`name` or `node:NAME`) that left its normal value."""

    owner: str
    kind: ClusterSignalKind
    metric: str
    normal: float | None
    current: float
    text: str

    @property
    def rise(self) -> float:
        """How far it rose; 0 where it fell."""
        return max(self.current - (self.normal or 0.0), 0.0)

    @property
    def ratio(self) -> float:
        """How many times its normal value it is; infinite from zero."""
        if not self.normal:
            return float("inf") if self.current > 0 else 1.0
        return self.current / self.normal


def kind_of(text: str) -> ClusterSignalKind | None:
    """The kind of signal that a metric's or an alert's name speaks of.

    >>> kind_of("CPUThrottlingHigh"), kind_of("p90latency")
    ('throttled', 'latency')
    """
    return next((kind for words, kind in _KINDS if words.search(text)), None)


def _from_alert(alert: Alert) -> ClusterSignal | None:
    metric = alert.labels.get("metric", "")
    kind = kind_of(f"{alert.name} {metric}")
    node = alert.labels.get("node", "")
    owner = alert.service or (f"node:{node}" if node else "")
    if kind is None or not owner or alert.status != "firing":
        return None
    normal = alert.annotations.get("normal", "")
    return ClusterSignal(
        owner=owner,
        kind=kind,
        metric=metric.removeprefix(f"{owner}-") or alert.name,
        normal=float(normal) if re.fullmatch(r"\d+(?:\.\d+)?", normal) else None,
        current=alert.value or 0.0,
        text=alert.annotations.get("description", "") or alert.name,
    )


def signals(view: View) -> tuple[ClusterSignal, ...]:
    """Every signal of the state: latencies as measured where the series show it, else alerts."""
    measured = {(signal.owner, signal.metric): signal for signal in _series(view)}
    fired = [signal for signal in map(_from_alert, view.state.alerts) if signal is not None]
    kept = [signal for signal in fired if (signal.owner, signal.metric) not in measured]
    return (*kept, *measured.values())


def _series(view: View) -> Iterator[ClusterSignal]:
    for series in view.state.series:
        if kind_of(series.metric) != "latency":
            continue
        moved = shift(series)
        if moved is None:
            continue
        normal, current, noise = moved
        if current > SLOWER * normal and current > normal + noise:
            text = f"{series.owner} {series.metric}: {normal:g} -> {current:g} {series.unit}"
            yield ClusterSignal(
                series.owner, "latency", series.metric, normal, current, text.strip()
            )


SLOWER = 1.5
"""A latency this many times its usual one, and above its usual noise, is slow."""


def shift(series: Series, quiet: float = 0.25) -> tuple[float, float, float] | None:
    """Usual value, worst later value, and the usual noise (range of the quiet part).

    The first `quiet` share of the points is taken for usual; the later value is the upper quartile
    of the rest, so that a single spike counts for nothing. Zeros are pauses.
    """
    values = series.values[np.isfinite(series.values)]
    first = max(int(len(values) * quiet), 4)
    if len(values) < 3 * first:
        return None
    usual = values[:first][values[:first] > 0]
    if len(usual) < 3:
        return None
    later = float(np.percentile(values[first:], 75))
    return float(np.median(usual)), later, float(np.ptp(usual))
