"""Decide what to ask a cluster next, so that a diagnosis needs few questions and repeats none."""

from collections.abc import Callable, Iterator, Sequence

from tools.cluster_inspector.closer import (
    broken_pods,
    crashed_pods,
    idle_scheduler,
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
from tools.cluster_inspector.diagnosis import inspect
from tools.cluster_inspector.paths import (
    alarms,
    callees,
    callers,
    clients_of_databases,
    complaints,
    everybody,
    lost_wires,
    named_in_errors,
    node_services,
    orphans,
    other_workloads,
    slow_services,
)
from tools.cluster_inspector.view import View
from tools.types import ClusterQuery, ClusterState

SurveyStep = Callable[[View, InspectorConfig], Iterator[ClusterQuery]]

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
    other_workloads,
    node_services,
    everybody,
)
"""From the general to the special; a step is taken only while no finding is sure enough."""


def next_queries(
    state: ClusterState, config: InspectorConfig | None = None
) -> tuple[ClusterQuery, ...]:
    """The questions whose answers may change the diagnosis; empty when enough is known.

    >>> next_queries(ClusterState(namespace="shop"))[0]
    Look(verb='list', kind='Pod', name='', detail='')
    """
    config = config or InspectorConfig()
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
    look: Callable[[Sequence[ClusterQuery]], ClusterState],
    start: ClusterState | None = None,
    config: InspectorConfig | None = None,
) -> ClusterState:
    """Ask until nothing more is worth asking; `look` answers questions with what it found.

    What a manifest declares never overrides what was seen in the cluster.
    """
    state = start or ClusterState()
    while looks := next_queries(state, config):
        for declared in (True, False):
            asked = tuple(item for item in looks if (item.verb == "manifest") is declared)
            if not asked:
                continue
            found = look(asked)
            state = found.plus(state) if declared else state.plus(found)
        state = state.plus(ClusterState(looked=looks))
    return state
