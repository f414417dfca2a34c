"""What a user would pick instead, in the same run: Alertmanager's grouping, Keep, call graph."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from evals.alerts.feed import MethodOutcome
from evals.alerts.streams import AlertStream
from tools.clusterer.call_paths import CallPaths
from tools.types import Alert, Timestamp


@dataclass
class _AggregationGroup:
    """Alertmanager's `aggrGroup`: alerts by fingerprint, and when it is flushed next."""

    cluster: str
    flush_at: Timestamp
    ends: dict[str, Timestamp] = field(default_factory=dict)
    waiting: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    sent: frozenset[str] = frozenset()


def alertmanager(
    stream: AlertStream, group_by: Sequence[str], wait: float = 30.0, interval: float = 300.0
) -> MethodOutcome:
    """Alertmanager 0.25's dispatcher with its default timers, emulated.

    A group is flushed `wait` after it was made, then every `interval`; resolved alerts leave it at
    a flush, and an empty group is deleted. An alert that starts and ends between two flushes is
    never sent. Source: prometheus/alertmanager `dispatch/dispatch.go`, `notify/notify.go`.
    """
    outcome = MethodOutcome(clusters=[""] * len(stream.alerts))
    groups: dict[tuple[str, ...], _AggregationGroup] = {}
    sent: set[int] = set()
    for index, alert in enumerate(stream.alerts):
        for key in [key for key, group in groups.items() if group.flush_at <= alert.starts_at]:
            if not _flush_until(groups[key], alert.starts_at, interval, outcome, sent):
                del groups[key]
        key = tuple(alert.labels.get(name, "") for name in group_by)
        if key not in groups:
            name = f"{'/'.join(key)}@{index}"
            groups[key] = _AggregationGroup(name, alert.starts_at + wait)
        group = groups[key]
        group.ends[alert.fingerprint] = stream.ends[index] or alert.starts_at
        group.waiting[alert.fingerprint].append(index)
        outcome.clusters[index] = group.cluster
    for group in groups.values():
        _flush_until(group, float("inf"), interval, outcome, sent)
    outcome.never_sent = len(stream.alerts) - len(sent)
    return _by_size(outcome)


def _flush_until(
    group: _AggregationGroup,
    now: Timestamp,
    interval: float,
    outcome: MethodOutcome,
    sent: set[int],
) -> bool:
    """Run the flushes that are due; False once the group is empty and gone."""
    while group.flush_at <= now:
        at = group.flush_at
        firing = frozenset(key for key, end in group.ends.items() if end > at)
        over = [key for key, end in group.ends.items() if end <= at]
        if firing - group.sent or any(key in group.sent for key in over):
            outcome.notifications += 1
            outcome.told.setdefault(group.cluster, at)
            for key in firing:
                sent.update(group.waiting[key])
            group.sent = firing
        for key in over:
            del group.ends[key]
            group.waiting.pop(key, None)
        if not group.ends:
            return False
        group.flush_at = at + interval
    return True


def keep_rule(
    stream: AlertStream, group_by: Sequence[str], timeframe: float = 600.0
) -> MethodOutcome:
    """Keep's correlation rule: one incident per key until `timeframe` passes without an alert.

    Source: keephq/keep `docs/overview/correlation-rules.mdx`. It notifies at once.
    """
    outcome = MethodOutcome(clusters=[""] * len(stream.alerts))
    last: dict[tuple[str, ...], tuple[Timestamp, str]] = {}
    for index, alert in enumerate(stream.alerts):
        key = tuple(alert.labels.get(name, "") for name in group_by)
        then, cluster = last.get(key, (float("-inf"), ""))
        if alert.starts_at - then > timeframe:
            cluster = f"{'/'.join(key)}@{index}"
        last[key] = (alert.starts_at, cluster)
        outcome.clusters[index] = cluster
        outcome.told.setdefault(cluster, alert.starts_at)
    outcome.notifications = len(outcome.told)
    return _by_size(outcome)


def call_graph(stream: AlertStream, gap: float = 300.0) -> MethodOutcome:
    """Time and call graph: join the latest alert within `gap` on a service at most 1 call away."""
    reach = CallPaths(stream.topology)
    neighbours: dict[str, set[str]] = defaultdict(set)
    for edge in stream.topology.edges:
        neighbours[edge.caller].add(edge.callee)
        neighbours[edge.callee].add(edge.caller)
    outcome = MethodOutcome(clusters=[""] * len(stream.alerts))
    latest: dict[str, int] = {}
    for index, alert in enumerate(stream.alerts):
        near = neighbours[alert.service] if alert.service in reach.linked else set()
        candidates = [latest[name] for name in (alert.service, *near) if name in latest]
        recent = [i for i in candidates if _within(stream.alerts[i], alert, gap)]
        cluster = outcome.clusters[max(recent)] if recent else f"{alert.service}@{index}"
        outcome.clusters[index] = cluster
        outcome.told.setdefault(cluster, alert.starts_at)
        latest[alert.service] = index
    outcome.notifications = len(outcome.told)
    return _by_size(outcome)


def _within(earlier: Alert, later: Alert, gap: float) -> bool:
    return later.starts_at - earlier.starts_at <= gap


def _by_size(outcome: MethodOutcome) -> MethodOutcome:
    """No peer ranks its groups; the number of alerts is what a person would sort by."""
    for cluster in outcome.clusters:
        outcome.rank[cluster] = outcome.rank.get(cluster, 0.0) + 1.0
    return outcome
