"""Nodes: a pod waits because none satisfies all it asks for, or what runs under the pods fails."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.cluster_inspector.constraints import (
    is_control_plane,
    near,
    readable,
    selected,
    tolerated,
)
from tools.cluster_inspector.findings import HINT, PROVEN, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import Node, NodeService, Pod, PodSpec

_PART = re.compile(r", (?=\d+ )")
_COUNTED = re.compile(r"(?:\d+/\d+ nodes are available: )?(?P<count>\d+) (?P<why>.+)")
_TAINT = re.compile(r"(?:untolerated|had) taint \{(?P<key>[^:}]*)")
_INSUFFICIENT = re.compile(r"Insufficient (?P<resource>\S+)")


@dataclass(frozen=True)
class SchedulingDiagnosis:
    """What the scheduler says of one pod: reasons with the number of nodes each rules out."""

    message: str
    reasons: tuple[tuple[int, str], ...]

    def count(self, *words: str) -> int:
        """Nodes that are ruled out by a reason holding one of the words."""
        return sum(n for n, why in self.reasons if any(word in why for word in words))

    def taints(self) -> list[str]:
        """The keys of untolerated taints, those of the control plane and of dead nodes aside."""
        found = (_TAINT.search(why) for _, why in self.reasons)
        keys = [taint["key"].strip() for taint in found if taint]
        return [
            key
            for key in keys
            if not key.startswith(("node-role.kubernetes.io/", "node.kubernetes.io/"))
        ]

    def insufficient(self) -> list[str]:
        """The resources some nodes have too little of."""
        found = (_INSUFFICIENT.search(why) for _, why in self.reasons)
        return [short["resource"].rstrip(".") for short in found if short]


def verdict(message: str) -> SchedulingDiagnosis:
    """Read a FailedScheduling message.

    >>> said = "0/2 nodes are available: 1 node(s) were unschedulable, 1 Insufficient cpu."
    >>> verdict(said).reasons
    ((1, 'node(s) were unschedulable'), (1, 'Insufficient cpu'))
    """
    body = message.partition(" preemption:")[0].rstrip(". ")
    counted = (_COUNTED.fullmatch(part) for part in _PART.split(body))
    return SchedulingDiagnosis(message, tuple((int(c["count"]), c["why"]) for c in counted if c))


def pending(view: View) -> Iterator[tuple[str, Pod, SchedulingDiagnosis]]:
    """Pods without a node, with the scheduler's latest word on them.

    An event ages out after an hour; the pod's condition keeps the last word. Source:
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
    """
    for pod in view.state.pods:
        if pod.node or pod.status not in ("Pending", ""):
            continue
        events = [e for e in view.events.get(pod.name, ()) if e.reason == "FailedScheduling"]
        latest = min(events, key=lambda event: event.age or 0.0, default=None)
        said = latest.message if latest is not None else _unscheduled(pod, "Unschedulable")
        if said:
            yield view.application(pod.name), pod, verdict(said)


def _unscheduled(pod: Pod, reason: str) -> str:
    """What the pod's own condition says of a scheduling that failed for that reason."""
    return next(
        (c.message or c.reason for c in pod.conditions
         if (c.type, c.status, c.reason) == ("PodScheduled", "False", reason)),
        "",
    )  # fmt: skip


def _candidates(view: View, spec: PodSpec) -> list[Node] | None:
    """Worker nodes the pod's selector and affinity allow; None when labels are not known."""
    nodes = [node for node in view.state.nodes if not is_control_plane(node)]
    if not nodes or not any(node.labels for node in nodes):
        return None
    return [node for node in nodes if selected(spec, node) and near(spec, node)]


def unscheduled(view: View) -> Iterator[ClusterFinding]:
    """The constraint that keeps a pending pod from every node it could otherwise run on.

    The scheduler reports for each node only the first filter that failed, cordon and taint before
    affinity. So a cordoned node that the selector excludes anyway is no cause, and the nodes the
    selector allows decide which of the reasons is.
    """
    for application, pod, said in pending(view):
        spec = view.spec(application)
        candidates = _candidates(view, spec)
        subject = f"app/{application}"
        if candidates == [] and (spec.node_selector or spec.node_affinity):
            yield _no_candidate(view, subject, pod, spec, said)
            continue
        yield from _by_reason(view, subject, pod, said, candidates)


def gated(view: View) -> Iterator[ClusterFinding]:
    """Pods that the scheduler leaves aside until their gates are taken away.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/
    """
    for pod in view.current:
        said = _unscheduled(pod, "SchedulingGated")
        if said:
            yield broken(
                "scheduling-gated", f"app/{view.application(pod.name)}", on=f"Pod/{pod.name}",
                field="spec.schedulingGates", observed=said,
                expected="no gate: its controller takes them away", score=PROVEN, evidence=said,
            )  # fmt: skip


def _no_candidate(
    view: View, subject: str, pod: Pod, spec: PodSpec, said: SchedulingDiagnosis
) -> ClusterFinding:
    by_selector = spec.node_selector and not any(
        selected(spec, node) for node in view.state.nodes if not is_control_plane(node)
    )
    if by_selector:
        wanted = ", ".join(f"{key}={value}" for key, value in spec.node_selector.items())
        rule, field = "node-selector-unmet", "spec.nodeSelector"
    else:
        wanted = "; ".join(
            " and ".join(f"{r.key} {r.operator} {list(r.values)}" for r in term)
            for term in spec.node_affinity
        )
        rule, field = "node-affinity-unmet", "spec.affinity.nodeAffinity"
    return broken(
        rule, subject, on=f"Pod/{pod.name}", field=field, observed=wanted,
        expected="labels that a schedulable node carries", score=0.95, evidence=said.message,
    )  # fmt: skip


def _by_reason(
    view: View, subject: str, pod: Pod, said: SchedulingDiagnosis, candidates: list[Node] | None
) -> Iterator[ClusterFinding]:
    spec, on = view.spec(subject.removeprefix("app/")), f"Pod/{pod.name}"
    for resource in said.insufficient():
        yield _insufficient(view, subject, on, spec, resource, said)
    taints = said.taints()
    if taints and _tainted(candidates, spec, taints):
        yield broken(
            "taint-untolerated", subject, on=on, field="spec.tolerations",
            observed=f"no toleration of {', '.join(taints)}",
            expected="the nodes' taints tolerated",
            score=0.94, evidence=said.message,
        )  # fmt: skip
    if said.count("pod anti-affinity"):
        yield broken(
            "pod-anti-affinity-unmet", subject, on=on, field="spec.affinity.podAntiAffinity",
            observed=f"{said.count('pod anti-affinity')} nodes ruled out",
            expected="a node without a pod it avoids", score=0.95, evidence=said.message,
        )  # fmt: skip
    if said.count("match pod affinity"):
        yield broken(
            "pod-affinity-unmet", subject, on=on, field="spec.affinity.podAffinity",
            observed=f"{said.count('match pod affinity')} nodes ruled out",
            expected="a node near the pods it asks for", score=0.93, evidence=said.message,
        )  # fmt: skip
    cordoned = _cordoned(view, said, candidates)
    if cordoned:
        yield broken(
            "node-cordoned", subject, on=on, field="node.spec.unschedulable",
            observed=", ".join(cordoned), expected="a schedulable node among those it may use",
            score=0.93, evidence=said.message,
        )  # fmt: skip
    if said.count("Too many pods"):
        yield broken(
            "pod-limit", subject, on=on, field="node.status.allocatable.pods",
            observed=f"{said.count('Too many pods')} nodes are full",
            expected="room for one more pod", score=PROVEN, evidence=said.message,
        )  # fmt: skip
    if said.count("node affinity/selector") and candidates is None:
        rule = "node-selector-unmet" if spec.node_selector else "node-affinity-unmet"
        yield broken(
            rule, subject, on=on, field="spec.nodeSelector", observed=str(spec.node_selector),
            expected="labels that a schedulable node carries", score=0.7, evidence=said.message,
        )  # fmt: skip


def _insufficient(
    view: View, subject: str, on: str, spec: PodSpec, resource: str, said: SchedulingDiagnosis
) -> ClusterFinding:
    rules = {"cpu": "cpu-insufficient", "memory": "memory-insufficient"}
    asked = sum(item.requests.get(resource, 0.0) for item in spec.containers if not item.init)
    largest = max((node.allocatable.get(resource, 0.0) for node in view.state.nodes), default=0.0)
    # Where two resources are short, the one that no node could ever give is the cause.
    score = 0.95 if largest and asked > largest else 0.92
    return broken(
        rules.get(resource, "resource-insufficient"), subject, on=on,
        field=f"spec.containers[*].resources.requests.{resource}",
        observed=f"{readable(resource, asked)} requested" if asked else "more than is free",
        expected=f"at most what a node has free (largest node: {readable(resource, largest)})",
        score=score, evidence=said.message,
    )  # fmt: skip


def _tainted(candidates: list[Node] | None, spec: PodSpec, taints: list[str]) -> bool:
    if candidates is None or not any(node.taints for node in candidates):
        return True
    return any(
        taint.key in taints and not tolerated(taint, spec.tolerations)
        for node in candidates
        for taint in node.taints
    )


def _cordoned(view: View, said: SchedulingDiagnosis, candidates: list[Node] | None) -> list[str]:
    if not said.count("were unschedulable", "node.kubernetes.io/unschedulable"):
        return []
    pool = (
        candidates
        if candidates is not None
        else [node for node in view.state.nodes if not is_control_plane(node)]
    )
    return [node.name for node in pool if node.unschedulable]


_SERVICES = (
    (re.compile(r"containerd|cri-?o|docker(?:d|shim)?"), "container-runtime-down"),
    (re.compile(r"kubelet"), "kubelet-down"),
    (re.compile(r"kube-?proxy"), "kube-proxy-down"),
    (re.compile(r"kube-scheduler"), "scheduler-down"),
    (re.compile(r"kube-apiserver|kube-controller-manager|etcd"), "control-plane-down"),
)
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_PROBLEMS = frozenset(
    {
        *("KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart"),
        *("FrequentContainerdRestart", "FrequentDockerRestart", "FrequentUnregisterNetDevice"),
    }
)
"""What the node problem detector reports. Source:
https://github.com/kubernetes/node-problem-detector/tree/master/config"""
_RUNTIME_SOCKET = re.compile(r"containerd\.sock|crio\.sock|container runtime (?:is )?(?:down|not)")


def node_services(view: View) -> Iterator[ClusterFinding]:
    """Services of a node that do not run.

    The runtime comes before the kubelet: a kubelet without a runtime reports an unready node too,
    while a dead kubelet leaves the runtime alive.
    """
    for item in view.state.node_services:
        if item.active is not False:
            continue
        yield broken(
            _service_rule(item),
            f"node/{item.node}",
            on=f"Node/{item.node}",
            field=f"service {item.service}",
            observed="not running",
            expected="running",
            score=0.99,
            evidence=item.detail,
        )


def _service_rule(item: NodeService) -> str:
    found = (rule for words, rule in _SERVICES if words.search(item.service))
    return next(found, "node-service-down")


def node_conditions(view: View) -> Iterator[ClusterFinding]:
    """Nodes that are not ready or run short, with what their kubelet says of it."""
    for node in view.state.nodes:
        for condition in node.conditions:
            if condition.type in (*_PRESSURES, *_PROBLEMS) and condition.status == "True":
                yield broken(
                    "node-problem" if condition.type in _PROBLEMS else "node-pressure",
                    f"node/{node.name}", on=f"Node/{node.name}",
                    field=f"status.conditions[{condition.type}]", observed=condition.status,
                    expected="False", score=0.7, evidence=condition.message,
                )  # fmt: skip
        if node.ready is not False:
            yield from _silent(node)
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


def _silent(node: Node) -> Iterator[ClusterFinding]:
    """A node whose pressures nobody knows: its kubelet does not post its status.

    Source: https://kubernetes.io/docs/reference/node/node-status/#condition
    """
    for condition in node.conditions:
        if condition.type in _PRESSURES and condition.status == "Unknown":
            yield broken(
                "kubelet-down", f"node/{node.name}", on=f"Node/{node.name}",
                field=f"status.conditions[{condition.type}]", observed="Unknown",
                expected="False", score=HINT, evidence=condition.message or condition.reason,
            )  # fmt: skip


def unattended_nodes(view: View) -> Iterator[ClusterFinding]:
    """Pods that were looked at closely and that no scheduler spoke of: it is not at work.

    A pod whose events are not known, or whose condition holds a word of the scheduler, says
    nothing of it; nor does any pod where the scheduler is known to run.
    """
    masters = [node.name for node in view.state.nodes if is_control_plane(node)]
    running = any(
        item.active and _service_rule(item) == "scheduler-down" for item in view.state.node_services
    )
    for pod in view.current:
        if pod.node or pod.status != "Pending" or running or not view.heard("Pod", pod.name):
            continue
        spoken = any(one.type == "PodScheduled" and one.reason for one in pod.conditions)
        if spoken or any(e.reason == "FailedScheduling" for e in view.events.get(pod.name, ())):
            continue
        subject = f"node/{masters[0]}" if masters else f"app/{view.application(pod.name)}"
        yield broken(
            "scheduler-down" if masters else "pod-not-running", subject, on=f"Pod/{pod.name}",
            field="spec.nodeName", observed="no node, and no word of the scheduler",
            expected="a decision of the scheduler", score=0.6 if masters else HINT,
            evidence="no event",
        )  # fmt: skip
