"""The benchmark's own output formats (all that is not kubectl's) as typed facts."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np

from copilot.sources.kubernetes.quantities import amounts
from tools.types import Alert, ClusterState, Edge, LogExcerpt, Node, NodeService, Series, Taint

_LINE_LIMIT = 4000


def unit(node: str, service: str, text: str) -> ClusterState:
    """What systemd's status text says: running or not."""
    state = re.search(r"Active: (?P<state>[\w-]+)(?: \((?P<sub>[^)\n]*)\))?[^\n]*", text)
    active = None if state is None else (state["state"], state["sub"]) == ("active", "running")
    found = NodeService(
        node=node, service=service, active=active, detail=state.group() if state else text[:200]
    )
    return ClusterState(node_services=(found,))


def _items(value: object, key: str) -> list[Mapping[str, object]]:
    inside = value.get(key) if isinstance(value, Mapping) else None
    return (
        [item for item in inside if isinstance(item, Mapping)] if isinstance(inside, list) else []
    )


def _parsed(found: object) -> object:
    if not isinstance(found, str):
        return found
    try:
        return json.loads(found) if found.strip() else {}
    except ValueError:
        return {"": found.splitlines()}


def logs(component: str, answer: object) -> ClusterState:
    """Error lines: patterns with counts, or lists of lines by container, as text or parsed."""
    found = _parsed(answer)
    lines = [
        LogExcerpt(
            component=component,
            message=str(item.get("sample", ""))[:_LINE_LIMIT],
            count=int(str(item.get("count", 1))),
        )
        for item in _items(found, "patterns")
    ]
    for container, written in found.items() if isinstance(found, Mapping) else ():
        if container != "patterns" and isinstance(written, list):
            lines += [
                LogExcerpt(
                    component=component, container=str(container), message=str(line)[:_LINE_LIMIT],
                    previous=container == "previous",
                )
                for line in written
            ]  # fmt: skip
    return ClusterState(logs=tuple(lines))


_TREE = re.compile(r"^(?P<indent>[│├└─\s]*)(?P<name>[\w.-]+)")


def dependencies(text: str) -> ClusterState:
    """The callers and the tree of callees of one service."""
    named = re.search(r"\[Service\]: *([\w.-]+)", text)
    if named is None:
        return ClusterState()
    callers = re.search(r"\[Upstream[^\]]*\]: *([^\n]*)", text)
    pairs = {
        (caller.strip(), named[1])
        for caller in (callers[1].split(",") if callers else ())
        if re.fullmatch(r"[\w.-]+", caller.strip())
    }
    stack: list[tuple[int, str]] = []
    for line in text.partition("[Downstream")[2].splitlines()[1:]:
        item = _TREE.match(line)
        if item is None:
            continue
        depth = len(item["indent"])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            pairs.add((stack[-1][1], item["name"]))
        stack.append((depth, item["name"]))
    edges = tuple(
        Edge(caller=one, callee=other, source="catalogue") for one, other in sorted(pairs)
    )
    return ClusterState(edges=edges)


def configuration(found: object) -> ClusterState:
    """Labels, taints and capacity of the nodes."""
    nodes = []
    for item in _items(found, "nodes"):
        written = item.get("taints")
        taints = (
            str(taint).rpartition(":") for taint in (written if isinstance(written, list) else ())
        )
        labels = item.get("labels")
        nodes.append(
            Node(
                name=str(item.get("name", "")),
                labels={str(k): str(v) for k, v in labels.items()}
                if isinstance(labels, Mapping)
                else {},
                taints=tuple(
                    Taint(key=key.partition("=")[0], value=key.partition("=")[2], effect=effect)
                    for key, _, effect in taints
                ),
                allocatable=amounts(item.get("allocatable_resources")),
            )
        )
    return ClusterState(nodes=tuple(nodes))


_MEASURE = re.compile(
    r"(?:(?P<metric>[\w-]*latency): )?Normal=(?P<normal>[\d.]+)[^>|]*-> "
    r"Cur(?:rent)?=(?P<now>[\d.]+)"
)


def _measured(name: str, node: bool, text: str) -> Iterator[Alert]:
    kind, _, what = text.partition("|")[0].partition("[")
    measures = [measure.groupdict() for measure in _MEASURE.finditer(text)]
    plain = re.search(r"Val: (?P<now>[\d.]+)", text)
    for index, values in enumerate(measures or [plain.groupdict() if plain else {}]):
        metric = values.get("metric") or what.strip("] ")
        yield Alert(
            fingerprint=f"{name}/{kind}/{metric}/{index}",
            name=kind.strip(),
            service="" if node else name,
            starts_at=0.0,
            labels={"metric": metric, **({"node": name} if node else {})},
            annotations={"normal": values.get("normal") or "", "description": text},
            value=float(values["now"]) if values.get("now") else None,
            source="cloud-opsbench",
        )


def alerts(found: object) -> ClusterState:
    """Measured anomalies of services and nodes, and failed business calls by entry service."""
    fired: list[Alert] = []
    for item in _items(found, "alerts"):
        evidence = item.get("evidence")
        for text in evidence if isinstance(evidence, list) else ():
            fired += _measured(str(item.get("name", "")), item.get("type") == "Node", str(text))
        if "entry_service" in item:
            fired.append(
                Alert(
                    fingerprint=json.dumps(dict(item), sort_keys=True, default=str),
                    name="FailedCalls",
                    service=str(item["entry_service"]),
                    starts_at=0.0,
                    labels={"path": str(item.get("url", "")), "metric": "errors"},
                    annotations={"description": str(item.get("raw_error", ""))},
                    value=float(str(item.get("occurrences", 0))),
                    source="cloud-opsbench",
                )
            )
    return ClusterState(alerts=tuple(fired))


def series(text: str) -> tuple[Series, ...]:
    """The columns `component-metric` of a metrics file; times as written, taken for UTC."""
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 2:
        return ()
    times = np.array([datetime.fromisoformat(f"{row[0]}+00:00").timestamp() for row in rows[1:]])
    found = []
    for column, name in enumerate(rows[0][1:], start=1):
        owner, _, metric = name.rpartition("-")
        values = np.array([float(row[column]) if row[column] else np.nan for row in rows[1:]])
        found.append(Series(owner=owner, metric=metric, times=times, values=values))
    return tuple(found)
