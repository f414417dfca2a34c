"""One tick of the traffic: load down the graph, latency and errors back up, as array formulas.

Open traffic enters at the front door and is multiplied down the calls. A service with utilisation
rho adds a queueing delay of rho^2 / (1 - rho) of its work (an M/M/1-like wait, halved); above
rho = 1 a backlog grows, and what does not fit is shed. A caller's latency is its own plus what it
waits for each call; calls are cut at their timeout, and a lognormal tail says how often. Feedback
(retries, connections held) takes the values of the tick before, so a tick is one explicit step.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from evals.simulator.graph import Graph
from tools.types import FloatArray

TICK_S = 5.0
_BACKLOG_S = 2.5  # queued work a service holds before it sheds
_Z99 = 2.326  # standard normal quantiles
_Z90 = 1.282
_FAIL_FAST_S = 0.004  # a refused connection, or an open breaker

IndexArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Plant:
    """The graph as arrays: `n` services (externals last), `m` calls, calibrated limits."""

    graph: Graph
    index: dict[str, int]
    ours: int  # services before this index are visible
    caller: IndexArray
    callee: IndexArray
    per_request: FloatArray
    timeout: FloatArray
    attempts: FloatArray
    required: FloatArray  # 0 for optional calls
    pooled: FloatArray  # 1 for calls that keep a connection: to stores, and to the outside
    depth: int
    work: FloatArray  # seconds
    tail: FloatArray
    capacity: FloatArray  # requests per second of one replica
    pool: FloatArray  # connections
    hold: FloatArray  # connections held for one second of one request
    memory: FloatArray  # percent of the limit, without load
    entry: int


@dataclass(slots=True)
class Conditions:
    """What faults, controls and chance make of the plant in this tick."""

    arriving: float  # requests per second at the front door
    cost: FloatArray  # CPU of one request, 1 = normal
    stretch: FloatArray  # factor on own latency
    delay: FloatArray  # seconds added to own latency
    own_error: FloatArray  # share of requests failed by the service's own code
    pinned: FloatArray  # connections held by what is no request
    pool: FloatArray  # connections
    ready: FloatArray  # replicas that serve
    link_delay: FloatArray  # per call: seconds on the wire
    link_loss: FloatArray  # per call: share lost on the wire
    bypass: NDArray[np.bool_]  # per call: answered from a fallback
    refused: NDArray[np.bool_]  # per call: fails at once


@dataclass(slots=True)
class Flow:
    """What the tick measured; the next tick starts from it."""

    rate: FloatArray
    rho: FloatArray
    backlog: FloatArray
    shed: FloatArray
    own50: FloatArray
    own99: FloatArray
    p50: FloatArray
    p99: FloatArray
    error: FloatArray
    pool_use: FloatArray  # connections wanted over connections there
    pool_error: FloatArray
    held: FloatArray  # smoothed seconds a request holds a connection
    calls: FloatArray  # per call and second, retries included
    seen50: FloatArray  # per call, as the caller sees it
    seen99: FloatArray
    seen_error: FloatArray
    late: FloatArray  # per call: share cut by the timeout


def percentile90(p50: FloatArray, p99: FloatArray) -> FloatArray:
    """90th percentile of the lognormal with this median and 99th percentile."""
    ratio = np.maximum(p99 / np.maximum(p50, 1e-6), 1.0)
    between: FloatArray = p50 * ratio ** (_Z90 / _Z99)
    return between


def _exceeds(limit: FloatArray, p50: FloatArray, p99: FloatArray) -> FloatArray:
    """Share of a lognormal with these quantiles above `limit` (logistic normal tail)."""
    sigma = np.maximum(np.log(np.maximum(p99 / p50, 1.05)) / _Z99, 0.02)
    z = np.clip(np.log(limit / p50) / sigma, -18.0, 18.0)
    share: FloatArray = 1.0 / (1.0 + np.exp(1.702 * z))
    return np.where(z > 4.0, 0.0, share)


def _damped(before: FloatArray, now: FloatArray) -> FloatArray:
    """Callers feel a failing callee over some ticks, so the explicit step does not oscillate."""
    mixed: FloatArray = 0.65 * before + 0.35 * now
    return np.where(mixed < 1e-4, 0.0, mixed)


def _load(plant: Plant, at: Conditions, before: Flow) -> tuple[FloatArray, FloatArray]:
    """Requests per second of each service and of each call."""
    n = len(plant.work)
    served = (1.0 - before.shed) * (1.0 - at.own_error) * (1.0 - before.pool_error)
    again = 1.0 + (plant.attempts - 1.0) * before.seen_error
    each = plant.per_request * again * served[plant.caller]
    each = np.where(at.bypass, 0.0, each)
    rate = np.zeros(n)
    rate[plant.entry] = at.arriving
    source = rate.copy()
    for _ in range(plant.depth):
        rate = source + np.bincount(plant.callee, each * rate[plant.caller], n)
    return rate, each * rate[plant.caller]


def _own(plant: Plant, at: Conditions, flow: Flow) -> None:
    """Queue, backlog, pool and own latency of each service, into `flow`."""
    capacity = np.maximum(at.ready, 0.05) * plant.capacity / at.cost
    flow.rho = flow.rate / capacity
    flow.backlog = np.clip(flow.backlog + (flow.rho - 1.0) * TICK_S, 0.0, _BACKLOG_S)
    over = np.maximum(0.0, 1.0 - 1.0 / np.maximum(flow.rho, 1e-9))
    flow.shed = _damped(flow.shed, over * flow.backlog / _BACKLOG_S)
    busy = np.minimum(flow.rho, 0.96)
    queue = 0.5 * busy**2 / (1.0 - busy)
    held = flow.rate * (1.0 - flow.shed) * flow.held * plant.hold
    wanted = (held + at.pinned) / at.pool
    flow.pool_use = wanted
    starved = np.clip(wanted - 1.0, 0.0, 1.0)
    flow.pool_error = _damped(flow.pool_error, 0.45 * starved)
    wait = 0.9 * np.minimum(1.0, 4.0 * np.maximum(0.0, wanted - 0.9))
    base = plant.work * at.stretch
    flow.own50 = base * (1.0 + queue) + 0.55 * flow.backlog + at.delay + 0.4 * wait
    flow.own99 = (
        base * plant.tail * (1.0 + 1.4 * queue) + 1.2 * flow.backlog + 1.8 * at.delay + 2.3 * wait
    )


def _answers(plant: Plant, at: Conditions, flow: Flow) -> None:
    """Latency and errors of each call and service, callees first, into `flow`."""
    n = len(plant.work)
    own_error = 1.0 - (1.0 - at.own_error) * (1.0 - flow.shed) * (1.0 - flow.pool_error)
    flow.p50, flow.p99, flow.error = flow.own50.copy(), flow.own99.copy(), own_error.copy()
    weight = np.minimum(plant.per_request, 1.0)
    for _ in range(plant.depth):
        p50 = flow.p50[plant.callee] + at.link_delay
        p99 = flow.p99[plant.callee] + 3.0 * at.link_delay
        flow.late = _exceeds(plant.timeout, p50, p99)
        flow.seen50 = np.minimum(p50, plant.timeout)
        flow.seen99 = np.minimum(p99, plant.timeout)
        once = 1.0 - (1.0 - flow.error[plant.callee]) * (1.0 - flow.late) * (1.0 - at.link_loss)
        flow.seen_error = once**plant.attempts
        for quick, failed in ((at.refused, 1.0), (at.bypass, 0.0)):
            flow.seen50 = np.where(quick, _FAIL_FAST_S, flow.seen50)
            flow.seen99 = np.where(quick, 3.0 * _FAIL_FAST_S, flow.seen99)
            flow.seen_error = np.where(quick, failed, flow.seen_error)
            flow.late = np.where(quick, 0.0, flow.late)
        lost = np.bincount(
            plant.caller,
            np.log1p(-np.minimum(flow.seen_error * weight * plant.required, 0.9999)),
            n,
        )
        flow.error = 1.0 - (1.0 - own_error) * np.exp(lost)
        flow.p50 = flow.own50 + np.bincount(plant.caller, flow.seen50 * plant.per_request, n)
        flow.p99 = flow.own99 + np.bincount(plant.caller, flow.seen99 * weight, n)


def step(plant: Plant, at: Conditions, before: Flow) -> Flow:
    """The tick after `before` under these conditions."""
    flow = replace(before)
    flow.rate, flow.calls = _load(plant, at, before)
    _own(plant, at, flow)
    _answers(plant, at, flow)
    waited = 0.4 * 0.9 * np.minimum(1.0, 4.0 * np.maximum(0.0, flow.pool_use - 0.9))
    reply = flow.seen50 * plant.per_request * plant.pooled
    # A request that waits in the queue or for a connection does not hold one.
    hold = (
        flow.own50
        - 0.55 * flow.backlog
        - waited
        + np.bincount(plant.caller, reply, len(plant.work))
    )
    flow.held = 0.5 * before.held + 0.5 * hold
    return flow


def at_rest(n: int, m: int) -> Flow:
    """A flow in which nothing has happened yet."""
    of_calls = {"calls", "seen50", "seen99", "seen_error", "late"}
    return Flow(**{f.name: np.zeros(m if f.name in of_calls else n) for f in fields(Flow)})


def calm(plant: Plant, arriving: float, ready: FloatArray) -> Conditions:
    """Conditions without any fault, control or noise."""
    n, m = len(plant.work), len(plant.caller)
    return Conditions(
        arriving=arriving,
        cost=np.ones(n),
        stretch=np.ones(n),
        delay=np.zeros(n),
        own_error=np.zeros(n),
        pinned=np.zeros(n),
        pool=plant.pool.copy(),
        ready=ready.copy(),
        link_delay=np.full(m, 0.0004),
        link_loss=np.zeros(m),
        bypass=np.zeros(m, dtype=bool),
        refused=np.zeros(m, dtype=bool),
    )
