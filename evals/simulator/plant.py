"""From a graph to a calibrated plant: the mean traffic loads each service as declared."""

from dataclasses import replace

import numpy as np

from evals.simulator.flow import Flow, Plant, at_rest, calm, step
from evals.simulator.graph import Graph
from tools.types import FloatArray

_POOL_OF_REPLICA = 16.0
_POOLED = frozenset({"database", "cache", "external"})
_AMPLE = 1e9  # a limit that never binds
_SETTLE = 12  # ticks after which a flow no longer moves


def replicas(graph: Graph) -> FloatArray:
    """Declared replicas of every service, in order."""
    return np.array([float(s.replicas) for s in graph.services])


def _depth(graph: Graph) -> int:
    """Calls on the longest path from the entry."""
    level = {service.name: 0 for service in graph.services}
    for _ in graph.services:
        moved = False
        for call in graph.calls:
            if level[call.callee] <= level[call.caller]:
                level[call.callee] = level[call.caller] + 1
                moved = True
        if not moved:
            return max(level.values())
    raise ValueError(f"the calls of {graph.entry!r} hold a cycle; a service graph must be a DAG")


def _bare(graph: Graph) -> Plant:
    index = {service.name: i for i, service in enumerate(graph.services)}
    services, calls = graph.services, graph.calls
    return Plant(
        graph=graph,
        index=index,
        ours=len(graph.visible),
        caller=np.array([index[c.caller] for c in calls], dtype=np.intp),
        callee=np.array([index[c.callee] for c in calls], dtype=np.intp),
        per_request=np.array([c.per_request for c in calls]),
        timeout=np.array([c.timeout_s for c in calls]),
        attempts=np.array([1.0 + c.retries for c in calls]),
        required=np.array([0.0 if c.optional else 1.0 for c in calls]),
        pooled=np.array([float(graph.services[index[c.callee]].kind in _POOLED) for c in calls]),
        depth=_depth(graph),
        work=np.array([s.work_ms / 1000.0 for s in services]),
        tail=np.array([s.tail for s in services]),
        capacity=np.full(len(services), _AMPLE),
        pool=np.array([_POOL_OF_REPLICA * s.replicas for s in services]),
        hold=np.zeros(len(services)),
        memory=np.array([s.memory_pct - 6.0 * s.utilisation for s in services]),
        entry=index[graph.entry],
    )


def settle(plant: Plant, arriving: float) -> Flow:
    """The steady state under a constant traffic."""
    flow = at_rest(len(plant.work), len(plant.caller))
    conditions = calm(plant, arriving, replicas(plant.graph))
    for _ in range(_SETTLE):
        flow = step(plant, conditions, flow)
    return flow


def build(graph: Graph, requests_per_s: float) -> Plant:
    """The plant whose utilisation and pools at `requests_per_s` are those the graph declares."""
    plant = _bare(graph)
    load = settle(plant, requests_per_s).rate
    share = np.array([s.utilisation for s in graph.services])
    capacity = np.maximum(load, 0.01) / (replicas(graph) * share)
    outside = np.arange(len(share)) >= plant.ours
    capacity[outside] = _AMPLE
    plant = replace(plant, capacity=capacity)
    busy = settle(plant, requests_per_s)
    wanted = np.array([s.pool_pct / 100.0 for s in graph.services])
    hold = plant.pool * wanted / np.maximum(busy.rate * busy.held, 1e-9)
    hold[outside] = 0.0
    return replace(plant, hold=hold)
