"""A cluster that answers from the benchmark's cache of recorded calls, its own texts included."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from copilot.sources.kubernetes import manifest
from copilot.sources.kubernetes.quantities import amounts
from evals.kubernetes.cases import OpsBenchCase
from evals.kubernetes.describe import described
from evals.kubernetes.listings import listing
from tools.types import (
    Alert,
    ClusterQuery,
    ClusterQueryVerb,
    ClusterState,
    Connection,
    Edge,
    LogExcerpt,
    Node,
    NodeService,
    Series,
    Taint,
)

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


_PLURALS = {
    "Pod": "pods", "Deployment": "deployments", "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets", "ReplicaSet": "replicasets", "Job": "jobs", "Service": "services",
    "Endpoints": "endpoints", "Ingress": "ingresses", "NetworkPolicy": "networkpolicies",
    "ConfigMap": "configmaps", "Secret": "secrets", "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims", "PersistentVolume": "persistentvolumes",
    "StorageClass": "storageclasses", "ResourceQuota": "resourcequota", "Node": "nodes",
    "Event": "events",
}  # fmt: skip


@dataclass
class ToolCache:
    """A cluster that answers from a recorded cache; `made` are the calls, each at most once."""

    case: OpsBenchCase
    made: list[str] = field(default_factory=list)
    _keys: dict[tuple[str, frozenset[tuple[str, object]]], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.case.calls:
            tool, _, arguments = key.partition(":")
            if arguments.startswith("{"):
                named = json.loads(arguments)
                named.pop("namespace", None)
            else:
                named = {}
            self._keys.setdefault((tool, frozenset(named.items())), key)

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What the recorded calls for these questions say; nothing where none was recorded."""
        state = ClusterState(namespace=self.case.namespace)
        for item in looks:
            state = state.plus(self._one(item))
        return state

    def _call(self, tool: str, **arguments: object) -> object:
        key = self._keys.get((tool, frozenset(arguments.items())))
        if key is None:
            return None
        if key in self.made:
            raise ValueError(f"the call {key!r} was already made; a survey asks each once")
        self.made.append(key)
        return self.case.calls[key]

    def _text(self, tool: str, **arguments: object) -> str:
        found = self._call(tool, **arguments)
        return found if isinstance(found, str) else ""

    def _one(self, item: ClusterQuery) -> ClusterState:
        answers: dict[ClusterQueryVerb, Callable[[ClusterQuery], ClusterState]] = {
            "list": self._list,
            "describe": self._describe,
            "connect": self._connect,
            "node_service": self._node_service,
            "manifest": lambda it: manifest(self._text("GetAppYAML", app_name=it.name)),
            "errors": lambda it: logs(it.name, self._call("GetErrorLogs", service_name=it.name)),
            "logs": lambda it: logs(it.name, self._call("GetRecentLogs", service_name=it.name)),
            "dependencies": lambda it: dependencies(
                self._text("GetServiceDependencies", service_name=it.name)
            ),
            "configuration": lambda it: configuration(self._call("GetClusterConfiguration")),
            "alerts": lambda it: alerts(self._call("GetAlerts")),
            "metrics": lambda it: ClusterState(series=series(self.case.metrics)),
        }
        return answers[item.verb](item)

    def _describe(self, item: ClusterQuery) -> ClusterState:
        plural = _PLURALS[item.kind]
        text = self._text("DescribeResource", resource_type=plural, name=item.name)
        return described(item.kind, item.name, text) if text else ClusterState()

    def _list(self, item: ClusterQuery) -> ClusterState:
        """The wide form where there is one: it costs the same call."""
        plural = _PLURALS.get(item.kind, item.kind)
        for extra in ({"output_wide": True}, {}):
            wanted = {"resource_type": plural, "name": "", **extra}
            if ("GetResources", frozenset(wanted.items())) in self._keys:
                return listing(item.kind, self._text("GetResources", **wanted))
        return ClusterState()

    def _connect(self, item: ClusterQuery) -> ClusterState:
        text = self._text("CheckServiceConnectivity", service_name=item.name, port=int(item.detail))
        if not text:
            return ClusterState()
        found = Connection(
            service=item.name, port=int(item.detail), reachable="Succeeded" in text,
            detail=" ".join(text.split()),
        )  # fmt: skip
        return ClusterState(connections=(found,))

    def _node_service(self, item: ClusterQuery) -> ClusterState:
        text = self._text("CheckNodeServiceStatus", node_name=item.name, service_name=item.detail)
        return unit(item.name, item.detail, text) if text else ClusterState()
