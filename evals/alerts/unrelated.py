"""A stream of alerts that have nothing to do with each other, and how many are merged wrongly.

Drawn from `rules.jsonl`, the labelled rules of many projects: handfuls of different subjects within
a minute, hours between the handfuls. Whoever merges two of one handful invents a relation.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from copilot.alerts.formats.normal import normalised
from evals.alerts.streams import AlertStream
from tools.types import Alert, Timestamp, Topology

TABLE = Path(__file__).with_name("rules.jsonl")

START = 1_767_225_600.0
HANDFUL = (3, 6)
WITHIN_S = 60.0
APART_S = 3 * 3600.0
FIRES_S = 600.0

PLACES = ("node", "nodename", "host", "hostname", "kubernetes_node", "zone", "cluster")
"""Labels that would relate two alerts if they had a value of one in common."""


def unrelated(seed: int = 0, table: Path = TABLE) -> AlertStream:
    """The stream; the label of each alert is its subject, so each is an incident of its own."""
    drawn = random.Random(seed)
    rows = [row for row in _rows(table) if row["subject"]["name"] and not row["heartbeat"]]
    drawn.shuffle(rows)
    alerts: list[Alert] = []
    truth: list[str] = []
    at = START
    while handful := _handful(rows, drawn.randint(*HANDFUL)):
        for row in handful:
            alerts.append(_alert(row, at + drawn.uniform(0.0, WITHIN_S)))
            truth.append(_name(row))
        at += APART_S
    order = sorted(range(len(alerts)), key=lambda index: alerts[index].starts_at)
    return AlertStream(
        name="unrelated",
        alerts=tuple(alerts[index] for index in order),
        ends=tuple(alerts[index].starts_at + FIRES_S for index in order),
        topology=Topology(),
        truth=tuple(truth[index] for index in order),
    )


def merged_wrongly(truth: Sequence[str], clusters: Sequence[str]) -> float:
    """Per cent of alerts that share a cluster with an alert of another subject.

    >>> merged_wrongly(["a", "b", "c", "d"], ["x", "x", "y", "z"])
    50.0
    """
    within: dict[str, set[str]] = defaultdict(set)
    for label, cluster in zip(truth, clusters, strict=True):
        within[cluster].add(label)
    wrong = sum(len(within[cluster]) > 1 for cluster in clusters)
    return 100.0 * wrong / len(clusters) if clusters else 0.0


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    for line in table.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _handful(rows: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Take rows of different subjects that share no place; empty when too few are left."""
    taken: list[dict[str, Any]] = []
    for row in list(rows):
        if all(_apart(row, other) for other in taken):
            taken.append(row)
            rows.remove(row)
        if len(taken) == size:
            return taken
    return []


def _apart(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    here = {row["labels"].get(name) for name in PLACES} - {None}
    there = {other["labels"].get(name) for name in PLACES} - {None}
    names = {row["subject"]["name"], *row["subject"]["also"]}
    others = {other["subject"]["name"], *other["subject"]["also"]}
    return here.isdisjoint(there) and names.isdisjoint(others)


def _name(row: Mapping[str, Any]) -> str:
    subject = row["subject"]
    return f"{subject['kind']}/{subject['namespace']}/{subject['name']}"


def _alert(row: Mapping[str, Any], at: Timestamp) -> Alert:
    return normalised(
        row["labels"],
        row["annotations"],
        status="firing",
        starts_at=at,
        ends_at=None,
        source="alertmanager",
    )
