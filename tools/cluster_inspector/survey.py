"""Decide what to ask a cluster next: closer looks, and looks along the paths of requests."""

import re
from collections.abc import Callable, Iterator, Sequence

from tools.cluster_inspector.analyzers.performance import signals
from tools.cluster_inspector.closer import (
    OTHERS,
    InspectedView,
    alerted_here,
    alerted_objects,
    broken_pods,
    crashed_pods,
    idle_scheduler,
    listings,
    missing_pods,
    odd_services,
    overview,
    probed_pods,
    silent_nodes,
    stuck_nodes,
    unready_nodes,
    unscheduled_pods,
    unspoken_pods,
)
from tools.cluster_inspector.config import InspectorConfig
from tools.cluster_inspector.constraints import is_control_plane
from tools.cluster_inspector.view import View
from tools.types import ClusterQuery, ClusterState, LogExcerpt, Service


def alarms(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Ask which alerts fire."""
    yield ClusterQuery(verb="alerts")


def slow_services(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Ask for the latencies of all services and for the callees of the slow ones."""
    slow = [signal.owner for signal in signals(view) if signal.kind == "latency"]
    if slow:
        yield ClusterQuery(verb="metrics")
    for service in dict.fromkeys(slow):
        if service in view.workloads:
            yield ClusterQuery(verb="dependencies", name=service)


def orphans(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Ask for quotas and for the manifests of workloads that no service stands for."""
    missing = [name for name in view.workloads if name not in view.services]
    if missing and len(missing) < len(view.workloads):
        yield from listings("ResourceQuota")
        for name in missing[: config.per_kind]:
            yield ClusterQuery(verb="manifest", name=name)


def _entries(view: View, config: InspectorConfig) -> list[str]:
    """Applications with alerts, and those that users reach from outside."""
    open_ = [s for s in view.state.services if s.type in ("NodePort", "LoadBalancer")]
    reached = [n for service in open_ for n in view.workloads if service in view.services_of(n)]
    told = [
        *(one.name for one in alerted_here(view, config)),
        *(alert.service for alert in view.state.alerts),
    ]
    alerted = [name for name in told if name in view.workloads]
    most = config.per_kind
    return list(dict.fromkeys([*list(dict.fromkeys(alerted))[:most], *reached[:most]]))


def complaints(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The errors of the entry points: they name the callee that does not answer."""
    for name in _entries(view, config):
        yield ClusterQuery(verb="errors", name=name)
    for name in _entries(view, config):
        yield ClusterQuery(verb="manifest", name=name)


_LOST = re.compile(r"timeout|timed out|no such host|DeadlineExceeded", re.IGNORECASE)


def _spoken_of(view: View, line: LogExcerpt) -> Iterator[Service]:
    """The other services a log line names, by name or by cluster address."""
    for service in view.state.services:
        ip = service.cluster_ip
        named = service.name in line.message or (len(ip) > 6 and f"{ip}:" in line.message)
        if named and service.name != line.component:
            yield service


def lost_wires(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """A caller that times out on a service that serves: the proxy of its node may be dead."""
    for line in view.state.logs:
        if not _LOST.search(line.message):
            continue
        if any(view.healthy(service.name) for service in _spoken_of(view, line)):
            for pod in view.pods_by_application.get(line.component, ()):
                yield ClusterQuery(verb="node_service", name=pod.node, detail="kube-proxy")


def _named(view: View, config: InspectorConfig) -> list[str]:
    """Applications that error lines name, the most often named first."""
    named: dict[str, int] = {}
    for line in view.state.logs:
        for service in _spoken_of(view, line):
            if service.name in view.workloads:
                named[service.name] = named.get(service.name, 0) + line.count
    return sorted(named, key=lambda name: -named[name])[: 2 * config.per_kind]


def named_in_errors(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """What the named applications declare and complain of."""
    for name in _named(view, config):
        yield ClusterQuery(verb="manifest", name=name)
    for name in _named(view, config):
        yield ClusterQuery(verb="errors", name=name)


def callers(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Who calls the named applications: one of them may have a wrong address."""
    named = _named(view, config)
    for name in named[: config.per_kind]:
        yield ClusterQuery(verb="dependencies", name=name)
    for edge in view.state.edges:
        if edge.callee in named and edge.caller in view.workloads:
            yield ClusterQuery(verb="manifest", name=edge.caller)


def callees(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The errors of whom the complaining entries call."""
    alerted = [a.service for a in view.state.alerts if a.service in view.workloads]
    entries = list(dict.fromkeys(alerted))[: config.per_kind]
    for name in entries:
        yield ClusterQuery(verb="dependencies", name=name)
    for edge in view.state.edges:
        if edge.caller in entries and edge.callee in view.workloads:
            yield ClusterQuery(verb="errors", name=edge.callee)


def clients_of_databases(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Whose log speaks of a database, but not of which one: its settings say."""
    for found in view.findings:
        if found.rule.id.startswith("database-"):
            for component in dict.fromkeys(line.component for line in view.state.logs):
                yield ClusterQuery(verb="manifest", name=component)


def other_kinds(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """Everything else that a rule judges, when no pod told what is wrong."""
    return listings(*OTHERS)


def node_services(view: View, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The services of every node, those first whose death leaves no trace among the objects."""
    for service in ("kube-proxy", "containerd", "kubelet"):
        for node in view.state.nodes:
            if not is_control_plane(node):
                yield ClusterQuery(verb="node_service", name=node.name, detail=service)


def everybody(view: InspectedView, config: InspectorConfig) -> Iterator[ClusterQuery]:
    """The errors of every application, when nothing else gave as much as a hint.

    Where all alerts are about other namespaces, nobody's are read just in case.
    """
    if config.first and next(alerted_here(view, config), None) is None:
        return
    if view.findings and view.findings[0].score >= config.hint:
        return
    for name in view.workloads:
        yield ClusterQuery(verb="errors", name=name)


SurveyStep = Callable[[InspectedView, InspectorConfig], Iterator[ClusterQuery]]

STEPS: tuple[SurveyStep, ...] = (
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
    other_kinds,
    node_services,
    everybody,
)
"""From the general to the special; a step is taken only while no finding is sure enough."""


def next_queries(
    state: ClusterState, config: InspectorConfig | None = None
) -> tuple[ClusterQuery, ...]:
    """The questions whose answers may change the diagnosis; empty when enough is known.

    What the alerts are about comes first, however sure another cause may be.

    >>> next_queries(ClusterState(namespace="shop"))[0]
    Look(verb='list', kind='Pod', name='', detail='')
    """
    return _next(InspectedView(state), state.looked, config or InspectorConfig())


def _next(
    view: InspectedView, looked: Sequence[ClusterQuery], config: InspectorConfig
) -> tuple[ClusterQuery, ...]:
    asked = set(looked)
    alerted = tuple(one for one in dict.fromkeys(alerted_objects(view, config)) if one not in asked)
    if alerted and asked.issuperset(overview(view, config)):
        return alerted
    if view.findings and view.findings[0].score >= config.enough:
        return ()
    for step in STEPS:
        wanted = [look for look in dict.fromkeys(step(view, config)) if look not in asked]
        if wanted:
            return tuple(wanted)
    return ()


def survey(
    look: Callable[[Sequence[ClusterQuery]], ClusterState],
    start: ClusterState | None = None,
    config: InspectorConfig | None = None,
) -> ClusterState:
    """Ask until nothing more is worth asking; `look` answers questions with what it found.

    What a manifest declares never overrides what was seen in the cluster.
    """
    config = config or InspectorConfig()
    state = start or ClusterState()
    nothing = (ClusterState(), ClusterState(namespace=state.namespace))
    view = InspectedView(state)
    while looks := _next(view, state.looked, config):
        news = any(item.verb == "describe" for item in looks)  # that nothing is said is news, too
        for declared in (True, False):
            asked = tuple(item for item in looks if (item.verb == "manifest") is declared)
            if not asked:
                continue
            found = look(asked)
            news = news or found not in nothing
            state = found.plus(state) if declared else state.plus(found)
        state = state.plus(ClusterState(looked=looks))
        view = InspectedView(state) if news else view
    return state
