"""Nodes and control plane: what runs under the pods."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.constraints import is_control_plane
from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import NodeService

_SERVICES = (
    (re.compile(r"containerd|cri-?o|docker(?:d|shim)?"), "container-runtime-down"),
    (re.compile(r"kubelet"), "kubelet-down"),
    (re.compile(r"kube-?proxy"), "kube-proxy-down"),
    (re.compile(r"kube-scheduler"), "scheduler-down"),
    (re.compile(r"kube-apiserver|kube-controller-manager|etcd"), "control-plane-down"),
)
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_RUNTIME_SOCKET = re.compile(r"containerd\.sock|crio\.sock|container runtime (?:is )?(?:down|not)")


def services(view: View) -> Iterator[ClusterFinding]:
    """Services of a node that do not run.

    The runtime comes before the kubelet: a kubelet without a runtime reports an unready node too,
    while a dead kubelet leaves the runtime alive.
    """
    for item in view.state.node_services:
        if item.active is not False:
            continue
        yield broken(
            _rule(item),
            f"node/{item.node}",
            on=f"Node/{item.node}",
            field=f"service {item.service}",
            observed="not running",
            expected="running",
            score=0.99,
            evidence=item.detail,
        )


def _rule(item: NodeService) -> str:
    found = (rule for words, rule in _SERVICES if words.search(item.service))
    return next(found, "node-service-down")


def conditions(view: View) -> Iterator[ClusterFinding]:
    """Nodes that are not ready or run short, with what their kubelet says of it."""
    for node in view.state.nodes:
        for condition in node.conditions:
            if condition.type in _PRESSURES and condition.status == "True":
                yield broken(
                    "node-pressure", f"node/{node.name}", on=f"Node/{node.name}",
                    field=f"status.conditions[{condition.type}]", observed=condition.status,
                    expected="False", score=0.7, evidence=condition.message,
                )  # fmt: skip
        if node.ready is not False:
            continue
        said = next((c for c in node.conditions if c.type == "Ready"), None)
        silent = said is not None and said.status == "Unknown"
        runtime = said is not None and _RUNTIME_SOCKET.search(said.message)
        rule = (
            "kubelet-down" if silent else "container-runtime-down" if runtime else "node-not-ready"
        )
        yield broken(
            rule, f"node/{node.name}", on=f"Node/{node.name}", field="status.conditions[Ready]",
            observed=said.status if said else "NotReady", expected="True",
            score=0.9 if rule != "node-not-ready" else 0.8,
            evidence=said.message if said else f"node {node.name} is NotReady",
        )  # fmt: skip


def unattended(view: View) -> Iterator[ClusterFinding]:
    """Pods nobody scheduled and no scheduler spoke of: the scheduler is not at work."""
    masters = [node.name for node in view.state.nodes if is_control_plane(node)]
    for pod in view.state.pods:
        if pod.node or pod.status != "Pending" or not pod.conditions and not pod.spec.containers:
            continue
        if any(event.reason == "FailedScheduling" for event in view.events.get(pod.name, ())):
            continue
        subject = f"node/{masters[0]}" if masters else f"app/{view.application(pod.name)}"
        yield broken(
            "scheduler-down" if masters else "unschedulable", subject, on=f"Pod/{pod.name}",
            field="spec.nodeName", observed="no node, and no word of the scheduler",
            expected="a decision of the scheduler", score=0.6, evidence="no event",
        )  # fmt: skip
