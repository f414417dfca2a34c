"""Signs of bad performance, from alerts and from series, in one form."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.cluster_inspector.view import View
from tools.types import Alert, Series

SignalKind = Literal["latency", "throttled", "cpu", "memory", "loss", "errors", "silence"]

_WORDS: tuple[tuple[str, SignalKind], ...] = (
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
class Signal:
    """One measured quantity of one owner (`name` or `node:NAME`) that left its normal value."""

    owner: str
    kind: SignalKind
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


def kind_of(text: str) -> SignalKind | None:
    """The kind of signal that a metric's or an alert's name speaks of.

    >>> kind_of("CPUThrottlingHigh"), kind_of("p90latency")
    ('throttled', 'latency')
    """
    return next((kind for words, kind in _KINDS if words.search(text)), None)


def _from_alert(alert: Alert) -> Signal | None:
    metric = alert.labels.get("metric", "")
    kind = kind_of(f"{alert.name} {metric}")
    node = alert.labels.get("node", "")
    owner = alert.service or (f"node:{node}" if node else "")
    if kind is None or not owner or alert.status != "firing":
        return None
    normal = alert.annotations.get("normal", "")
    return Signal(
        owner=owner,
        kind=kind,
        metric=metric or alert.name,
        normal=float(normal) if re.fullmatch(r"\d+(?:\.\d+)?", normal) else None,
        current=alert.value or 0.0,
        text=alert.annotations.get("description", "") or alert.name,
    )


def signals(view: View) -> tuple[Signal, ...]:
    """Every signal of the state."""
    return tuple(_alerts(view))


def _alerts(view: View) -> Iterator[Signal]:
    for alert in view.state.alerts:
        signal = _from_alert(alert)
        if signal is not None:
            yield signal


def shift(series: Series, quiet: float = 0.25) -> tuple[float, float] | None:
    """Median of the first `quiet` share and the highest median of two later thirds."""
    values = series.values[np.isfinite(series.values)]
    if len(values) < 12:
        return None
    first = max(int(len(values) * quiet), 3)
    parts = np.array_split(values[first:], 3)
    return float(np.median(values[:first])), max(float(np.median(part)) for part in parts)
