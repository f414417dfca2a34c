"""Recorded alert streams, normalised: what is delivered when, and apart from it the answer."""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.alerts.score import NOISE
from tools.clusterer import fingerprint
from tools.types import Alert, Edge, Severity, Timestamp, Topology

_SEVERITIES: dict[str, Severity] = {
    "critical": "critical",
    "high": "high",
    "warning": "warning",
    "info": "info",
    "low": "low",
}


@dataclass(frozen=True)
class AlertStream:
    """One stream: alerts by start, their ends (None: momentary), the topology; answers apart.

    `truth[i]` is the label of alert i; it is for scorers only.
    """

    name: str
    alerts: tuple[Alert, ...]
    ends: tuple[Timestamp | None, ...]
    topology: Topology
    truth: tuple[str, ...] = field(repr=False)

    @property
    def incidents(self) -> frozenset[str]:
        """Labels of the real incidents."""
        return frozenset(self.truth) - {NOISE}

    @property
    def days(self) -> float:
        """Length in days."""
        return max(1.0, self.alerts[-1].starts_at - self.alerts[0].starts_at) / 86400.0


def weeks(folder: Path) -> Iterator[AlertStream]:
    """Every stream `nezha_*.jsonl.gz` of a folder, with the topology beside them."""
    topology = _clusters(folder / "topology.json")
    for path in sorted(folder.glob("nezha_*.jsonl.gz")):
        name = path.name.removeprefix("nezha_").removesuffix(".jsonl.gz")
        rows = sorted(_lines(path), key=lambda row: (row["startsAt"], row["id"]))
        alerts = tuple(_labelled(row) for row in rows)
        ends = tuple(float(row["endsAt"]) for row in rows)
        yield AlertStream(name, alerts, ends, topology, tuple(row["incident"] for row in rows))


def storms(folder: Path) -> Iterator[AlertStream]:
    """Every security storm `ait_*.csv.gz` of a folder, labelled by attack phase."""
    for path in sorted(folder.glob("ait_*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as opened:
            rows = sorted(csv.DictReader(opened), key=lambda row: float(row["time"]))
        name = path.name.removeprefix("ait_").removesuffix(".csv.gz")
        truth = tuple(
            NOISE if r["time_label"] == "false_positive" else r["time_label"] for r in rows
        )
        alerts = tuple(_event(row) for row in rows)
        yield AlertStream(name, alerts, (None,) * len(rows), Topology(), truth)


def event_labels(folder: Path, name: str) -> tuple[str, ...]:
    """The second labelling of a storm: by the event itself, not by the phase it fell into."""
    with gzip.open(folder / f"ait_{name}.csv.gz", "rt", encoding="utf-8", newline="") as opened:
        rows = sorted(csv.DictReader(opened), key=lambda row: float(row["time"]))
    return tuple(NOISE if row["event_label"] == "-" else row["event_label"] for row in rows)


def composed(folder: Path, truth: Path) -> Iterator[AlertStream]:
    """Streams composed of recorded anomaly events (`alert_streams/`), where answers exist."""
    answers = json.loads(truth.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*/alerts.ndjson.gz")):
        name = path.parent.name
        if name not in answers:
            continue
        rows = list(_lines(path))
        edges = json.loads((path.parent / "topology.json").read_text(encoding="utf-8"))["edges"]
        topology = Topology(edges=tuple(Edge(caller=a, callee=b) for a, b in edges))
        alerts = tuple(_anomaly(row) for row in rows)
        labels = tuple(str(label) for label in answers[name]["label"])
        yield AlertStream(name, alerts, (None,) * len(rows), topology, labels)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as opened:
        for line in opened:
            yield json.loads(line)


def _clusters(path: Path) -> Topology:
    if not path.exists():
        return Topology()
    clusters = json.loads(path.read_text(encoding="utf-8"))
    pairs = [pair for calls in clusters.values() for pair in calls]
    return Topology(edges=tuple(Edge(caller=caller, callee=callee) for caller, callee in pairs))


def _labelled(row: dict[str, Any]) -> Alert:
    labels = {str(name): str(value) for name, value in row["labels"].items()}
    return Alert(
        fingerprint=fingerprint(labels),
        name=labels.get("alertname", ""),
        severity=_SEVERITIES.get(labels.get("severity", ""), "warning"),
        service=labels.get("service", ""),
        starts_at=float(row["startsAt"]),
        labels=labels,
        source="alertmanager",
    )


def _event(row: dict[str, str]) -> Alert:
    labels = {"alertname": row["name"], "host": row["host"], "ip": row["ip"]}
    at = float(row["time"])
    return Alert(
        fingerprint=fingerprint(labels),
        name=row["name"],
        service=row["host"],
        starts_at=at,
        ends_at=at,
        labels=labels,
        source="siem",
    )


def _anomaly(row: dict[str, Any]) -> Alert:
    labels = {
        "alertname": f"{row['kind']}:{row['signal']}",
        "service": str(row["service"]),
        "instance": str(row["instance"]),
    }
    if row.get("caller"):
        labels["caller"] = str(row["caller"])
    at = float(row["ts"])
    return Alert(
        fingerprint=fingerprint(labels),
        name=labels["alertname"],
        service=labels["service"],
        starts_at=at,
        ends_at=at,
        labels=labels,
        source="anomaly-events",
        value=row.get("score"),
    )
