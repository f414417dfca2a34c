"""Run every analyzer over a state, and rank what they found; what none explains comes last."""

from collections.abc import Callable, Iterator

from tools.cluster_inspector.analyzers import (
    admission,
    conditions,
    containers,
    counts,
    database,
    gateway,
    performance,
    probes,
    references,
    routing,
    scheduling,
    storage,
)
from tools.cluster_inspector.analyzers.performance import kind_of
from tools.cluster_inspector.config import InspectorConfig
from tools.cluster_inspector.findings import SYMPTOM, ClusterDiagnosis, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, serves
from tools.types import ClusterState, KubeEvent, Pod

_GENERAL = ("Error: ", "Back-off ", "(combined from similar events)")


def _most_specific(events: tuple[KubeEvent, ...]) -> KubeEvent | None:
    """The warning that says most: not a summary of others, repeated most, newest."""
    warnings = [event for event in events if event.type == "Warning"]
    return max(
        warnings,
        key=lambda event: (
            not event.message.startswith(_GENERAL),
            event.count,
            -(event.age or 0.0),
        ),
        default=None,
    )


def _rule_by_status(pod: Pod, unschedulable: bool) -> str:
    if serves(pod):
        return "container-exits"  # it serves again: what is left to tell is that it restarted
    if pod.status in ("Failed", "Unknown") or (not pod.node and pod.status in ("Pending", "")):
        return "unschedulable" if unschedulable else "pod-not-running"
    if pod.status.startswith(("ContainerCreating", "Init:", "PodInitializing", "Create")):
        return "container-not-created"
    if "Image" in pod.status:
        return "image-unpulled"
    if pod.status == "Running":
        return "readiness-failed"
    return "container-exits"


def unexplained_pods(view: View) -> Iterator[ClusterFinding]:
    """Every pod that does not serve, with the event that says most about it.

    Told only of applications that no other rule explains: `inspect` sees to that.
    """
    waiting = {pod.name for _, pod, _ in scheduling.pending(view)}
    for pod in view.unready:
        event = _most_specific(view.events.get(pod.name, ()))
        ready = f"{pod.ready[0]}/{pod.ready[1]} ready" if pod.ready else ""
        yield broken(
            _rule_by_status(pod, pod.name in waiting),
            f"app/{view.application(pod.name)}",
            on=f"Pod/{pod.name}",
            field="status",
            observed=" ".join(part for part in (pod.status, ready) if part),
            expected="Running, all containers ready",
            score=0.3 if event is None else 0.34,
            evidence=event.message if event else pod.status,
        )


def unexplained_endpoints(view: View) -> Iterator[ClusterFinding]:
    """Services nobody answers for although pods serve: a weak hint, but never silence."""
    for item in view.state.connections:
        if item.reachable:
            continue
        application = item.service
        if any(not serves(pod) for pod in view.pods_by_application.get(application, ())):
            continue
        yield broken(
            "service-target-port", f"app/{application}", on=f"Service/{item.service}",
            field=f"spec.ports[{item.port}]", observed="no connection", expected="a connection",
            score=0.5, evidence=item.detail,
        )  # fmt: skip


def unexplained_requests(view: View) -> Iterator[ClusterFinding]:
    """Applications that are alerted for failing requests: the last thing to name."""
    for alert in view.state.alerts:
        if kind_of(alert.name) == "errors" or kind_of(alert.labels.get("metric", "")) == "errors":
            if alert.service not in view.workloads:
                continue
            said = alert.annotations.get("description", "") or alert.name
            yield broken(
                "requests-fail", f"app/{alert.service}", on=f"Deployment/{alert.service}",
                field="requests", observed=said, expected="answers", score=0.2, evidence=said,
            )  # fmt: skip


Analyzer = Callable[[View], Iterator[ClusterFinding]]

ANALYZERS: tuple[Analyzer, ...] = (
    admission.refused,
    admission.missing_services,
    admission.full_quotas,
    scheduling.unscheduled,
    scheduling.gated,
    storage.unbound,
    storage.bypassed,
    storage.claims,
    storage.volumes,
    containers.images,
    containers.references,
    containers.mounts,
    containers.creation,
    containers.memory,
    containers.replicas,
    containers.ports,
    containers.evictions,
    containers.exits,
    containers.forbidden,
    probes.probes,
    database.clients,
    database.servers,
    database.wrong_port,
    database.silent,
    database.unspoken,
    routing.selectors,
    routing.ports,
    routing.environment,
    routing.resolution,
    routing.endpoints,
    routing.isolation,
    gateway.routes,
    gateway.complaints,
    gateway.lost_requests,
    conditions.conditions,
    conditions.held_deletions,
    references.references,
    counts.jobs,
    counts.autoscalers,
    counts.budgets,
    counts.schedules,
    counts.replicas,
    performance.saturation,
    performance.slowness,
    scheduling.node_services,
    scheduling.node_conditions,
    scheduling.unattended_nodes,
    unexplained_endpoints,
    unexplained_requests,
)
"""One small analyzer per object and failure; their order decides between equal scores."""


def inspect(state: ClusterState) -> tuple[ClusterFinding, ...]:
    """Every rule that an object of the state breaks, the surest first, once per object and rule.

    Pure: the same state gives the same findings.

    >>> inspect(ClusterState(namespace="shop"))
    ()
    """
    view = View(state)
    best: dict[tuple[str, str], ClusterFinding] = {}
    for analyze in ANALYZERS:
        for found in analyze(view):
            key = (found.object, found.rule.id)
            if key not in best or found.score > best[key].score:
                best[key] = found
    told = {found.object for found in best.values() if found.score > SYMPTOM}
    for found in unexplained_pods(view):
        if found.object not in told:
            best[(found.object, found.rule.id)] = found
    return tuple(sorted(best.values(), key=lambda found: -found.score))


def diagnose(state: ClusterState, config: InspectorConfig | None = None) -> ClusterDiagnosis:
    """The likeliest causes first, each with object, rule, stage and evidence.

    >>> diagnose(ClusterState(namespace="shop")).reason
    'no rule is broken'
    """
    config = config or InspectorConfig()
    ranked = inspect(state)
    return ClusterDiagnosis(
        predictions=ranked[: config.predictions],
        reason="" if ranked else "no rule is broken",
    )
