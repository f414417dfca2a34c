"""Run every analyzer over a state, and rank what they found."""

from collections.abc import Callable, Iterator

from tools.cluster_inspector.analyzers import (
    admission,
    database,
    gateway,
    nodes,
    performance,
    probes,
    routing,
    runtime,
    scheduling,
    startup,
    storage,
    unexplained,
)
from tools.cluster_inspector.config import InspectorConfig
from tools.cluster_inspector.findings import ClusterDiagnosis, ClusterFinding
from tools.cluster_inspector.view import View
from tools.types import ClusterState

Analyzer = Callable[[View], Iterator[ClusterFinding]]

ANALYZERS: tuple[Analyzer, ...] = (
    admission.refused,
    admission.missing_services,
    admission.full_quotas,
    scheduling.unscheduled,
    storage.unbound,
    startup.images,
    startup.references,
    startup.mounts,
    startup.creation,
    runtime.memory,
    runtime.replicas,
    runtime.ports,
    runtime.evictions,
    runtime.exits,
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
    routing.isolation,
    gateway.routes,
    gateway.complaints,
    gateway.lost_requests,
    performance.saturation,
    performance.slowness,
    nodes.services,
    nodes.conditions,
    nodes.unattended,
    unexplained.pods,
    unexplained.workloads,
    unexplained.endpoints,
    unexplained.requests,
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
