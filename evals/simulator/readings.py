"""What monitoring sees of a tick: the columns of the metrics and one row of values per tick."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evals.simulator.flow import TICK_S, Conditions, Flow, Plant, percentile90
from evals.simulator.state import State
from tools.types import ENTRY, FloatArray, Timestamp

SERVICE_METRICS = (
    ("cpu_pct", "%"),
    ("mem_pct", "%"),
    ("request_rate", "req/s"),
    ("error_pct", "%"),
    ("latency_p50_ms", "ms"),
    ("latency_p99_ms", "ms"),
    ("pool_in_use_pct", "%"),
    ("disk_used_pct", "%"),
    ("net_retransmit_pct", "%"),
    ("replicas", ""),
)
EDGE_METRICS = (("latency_p90_ms", "ms"), ("calls", "calls/s"), ("error_pct", "%"))
NODE_METRICS = (("cpu_pct", "%"), ("net_retransmit_pct", "%"))
ENTRY_METRICS = (("latency_p99_ms", "ms"), ("success_pct", "%"))
_IDLE_ERROR = 0.0006


class Column(NamedTuple):
    """One series: whose, what, in which unit."""

    owner: str
    metric: str
    unit: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tick as it was, kept so that logs and traces of it can be drawn when somebody asks."""

    tick: int
    at: Timestamp
    flow: Flow
    conditions: Conditions
    memory: FloatArray
    disk: FloatArray
    killed: FloatArray
    suspect: FloatArray
    restarting: FloatArray
    releases: Mapping[str, tuple[str, ...]]  # oldest first


@dataclass(frozen=True, slots=True)
class Loads:
    """Load on top of the traffic: on services and nodes, by faults and red herrings."""

    stolen: FloatArray  # share of the service's CPU that serves no request
    burn: FloatArray  # points added to its CPU reading
    retransmit: FloatArray
    node_burn: FloatArray
    node_retransmit: FloatArray


def no_loads(plant: Plant) -> Loads:
    """Nothing on top of the traffic."""
    n, nodes = len(plant.work), len(plant.graph.nodes)
    return Loads(np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(nodes), np.zeros(nodes))


def columns(plant: Plant) -> tuple[Column, ...]:
    """All series a world has, in the order of `row`: metric by metric, owner by owner."""
    graph = plant.graph
    found = [Column(s.name, m, unit) for m, unit in SERVICE_METRICS for s in graph.visible]
    found += [
        Column(f"{c.caller}->{c.callee}", m, unit) for m, unit in EDGE_METRICS for c in graph.calls
    ]
    found += [Column(f"node:{node}", m, unit) for m, unit in NODE_METRICS for node in graph.nodes]
    found += [Column(ENTRY, m, unit) for m, unit in ENTRY_METRICS]
    return tuple(found)


def memory(plant: Plant, state: State, rho: FloatArray, drift: FloatArray) -> FloatArray:
    """Memory of each service in percent of its limit: base, load, leak and a slow drift."""
    used: FloatArray = plant.memory + 6.0 * np.minimum(rho, 1.2) + state.leak + 0.5 * drift
    return np.clip(used, 1.0, 100.0)


def _share(p: FloatArray, trials: FloatArray, z: FloatArray) -> FloatArray:
    """A share as counted over `trials` requests: its expectation and binomial noise, in percent."""
    p = np.clip(p + _IDLE_ERROR, 0.0, 1.0)
    counted: FloatArray = p + np.sqrt(p * (1.0 - p) / np.maximum(trials, 1.0)) * z
    return 100.0 * np.clip(counted, 0.0, 1.0)


def row(
    plant: Plant, state: State, seen: Snapshot, loads: Loads, rng: np.random.Generator
) -> FloatArray:
    """One value for each of `columns`, with the noise of measuring."""
    flow, n, m = seen.flow, plant.ours, len(plant.caller)
    z = rng.standard_normal((8, n))
    e = rng.standard_normal((3, m))
    nodes = rng.standard_normal((2, len(plant.graph.nodes)))
    front = rng.standard_normal(2)
    rate = flow.rate[:n]
    used = np.minimum(flow.rho[:n], 1.03) * (1.0 + 0.025 * z[0])
    used = loads.stolen[:n] + (1.0 - loads.stolen[:n]) * used
    cpu = np.clip(2.0 + 93.0 * used + loads.burn[:n], 0.5, 99.7)
    retransmit = np.maximum(0.0, 0.12 + loads.retransmit[:n]) * np.exp(0.2 * z[6])
    weight = state.placed[:n] * state.ready[:n, None]
    node_cpu = 6.0 + 0.8 * (weight * cpu[:, None]).sum(0) / np.maximum(weight.sum(0), 1e-9)
    entry = plant.entry
    return np.concatenate(
        (
            cpu,
            np.clip(seen.memory[:n] + 0.12 * z[1], 0.0, 100.0),
            np.maximum(0.0, rate + np.sqrt(rate / TICK_S) * z[2]),
            _share(flow.error[:n], rate * TICK_S, z[3]),
            1000.0 * flow.p50[:n] * np.exp(0.02 * z[4]),
            1000.0 * flow.p99[:n] * np.exp(0.05 * z[5]),
            100.0 * np.minimum(1.0, flow.pool_use[:n] * (1.0 + 0.04 * z[7])),
            state.disk[:n],
            retransmit,
            np.round(state.ready[:n]),
            1000.0 * percentile90(flow.seen50, flow.seen99) * np.exp(0.04 * e[0]),
            np.maximum(0.0, flow.calls + np.sqrt(flow.calls / TICK_S) * e[1]),
            _share(flow.seen_error, flow.calls * TICK_S, e[2]),
            np.clip(node_cpu + loads.node_burn + 0.8 * nodes[0], 0.0, 99.7),
            np.maximum(0.0, 0.12 + loads.node_retransmit) * np.exp(0.2 * nodes[1]),
            1000.0 * (0.002 + flow.p99[entry : entry + 1]) * np.exp(0.05 * front[:1]),
            100.0
            - _share(flow.error[entry : entry + 1], rate[entry : entry + 1] * TICK_S, front[1:]),
        )
    )
