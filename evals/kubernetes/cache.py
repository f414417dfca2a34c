"""A cluster that answers from the benchmark's cache of recorded diagnostic calls."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from copilot.sources.kubernetes import manifest
from evals.kubernetes.cases import OpsBenchCase
from evals.kubernetes.describe import described
from evals.kubernetes.listings import listing
from evals.kubernetes.texts import alerts, configuration, dependencies, logs, series, unit
from tools.types import ClusterQuery, ClusterQueryVerb, ClusterState, Connection

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
        plural = _PLURALS[item.kind]
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
