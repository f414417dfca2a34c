"""Feed a stream to the clusterer as it would come in, and keep what it said of every alert."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from evals.alerts.streams import AlertStream
from tools.clusterer import Clusterer, ClustererConfig
from tools.types import Alert, Timestamp

TICK = 1.0
"""Alerts of one second are delivered together, at its end."""


@dataclass
class MethodOutcome:
    """What a method made of a stream: a cluster per alert, and per cluster when it was told.

    `told` maps a cluster to the time of its first notification, `rank` to its score at the end;
    `sent[i]` is when alert i was first in a notification, None if never.
    """

    clusters: list[str]
    rank: dict[str, float] = field(default_factory=dict)
    told: dict[str, Timestamp] = field(default_factory=dict)
    notifications: int = 0
    never_sent: int = 0
    actions: list[str] = field(default_factory=list)


def deliveries(
    stream: AlertStream, tick: float = TICK
) -> Iterator[tuple[Timestamp, list[int], list[Alert]]]:
    """Batches by tick: (now, positions of the alerts that start, resolutions).

    An end is delivered when it happens: nobody knows at the start how long an alert will fire.
    """
    ends: list[tuple[Timestamp, int]] = []
    position, total = 0, len(stream.alerts)
    while position < total or ends:
        following = stream.alerts[position].starts_at if position < total else float("inf")
        moment = min(following, ends[0][0] if ends else float("inf"))
        now = (moment // tick + 1) * tick
        started, resolved = [], []
        while position < total and stream.alerts[position].starts_at < now:
            started.append(position)
            end = stream.ends[position]
            if end is not None:
                heapq.heappush(ends, (max(end, now), position))
            position += 1
        while ends and ends[0][0] < now:
            end, index = heapq.heappop(ends)
            alert = stream.alerts[index]
            resolved.append(alert.model_copy(update={"status": "resolved", "ends_at": end}))
        yield now, started, resolved


def ours(
    stream: AlertStream, config: ClustererConfig | None = None, tick: float = TICK
) -> MethodOutcome:
    """Run the clusterer over a stream from a cold start."""
    clusterer = Clusterer(stream.topology, config)
    outcome = MethodOutcome(clusters=[""] * len(stream.alerts), actions=[""] * len(stream.alerts))
    latest: dict[str, int] = {}
    for now, started, resolved in deliveries(stream, tick):
        batch = [*resolved, *(stream.alerts[index] for index in started)]
        decisions = clusterer.update(batch, now)[len(resolved) :]
        for index, decision in zip(started, decisions, strict=True):
            group = decision.group_id or f"alone-{index}"
            outcome.clusters[index] = group
            outcome.actions[index] = decision.action
            outcome.rank[group] = decision.rank
            latest[decision.fingerprint] = index
            if decision.action == "opened":
                outcome.told.setdefault(group, now)
        for moved in clusterer.corrections():
            outcome.clusters[latest[moved.fingerprint]] = moved.group_id
    return outcome
