"""Decide what to ask a cluster next, so that a diagnosis needs few questions and repeats none."""

import re
from collections.abc import Callable, Iterator, Sequence

from tools.cluster_inspector.analyzers.scheduling import pending
from tools.cluster_inspector.analyzers.storage import waits_for_volume
from tools.cluster_inspector.config import Config
from tools.cluster_inspector.constraints import is_control_plane
from tools.cluster_inspector.diagnosis import inspect
from tools.cluster_inspector.signals import signals
from tools.cluster_inspector.view import View, serves
from tools.types import ClusterState, LogExcerpt, Look, Pod, Service

FIRST = ("Pod", "Deployment", "Service", "Endpoints", "Node")
"""What every survey lists: it shows which objects are worth a closer look."""

Step = Callable[[View, Config], Iterator[Look]]


def _listings(*kinds: str) -> Iterator[Look]:
    return (Look(verb="list", kind=kind) for kind in kinds)


def overview(view: View, config: Config) -> Iterator[Look]:
    """The general listings."""
    return _listings(*FIRST)


def _one_each(view: View, config: Config) -> list[Pod]:
    """One pod that does not work per application and status, the worst off first."""
    chosen: dict[str, Pod] = {}
    for pod in sorted(view.unready, key=lambda pod: (serves(pod), -(pod.restarts), pod.name)):
        chosen.setdefault(view.application(pod.name), pod)
    statuses: dict[tuple[str, str], int] = {}
    kept = []
    for pod in chosen.values():
        key = (pod.status, pod.node)
        statuses[key] = statuses.get(key, 0) + 1
        if statuses[key] <= config.per_kind:
            kept.append(pod)
    return kept[: 2 * config.per_kind]


def broken_pods(view: View, config: Config) -> Iterator[Look]:
    """Describe pods that do not work: their events name most faults."""
    for pod in _one_each(view, config):
        yield Look(verb="describe", kind="Pod", name=pod.name)


def unready_nodes(view: View, config: Config) -> Iterator[Look]:
    """The services of a node that is not ready."""
    for node in view.state.nodes:
        if node.ready is False:
            for service in ("kubelet", "containerd"):
                yield Look(verb="node_service", name=node.name, detail=service)


def silent_nodes(view: View, config: Config) -> Iterator[Look]:
    """What a node that is not ready says of itself, where its services could not be asked."""
    for node in view.state.nodes:
        if node.ready is False and not node.conditions:
            yield Look(verb="describe", kind="Node", name=node.name)


def unspoken_pods(view: View, config: Config) -> Iterator[Look]:
    """All events, where the description of a pod that does not work brought none."""
    for pod in _one_each(view, config):
        if pod.phase == "" and pod.name not in view.events:
            yield from _listings("Event")


def missing_pods(view: View, config: Config) -> Iterator[Look]:
    """The replica sets of workloads that lack pods: their events hold the refusals."""
    short = [
        name
        for name, workload in view.workloads.items()
        if workload.desired and len(view.pods_by_application.get(name, ())) < workload.desired
    ]
    if not short:
        return
    if "ReplicaSet" not in view.state.listed:
        yield Look(verb="list", kind="ReplicaSet")
        return
    for name in short[: config.per_kind]:
        for item in view.replica_sets_of(name):
            if item.desired and (item.current or 0) < item.desired:
                yield Look(verb="describe", kind="ReplicaSet", name=item.name)


def unscheduled_pods(view: View, config: Config) -> Iterator[Look]:
    """What a pending pod asks for, and what nodes and volumes offer."""
    for application, _, said in pending(view):
        if waits_for_volume(said):
            if "not found" in said.message:
                yield from _listings("ResourceQuota")
            else:
                yield from _listings("PersistentVolumeClaim", "PersistentVolume")
        else:
            yield Look(verb="configuration")
        yield Look(verb="manifest", name=application)


def idle_scheduler(view: View, config: Config) -> Iterator[Look]:
    """Nobody spoke of a pending pod: ask for the scheduler."""
    for pod in view.unready:
        described = Look(verb="describe", kind="Pod", name=pod.name) in view.state.looked
        spoken = any(e.reason == "FailedScheduling" for e in view.events.get(pod.name, ()))
        if pod.status == "Pending" and not pod.node and described and not spoken:
            for node in view.state.nodes:
                if is_control_plane(node):
                    yield Look(verb="node_service", name=node.name, detail="kube-scheduler")


def stuck_nodes(view: View, config: Config) -> Iterator[Look]:
    """Pods that a node took and does not start: is its runtime alive?"""
    for pod in view.unready:
        if pod.node and pod.status.startswith(("ContainerCreating", "Init:", "PodInit", "Pending")):
            for service in ("containerd", "kubelet"):
                yield Look(verb="node_service", name=pod.node, detail=service)


def crashed_pods(view: View, config: Config) -> Iterator[Look]:
    """The error lines and the manifest of what starts and fails."""
    for pod in _one_each(view, config):
        if pod.node and not pod.status.startswith(("Pending", "ContainerCreating", "Init")):
            yield Look(verb="errors", name=view.application(pod.name))
    for pod in _one_each(view, config):
        if pod.node:
            yield Look(verb="manifest", name=view.application(pod.name))


def probed_pods(view: View, config: Config) -> Iterator[Look]:
    """The declared probes and ports of what is called unhealthy."""
    for pod in _one_each(view, config):
        if any(event.reason == "Unhealthy" for event in view.events.get(pod.name, ())):
            yield Look(verb="manifest", name=view.application(pod.name))


def odd_services(view: View, config: Config) -> Iterator[Look]:
    """Services without endpoints though pods serve, or whose endpoints are at another port."""
    for service in view.state.services:
        endpoints = view.endpoints.get(service.name)
        if not service.selector or endpoints is None:
            continue
        offered = {str(port.port) for port in service.ports}
        reached = {address.partition(":")[2] for address in endpoints.ready}
        plain = all(port.protocol == "TCP" for port in service.ports)
        if not endpoints.ready or reached - offered or not plain:
            yield Look(verb="manifest", name=service.name)


def alarms(view: View, config: Config) -> Iterator[Look]:
    """What fires."""
    yield Look(verb="alerts")


def slow_services(view: View, config: Config) -> Iterator[Look]:
    """How slow all services are, and whom the slow ones call."""
    slow = [signal.owner for signal in signals(view) if signal.kind == "latency"]
    if slow:
        yield Look(verb="metrics")
    for service in dict.fromkeys(slow):
        if service in view.workloads:
            yield Look(verb="dependencies", name=service)


def orphans(view: View, config: Config) -> Iterator[Look]:
    """Workloads without a service: was one refused?"""
    missing = [name for name in view.workloads if name not in view.services]
    if missing and len(missing) < len(view.workloads):
        yield from _listings("ResourceQuota")
        for name in missing[: config.per_kind]:
            yield Look(verb="manifest", name=name)


def _entries(view: View, config: Config) -> list[str]:
    """Applications with alerts, and those that users reach from outside."""
    open_ = [s for s in view.state.services if s.type in ("NodePort", "LoadBalancer")]
    reached = [n for service in open_ for n in view.workloads if service in view.services_of(n)]
    alerted = [alert.service for alert in view.state.alerts if alert.service in view.workloads]
    most = config.per_kind
    return list(dict.fromkeys([*list(dict.fromkeys(alerted))[:most], *reached[:most]]))


def complaints(view: View, config: Config) -> Iterator[Look]:
    """The errors of the entry points: they name the callee that does not answer."""
    for name in _entries(view, config):
        yield Look(verb="errors", name=name)
    for name in _entries(view, config):
        yield Look(verb="manifest", name=name)


_LOST = re.compile(r"timeout|timed out|no such host|DeadlineExceeded", re.IGNORECASE)


def _spoken_of(view: View, line: LogExcerpt) -> Iterator[Service]:
    """The other services a log line names, by name or by cluster address."""
    for service in view.state.services:
        ip = service.cluster_ip
        named = service.name in line.message or (len(ip) > 6 and f"{ip}:" in line.message)
        if named and service.name != line.component:
            yield service


def lost_wires(view: View, config: Config) -> Iterator[Look]:
    """A caller that times out on a service that serves: the proxy of its node may be dead."""
    for line in view.state.logs:
        if not _LOST.search(line.message):
            continue
        if any(view.healthy(service.name) for service in _spoken_of(view, line)):
            for pod in view.pods_by_application.get(line.component, ()):
                yield Look(verb="node_service", name=pod.node, detail="kube-proxy")


def _named(view: View, config: Config) -> list[str]:
    """Applications that error lines name, the most often named first."""
    named: dict[str, int] = {}
    for line in view.state.logs:
        for service in _spoken_of(view, line):
            if service.name in view.workloads:
                named[service.name] = named.get(service.name, 0) + line.count
    return sorted(named, key=lambda name: -named[name])[: 2 * config.per_kind]


def named_in_errors(view: View, config: Config) -> Iterator[Look]:
    """What the named applications declare and complain of."""
    for name in _named(view, config):
        yield Look(verb="manifest", name=name)
    for name in _named(view, config):
        yield Look(verb="errors", name=name)


def callers(view: View, config: Config) -> Iterator[Look]:
    """Who calls the named applications: one of them may have a wrong address."""
    named = _named(view, config)
    for name in named[: config.per_kind]:
        yield Look(verb="dependencies", name=name)
    for edge in view.state.edges:
        if edge.callee in named and edge.caller in view.workloads:
            yield Look(verb="manifest", name=edge.caller)


def callees(view: View, config: Config) -> Iterator[Look]:
    """The errors of whom the complaining entries call."""
    alerted = [a.service for a in view.state.alerts if a.service in view.workloads]
    entries = list(dict.fromkeys(alerted))[: config.per_kind]
    for name in entries:
        yield Look(verb="dependencies", name=name)
    for edge in view.state.edges:
        if edge.caller in entries and edge.callee in view.workloads:
            yield Look(verb="errors", name=edge.callee)


def clients_of_databases(view: View, config: Config) -> Iterator[Look]:
    """Whose log speaks of a database, but not of which one: its settings say."""
    for found in inspect(view.state):
        if found.rule.id.startswith("database-"):
            for component in dict.fromkeys(line.component for line in view.state.logs):
                yield Look(verb="manifest", name=component)


def other_workloads(view: View, config: Config) -> Iterator[Look]:
    """Stateful sets, quotas and policies."""
    return _listings("StatefulSet", "ResourceQuota", "NetworkPolicy")


def node_services(view: View, config: Config) -> Iterator[Look]:
    """The services of every node, those first whose death leaves no trace among the objects."""
    for service in ("kube-proxy", "containerd", "kubelet"):
        for node in view.state.nodes:
            if not is_control_plane(node):
                yield Look(verb="node_service", name=node.name, detail=service)


def everybody(view: View, config: Config) -> Iterator[Look]:
    """The errors of every application, when nothing else gave as much as a hint."""
    findings = inspect(view.state)
    if findings and findings[0].score >= config.hint:
        return
    for name in view.workloads:
        yield Look(verb="errors", name=name)


STEPS: tuple[Step, ...] = (
    overview,
    broken_pods,
    unready_nodes,
    silent_nodes,
    unspoken_pods,
    missing_pods,
    unscheduled_pods,
    idle_scheduler,
    probed_pods,
    crashed_pods,
    stuck_nodes,
    odd_services,
    orphans,
    alarms,
    slow_services,
    complaints,
    lost_wires,
    named_in_errors,
    callers,
    callees,
    clients_of_databases,
    other_workloads,
    node_services,
    everybody,
)
"""From the general to the special; a step is taken only while no finding is sure enough."""


def next_looks(state: ClusterState, config: Config | None = None) -> tuple[Look, ...]:
    """The questions whose answers may change the diagnosis; empty when enough is known.

    >>> next_looks(ClusterState(namespace="shop"))[0]
    Look(verb='list', kind='Pod', name='', detail='')
    """
    config = config or Config()
    view, asked = View(state), set(state.looked)
    findings = inspect(state)
    if findings and findings[0].score >= config.enough:
        return ()
    for step in STEPS:
        wanted = [look for look in dict.fromkeys(step(view, config)) if look not in asked]
        if wanted:
            return tuple(wanted)
    return ()


def survey(
    look: Callable[[Sequence[Look]], ClusterState],
    start: ClusterState | None = None,
    config: Config | None = None,
) -> ClusterState:
    """Ask until nothing more is worth asking; `look` answers questions with what it found.

    What a manifest declares never overrides what was seen in the cluster.
    """
    state = start or ClusterState()
    while looks := next_looks(state, config):
        for declared in (True, False):
            asked = tuple(item for item in looks if (item.verb == "manifest") is declared)
            if not asked:
                continue
            found = look(asked)
            state = found.plus(state) if declared else state.plus(found)
        state = state.plus(ClusterState(looked=looks))
    return state
