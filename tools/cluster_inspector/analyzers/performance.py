"""Performance: everything runs, and something is slow; signs of it in one form, and its start."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.impact import SLOWER
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


CPU_RISE = 2.0
"""A container that takes this many times its usual CPU while throttled is the busy one."""
EXPLAINS = 0.2
"""A callee explains its caller's slowness when it slowed down by this share of it."""
FAINT = 0.05
"""And when it slowed down at least by this share at the lowest quantile that rose."""
SLIGHT = 0.02
"""Slowdowns below this share of the worst are noise beside it."""


def _subject(owner: str) -> tuple[str, str]:
    node = owner.removeprefix("node:")
    return (
        (f"node/{node}", f"Node/{node}")
        if node != owner
        else (f"app/{owner}", f"Deployment/{owner}")
    )


def saturation(view: View) -> Iterator[ClusterFinding]:
    """Services throttled at their CPU limit, or close to their memory limit; lossy nodes."""
    found = signals(view)
    cpu = {signal.owner: signal for signal in found if signal.kind == "cpu"}
    for signal in found:
        subject, on = _subject(signal.owner)
        if signal.kind == "throttled":
            risen = cpu.get(signal.owner)
            sure = risen is not None and risen.ratio >= CPU_RISE
            yield broken(
                "cpu-saturated", subject, on=on, field="spec.containers[*].resources.limits.cpu",
                observed=f"throttled {signal.current:g}", expected="CPU below its limit",
                score=0.93 if sure else 0.4, evidence=signal.text,
            )  # fmt: skip
        elif signal.kind == "cpu" and signal.ratio >= CPU_RISE and subject.startswith("app/"):
            yield broken(
                "cpu-saturated", subject, on=on, field="cpu", observed=f"{signal.current:g}",
                expected=f"{signal.normal or 0:g}", score=0.35, evidence=signal.text,
            )  # fmt: skip
    yield from _loss(found)


def _loss(found: tuple[ClusterSignal, ...]) -> Iterator[ClusterFinding]:
    lossy = [signal for signal in found if signal.kind == "loss"]
    worst = max((signal.current for signal in lossy), default=0.0)
    for signal in lossy:
        subject, on = _subject(signal.owner)
        node = subject.startswith("node/")
        yield broken(
            "node-network-loss" if node else "pod-network-loss", subject, on=on,
            field="tcp retransmissions", observed=f"{signal.current:g}",
            expected=f"{signal.normal or 0:g}", score=0.94 if signal.current == worst else 0.6,
            evidence=signal.text,
        )  # fmt: skip


def slowness(view: View) -> Iterator[ClusterFinding]:
    """The slow services that neither a slow callee nor a slow caller explains.

    A service is as slow as what it calls, so a callee explains its caller when it slowed down by a
    good share of the caller's slowdown, and not in the tail alone when the caller did in the
    median. And what a delayed service calls looks a little slow too, since it receives and sends
    over the delayed wire: a slow caller that no callee explains is the reason of its slow callees.
    Several origins on one node point at the node.
    """
    graph = Slowness.of(view)
    origins = graph.origins()
    busy = {signal.owner for signal in signals(view) if signal.kind == "throttled"}
    known = graph.known(view)
    for node, on_it in _together(view, origins).items():
        yield broken(
            "node-network-delay", f"node/{node}", on=f"Node/{node}", field="latency",
            observed=f"{', '.join(sorted(on_it))} are slow", expected="their usual latency",
            score=0.92 if known else 0.6, evidence=graph.texts[min(on_it)],
        )  # fmt: skip
    certain = len(origins) == 1 and known
    for owner in origins:
        subject, on = _subject(owner)
        share = graph.reach(owner) / len(graph.rises)
        yield broken(
            "pod-network-delay", subject, on=on, field="latency", observed=graph.texts[owner],
            expected="its usual latency", evidence=graph.texts[owner],
            score=(0.9 if certain else 0.6 + 0.2 * share) - (0.1 if owner in busy else 0.0),
        )  # fmt: skip


def _together(view: View, origins: list[str]) -> dict[str, set[str]]:
    """Nodes that hold at least two of the origins, and two thirds of all."""
    found: dict[str, set[str]] = defaultdict(set)
    for owner in origins:
        for pod in view.pods_by_application.get(owner, ()):
            if pod.node:
                found[pod.node].add(owner)
    return {
        node: owners
        for node, owners in found.items()
        if len(owners) >= 2 and 3 * len(owners) >= 2 * len(origins)
    }


@dataclass(frozen=True)
class Slowness:
    """By how much each service slowed down, per quantile, and who calls whom."""

    rises: dict[str, dict[str, float]]
    texts: dict[str, str]
    callees: dict[str, set[str]]

    @classmethod
    def of(cls, view: View) -> "Slowness":
        """The latencies of a state that rose."""
        rises: dict[str, dict[str, float]] = defaultdict(dict)
        texts: dict[str, str] = {}
        for signal in signals(view):
            if signal.kind == "latency" and signal.rise > 0:
                rises[signal.owner][signal.metric] = signal.rise
                texts.setdefault(signal.owner, signal.text)
        most = max((max(rise.values()) for rise in rises.values()), default=0.0)
        kept = {name: rise for name, rise in rises.items() if max(rise.values()) >= SLIGHT * most}
        callees: dict[str, set[str]] = defaultdict(set)
        for edge in view.state.edges:
            callees[edge.caller].add(edge.callee)
        return cls(kept, texts, callees)

    def known(self, view: View) -> bool:
        """Of every slow service it was asked whom it calls, or it stands in the graph."""
        drawn = {edge.caller for edge in view.state.edges} | {e.callee for e in view.state.edges}
        asked = {look.name for look in view.state.looked if look.verb == "dependencies"}
        return all(owner in drawn | asked for owner in self.rises)

    def origins(self) -> list[str]:
        """Services whose slowness starts with them, the slowest first."""
        unexplained = [owner for owner in self.rises if not self._by_callee(owner)]
        own = [owner for owner in unexplained if not self._by_caller(owner, unexplained)]
        return sorted(own, key=lambda owner: -max(self.rises[owner].values()))

    def _shares(self, caller: str, callee: str) -> dict[str, float]:
        """How much of the caller's rise the callee has, at each quantile where the caller rose."""
        its = self.rises.get(callee, {})
        return {metric: its.get(metric, 0.0) / rise for metric, rise in self.rises[caller].items()}

    def _explains(self, callee: str, caller: str) -> bool:
        shares = self._shares(caller, callee)
        return max(shares.values()) >= EXPLAINS and shares[min(shares)] >= FAINT

    def _by_callee(self, owner: str) -> bool:
        return any(
            self._explains(callee, owner)
            for callee in self.rises
            if callee != owner and self._leads(owner, callee) and not self._leads(callee, owner)
        )

    def _by_caller(self, owner: str, origins: list[str]) -> bool:
        return any(
            owner in self.callees.get(caller, ()) and not self._explains(owner, caller)
            for caller in origins
            if caller != owner
        )

    def reach(self, goal: str) -> int:
        """How many slow services are the goal or call it over any number of others."""
        return sum(self._leads(start, goal) for start in self.rises)

    def _leads(self, start: str, goal: str) -> bool:
        seen, waiting = {start}, [start]
        while waiting:
            owner = waiting.pop()
            if owner == goal:
                return True
            waiting += self.callees.get(owner, set()) - seen
            seen |= self.callees.get(owner, set())
        return False
