"""Closer looks at objects that do not work: pods, their controllers, nodes, services."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tools.cluster_inspector.analyzers.scheduling import pending
from tools.cluster_inspector.analyzers.storage import waits_for_volume
from tools.cluster_inspector.config import InspectorConfig
from tools.cluster_inspector.constraints import is_control_plane
from tools.cluster_inspector.diagnosis import inspect
from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.ownership import PodIndex
from tools.cluster_inspector.view import View, serves
from tools.types import ClusterQuery, Pod, Subject
from tools.types.telemetry import SubjectKind

_ALERTED_KINDS: dict[SubjectKind, str] = {
    "node": "Node",
    "claim": "PersistentVolumeClaim",
    "volume": "PersistentVolume",
    "job": "Job",
    "ingress": "Ingress",
    "certificate": "Certificate",
    "quota": "ResourceQuota",
}
"""Object kinds that an alert may be about without any pod."""

FIRST = ("Pod", "Deployment", "Service", "Endpoints", "Node")
"""What every survey lists: it shows which objects are worth a closer look."""

OTHERS = (
    *("StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"),
    *("HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota", "LimitRange"),
    *("PersistentVolumeClaim", "PersistentVolume", "StorageClass", "ServiceAccount", "Event"),
    *("EndpointSlice", "Ingress", "IngressClass", "NetworkPolicy", "Namespace"),
    *("GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "VirtualService", "Certificate"),
    *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
)
"""What a survey lists when the first lists name no sure cause."""


def listings(*kinds: str) -> Iterator[ClusterQuery]:
    """Ask for the list of each of these object kinds."""
    return (ClusterQuery(verb="list", kind=kind) for kind in kinds)


def overview(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Ask for the lists that every survey begins with."""
    return listings(*FIRST)


@dataclass(frozen=True)
class InspectedView(View):
    """A state with what every analyzer found in it, and whose pods are whose."""

    @cached_property
    def findings(self) -> tuple[ClusterFinding, ...]:
        """The findings, the surest first."""
        return inspect(self.state)

    @cached_property
    def owned(self) -> PodIndex:
        """The pods by their application."""
        return PodIndex(self.state.pods)


def alerted_here(view: View, config: InspectorConfig) -> Iterator[Subject]:
    """The first of the alerted subjects that may be in this namespace."""
    for subject in config.first[: config.subjects]:
        if subject.name and subject.namespace in ("", view.state.namespace):
            yield subject


def _pods_of(view: InspectedView, subject: Subject) -> tuple[Pod, ...]:
    """The pods an alert is about: of an application, or all that have a container of that name."""
    found = view.owned.of(subject.name)
    if not found and subject.kind == "container":
        return tuple(
            pod
            for pod in view.state.pods
            if any(container.name == subject.name for container in pod.spec.containers)
        )
    return found


def alerted_objects(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Describe what the alerts are about, whatever else is broken, and read its logs."""
    unready = {pod.name for pod in view.unready}
    for subject in alerted_here(view, config):
        if subject.kind in _ALERTED_KINDS:
            kind = _ALERTED_KINDS[subject.kind]
            yield from listings(kind)
            yield ClusterQuery(verb="describe", kind=kind, name=subject.name)
            continue
        workload = view.workloads.get(subject.name)
        if workload is not None:
            yield ClusterQuery(verb="describe", kind=workload.kind, name=workload.name)
        pods = sorted(_pods_of(view, subject), key=lambda pod: (pod.name not in unready, pod.name))
        for pod in pods[: config.per_kind]:
            yield ClusterQuery(verb="describe", kind="Pod", name=pod.name)
        for name in dict.fromkeys(view.application(pod.name) for pod in pods if pod.node):
            yield ClusterQuery(verb="errors", name=name)


def _one_each(view: InspectedView, config: InspectorConfig) -> list[Pod]:
    """One pod that does not work per application and status, alerted and worst off first."""
    alerted = {pod.name for one in alerted_here(view, config) for pod in _pods_of(view, one)}
    worst = sorted(
        view.unready,
        key=lambda pod: (pod.name not in alerted, serves(pod), -pod.restarts, pod.name),
    )
    chosen: dict[str, Pod] = {}
    for pod in worst:
        chosen.setdefault(view.application(pod.name), pod)
    statuses: dict[tuple[str, str], int] = {}
    kept = []
    for pod in chosen.values():
        key = (pod.status, pod.node)
        statuses[key] = statuses.get(key, 0) + 1
        if statuses[key] <= config.per_kind:
            kept.append(pod)
    return kept[: 2 * config.per_kind]


def broken_pods(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Describe pods that do not work: their events name most faults."""
    for pod in _one_each(view, config):
        yield ClusterQuery(verb="describe", kind="Pod", name=pod.name)


def unready_nodes(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The services of a node that is not ready."""
    for node in view.state.nodes:
        if node.ready is False:
            for service in ("kubelet", "containerd"):
                yield ClusterQuery(verb="node_service", name=node.name, detail=service)


def silent_nodes(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """What a node that is not ready says of itself, where its services could not be asked."""
    for node in view.state.nodes:
        if node.ready is False and not node.conditions:
            yield ClusterQuery(verb="describe", kind="Node", name=node.name)


def unspoken_pods(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """All events, where the description of a pod that does not work brought none."""
    for pod in _one_each(view, config):
        if pod.phase == "" and pod.name not in view.events:
            yield from listings("Event")


def missing_pods(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The replica sets of workloads that lack pods: their events hold the refusals."""
    short = [
        name
        for name, workload in view.workloads.items()
        if workload.desired and len(view.pods_by_application.get(name, ())) < workload.desired
    ]
    if not short:
        return
    if "ReplicaSet" not in view.state.listed:
        yield ClusterQuery(verb="list", kind="ReplicaSet")
        return
    for name in short[: config.per_kind]:
        for item in view.replica_sets_of(name):
            if item.desired and (item.current or 0) < item.desired:
                yield ClusterQuery(verb="describe", kind="ReplicaSet", name=item.name)


def unscheduled_pods(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """What a pending pod asks for, and what nodes and volumes offer."""
    for application, _, said in pending(view):
        if waits_for_volume(said):
            if "not found" in said.message:
                yield from listings("ResourceQuota")
            else:
                yield from listings("PersistentVolumeClaim", "PersistentVolume")
        else:
            yield ClusterQuery(verb="configuration")
        yield ClusterQuery(verb="manifest", name=application)


def idle_scheduler(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Nobody spoke of a pending pod: ask for the scheduler."""
    for pod in view.unready:
        described = ClusterQuery(verb="describe", kind="Pod", name=pod.name) in view.state.looked
        spoken = any(e.reason == "FailedScheduling" for e in view.events.get(pod.name, ()))
        if pod.status == "Pending" and not pod.node and described and not spoken:
            for node in view.state.nodes:
                if is_control_plane(node):
                    yield ClusterQuery(verb="node_service", name=node.name, detail="kube-scheduler")


def stuck_nodes(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Pods that a node took and does not start: is its runtime alive?"""
    for pod in view.unready:
        if pod.node and pod.status.startswith(("ContainerCreating", "Init:", "PodInit", "Pending")):
            for service in ("containerd", "kubelet"):
                yield ClusterQuery(verb="node_service", name=pod.node, detail=service)


def _has_written(pod: Pod) -> bool:
    """Some container of the pod has run, so that there may be a log; init containers count."""
    if any(
        "terminated" in (container.state.status, container.last_state.status)
        for container in pod.spec.containers
    ):
        return True
    return not pod.status.startswith(("Pending", "ContainerCreating", "Init"))


def crashed_pods(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The error lines and the manifest of what starts and fails."""
    for pod in _one_each(view, config):
        if pod.node and _has_written(pod):
            yield ClusterQuery(verb="errors", name=view.application(pod.name))
    for pod in _one_each(view, config):
        if pod.node:
            yield ClusterQuery(verb="manifest", name=view.application(pod.name))


def probed_pods(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The declared probes and ports of what is called unhealthy."""
    for pod in _one_each(view, config):
        if any(event.reason == "Unhealthy" for event in view.events.get(pod.name, ())):
            yield ClusterQuery(verb="manifest", name=view.application(pod.name))


def odd_services(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Services without endpoints though pods serve, or whose endpoints are at another port."""
    for service in view.state.services:
        endpoints = view.endpoints.get(service.name)
        if not service.selector or endpoints is None:
            continue
        offered = {name for port in service.ports for name in (str(port.port), port.target)}
        reached = {address.partition(":")[2] for address in endpoints.ready}
        plain = all(port.protocol == "TCP" for port in service.ports)
        if not endpoints.ready or reached - offered or not plain:
            yield ClusterQuery(verb="manifest", name=service.name)
