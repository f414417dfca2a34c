"""Whose a measurement is, read from the labels of an answer."""

import re
from collections.abc import Mapping

from copilot.sources.prometheus.plan import PlannedQuery

_PORT = re.compile(r":\d{1,5}$")


def owned_by(asked: PlannedQuery, labels: Mapping[str, str]) -> str:
    """The owner that an answer's labels name; empty where they name none."""
    parts = [component(labels.get(label, "")) for label in asked.owners]
    if not all(parts):
        return ""
    if asked.query.owner == "edge":
        return "->".join(parts)
    return f"node:{parts[0]}" if asked.query.owner == "node" else parts[0]


def component(label: str) -> str:
    """A component's name in a label's value: without port, and without Kubernetes' domain.

    >>> component("pay.shop.svc.cluster.local:8080")
    'pay'
    """
    name = _PORT.sub("", label.strip())
    inside, service, _ = name.partition(".svc")
    name = inside.split(".")[0] if service else name
    return name if len(name) <= 200 and name.isprintable() and "->" not in name else ""
