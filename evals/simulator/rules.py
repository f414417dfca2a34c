"""Alerting rules with thresholds and `for:`, evaluated on every sample as Prometheus does.

An alert starts when its condition has held for the rule's `for`, and is resolved by the first
sample on which the condition does not hold.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evals.simulator.graph import Graph
from evals.simulator.readings import Column
from tools.clusterer import fingerprint
from tools.types import ENTRY, Alert, FloatArray, Owner, Severity, Timestamp

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class AlertRule:
    """`metric` of owners of this kind above (or below) a limit for `for_s` seconds.

    The limit is `fixed`, or `times` what the series reads under the mean traffic, whichever is
    further away from normal. With `ahead_s` the reading is carried on that far along its slope of
    the last minute, as `predict_linear` does.
    """

    name: str
    owners: Literal["service", "edge", "node", "entry"]
    metric: str
    for_s: float
    severity: Severity
    fixed: float
    times: float = 0.0
    below: bool = False
    ahead_s: float = 0.0
    text: str = ""


RULES = (
    AlertRule("HighErrorRate", "service", "error_pct", 30, "critical", 5.0, text="answers errors"),
    AlertRule(
        "HighLatencyP99", "service", "latency_p99_ms", 45, "warning", 0.0, 3.0, text="answers late"
    ),
    AlertRule(
        "CpuSaturated", "service", "cpu_pct", 45, "warning", 92.0, text="runs at its CPU limit"
    ),
    AlertRule(
        "MemoryNearLimit", "service", "mem_pct", 30, "warning", 85.0, text="nears its memory limit"
    ),
    AlertRule(
        "PoolNearlyExhausted",
        "service",
        "pool_in_use_pct",
        30,
        "warning",
        92.0,
        text="has almost no free connections",
    ),
    AlertRule(
        "DiskWillFill",
        "service",
        "disk_used_pct",
        30,
        "warning",
        100.0,
        ahead_s=600.0,
        text="will be full in ten minutes",
    ),
    AlertRule(
        "MemoryWillRunOut",
        "service",
        "mem_pct",
        30,
        "warning",
        100.0,
        ahead_s=300.0,
        text="will be out of memory in five minutes",
    ),
    AlertRule("DiskAlmostFull", "service", "disk_used_pct", 30, "warning", 88.0, text="fills up"),
    AlertRule(
        "PacketsRetransmitted",
        "service",
        "net_retransmit_pct",
        30,
        "warning",
        3.0,
        text="repeats packets",
    ),
    AlertRule(
        "DependencyFailing", "edge", "error_pct", 30, "warning", 12.0, text="fails for its caller"
    ),
    AlertRule(
        "DependencySlow", "edge", "latency_p90_ms", 45, "warning", 250.0, 3.3, text="is late"
    ),
    AlertRule("NodeCpuHigh", "node", "cpu_pct", 60, "info", 80.0, text="is busy"),
    AlertRule(
        "TrafficUnusual", "service", "request_rate", 30, "warning", 20.0, 1.9, text="is flooded"
    ),
    AlertRule(
        "SuccessRateLow",
        "entry",
        "success_pct",
        30,
        "critical",
        98.0,
        below=True,
        text="users see errors",
    ),
    AlertRule(
        "ErrorBudgetBurning",
        "entry",
        "success_pct",
        60,
        "high",
        99.0,
        below=True,
        text="spends its error budget ten times too fast",
    ),
    AlertRule(
        "FrontDoorSlow", "entry", "latency_p99_ms", 45, "critical", 0.0, 2.0, text="users wait"
    ),
)


@dataclass(slots=True)
class RuleWatch:
    """All rules over all columns, flat: one entry per (rule, series), and when it became true."""

    rule: list[AlertRule]
    column: list[Column]
    position: np.ndarray[tuple[int], np.dtype[np.intp]]
    limit: FloatArray
    sign: FloatArray
    for_s: FloatArray
    ahead_s: FloatArray
    entry: str
    homes: dict[str, str]
    since: FloatArray = field(init=False)
    firing: dict[int, int] = field(default_factory=dict)  # flat entry -> position in `alerts`
    alerts: list[Alert] = field(default_factory=list)
    minute: deque[tuple[Timestamp, FloatArray]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.since = np.full(len(self.rule), np.nan)

    def look(self, now: Timestamp, values: FloatArray) -> None:
        """Evaluate every rule on one sample."""
        read = values[self.position]
        read = read + self.ahead_s * self._slope(now, read)
        true = (read - self.limit) * self.sign > 0
        self.since = np.where(true, np.where(np.isnan(self.since), now, self.since), np.nan)
        for i in [i for i in self.firing if not true[i]]:
            fired = self.firing.pop(i)
            ended = {"status": "resolved", "ends_at": now}
            self.alerts[fired] = self.alerts[fired].model_copy(update=ended)
        ready = true & (now - np.where(true, self.since, now) >= self.for_s)
        for place in np.flatnonzero(ready):
            i = int(place)
            if i not in self.firing:
                self.firing[i] = len(self.alerts)
                self.alerts.append(self._alert(i, now, float(read[i])))

    def _slope(self, now: Timestamp, read: FloatArray) -> FloatArray:
        """Change per second over the last minute; 0 until a minute was seen."""
        self.minute.append((now, read))
        while len(self.minute) > 1 and self.minute[1][0] <= now - _MINUTE_S:
            self.minute.popleft()
        then, before = self.minute[0]
        if now - then < _MINUTE_S:
            return np.zeros(len(read))
        slope: FloatArray = (read - before) / (now - then)
        return slope

    def _alert(self, i: int, now: Timestamp, value: float) -> Alert:
        rule, column = self.rule[i], self.column[i]
        owner = Owner.parse(column.owner)
        labels = {"alertname": rule.name, "severity": rule.severity, "cluster": "sim"}
        service = owner.service
        if owner.kind == "edge":
            service = owner.caller
            labels["dependency"] = owner.service
        elif owner.kind == "node":
            service = ""
            labels["node"] = owner.service
        elif owner.kind == "entry":
            service = self.entry
        if service:
            labels["service"] = service
        if rule.metric == "net_retransmit_pct":
            labels["node"] = self.homes.get(service, "")
        return Alert(
            fingerprint=fingerprint(labels),
            name=rule.name,
            severity=rule.severity,
            service=service,
            starts_at=now,
            labels=labels,
            annotations={
                "summary": f"{column.owner} {rule.text}",
                "description": f"{rule.metric} {'will be' if rule.ahead_s else 'is'} "
                f"{value:.4g}{column.unit}, limit {self.limit[i]:.4g}{column.unit} "
                f"for {rule.for_s:.0f} s",
            },
            source="alertmanager",
            value=float(f"{value:.4g}"),
        )


def watch(graph: Graph, columns: tuple[Column, ...], normal: FloatArray) -> RuleWatch:
    """Rules applied to the columns of a world that reads `normal` under its mean traffic."""
    found: list[tuple[AlertRule, Column, int, float]] = []
    for position, column in enumerate(columns):
        kind = "entry" if column.owner == ENTRY else Owner.parse(column.owner).kind
        for rule in RULES:
            if rule.owners != kind or rule.metric != column.metric:
                continue
            limit = max(rule.fixed, rule.times * float(normal[position]))
            found.append((rule, column, position, limit))
    return RuleWatch(
        rule=[rule for rule, *_ in found],
        column=[column for _, column, *_ in found],
        position=np.array([position for *_, position, _ in found], dtype=np.intp),
        limit=np.array([limit for *_, limit in found]),
        sign=np.array([-1.0 if rule.below else 1.0 for rule, *_ in found]),
        for_s=np.array([rule.for_s for rule, *_ in found]),
        ahead_s=np.array([rule.ahead_s for rule, *_ in found]),
        entry=graph.entry,
        homes=graph.home,
    )
