"""What an operator can do to a world: one small function per control, each says what it did.

A control acts on the plant, not on the fault: what cures a fault is what removes its cause.
"""

from collections.abc import Callable

import numpy as np

from evals.simulator.scenario import SimulatedFault
from evals.simulator.state import COLD_S, RESTART_S, first_state
from evals.simulator.world import World
from tools.types import Change, ChangeKind

_MOST_REPLICAS = 200


class ControlError(Exception):
    """The control was refused; nothing was changed."""


def _service(world: World, name: str) -> int:
    index = world.plant.index.get(name)
    if index is None or index >= world.plant.ours:
        raise ControlError(f"service {name!r} not found; services are those of the topology")
    return index


def _call(world: World, service: str, dependency: str) -> int:
    for number, call in enumerate(world.graph.calls):
        if (call.caller, call.callee) == (service, dependency):
            return number
    raise ControlError(f"{service!r} has no dependency {dependency!r}")


def _log(world: World, service: str, kind: ChangeKind, summary: str, **versions: str) -> None:
    world.record(Change(at=world.now, service=service, kind=kind, summary=summary, **versions))


def _end(world: World, kind: SimulatedFault, service: str) -> None:
    """The cause of this kind at this service is gone for good."""
    for number, fault in enumerate(world.scenario.faults):
        if (fault.kind, fault.target) == (kind, service) and fault.onset <= world.now:
            world.state.over.add(number)


def scale(world: World, service: str, replicas: int) -> str:
    """Set the number of replicas; new ones become ready one by one."""
    index = _service(world, service)
    if not 0 <= replicas <= _MOST_REPLICAS:
        raise ControlError(f"replicas must be within 0..{_MOST_REPLICAS}, not {replicas!r}")
    before = int(world.state.desired[index])
    world.state.desired[index] = float(replicas)
    _log(world, service, "scale", f"{service} scaled from {before} to {replicas} replicas")
    return f"deployment.apps/{service} scaled from {before} to {replicas}"


def rollout_undo(world: World, service: str) -> str:
    """Return to the release before; refused where no release was made within the history."""
    index = _service(world, service)
    if len(world.state.releases[service]) < 2:
        raise ControlError(f"no earlier revision of deployment {service!r} in the rollout history")
    bad, good = world.state.undo(service, index)
    _log(
        world,
        service,
        "deploy",
        f"deployment {service} rolled back to {good}",
        from_version=bad,
        to_version=good,
    )
    return f"deployment.apps/{service} rolled back from {bad} to {good}"


def rollout_restart(world: World, service: str) -> str:
    """Replace all pods by fresh ones: capacity dips for a while, leaked memory is gone."""
    index = _service(world, service)
    world.state.restarting[index] = RESTART_S
    world.state.leak[index] = 0.0
    _end(world, "memory_pressure", service)
    _log(world, service, "other", f"deployment {service} restarted")
    return f"deployment.apps/{service} restarted"


def drain(world: World, node: str) -> str:
    """Move all pods off a node; they restart on the others."""
    if node not in world.graph.nodes:
        raise ControlError(f"node {node!r} not found; nodes are {list(world.graph.nodes)!r}")
    place = world.graph.nodes.index(node)
    if not (world.state.placed_to[:, np.arange(len(world.graph.nodes)) != place] > 0).any():
        raise ControlError(f"node {node!r} is the last that takes pods")
    goal = world.state.placed_to
    goal[:, place] = 0.0
    goal /= np.maximum(goal.sum(axis=1, keepdims=True), 1e-9)
    _log(world, "", "infrastructure", f"node {node} drained")
    return f"node/{node} drained"


def uncordon(world: World, node: str) -> str:
    """Let a node take pods again; the pods go back to where they were placed first."""
    if node not in world.graph.nodes:
        raise ControlError(f"node {node!r} not found; nodes are {list(world.graph.nodes)!r}")
    world.state.placed_to = first_state(world.plant).placed
    _log(world, "", "infrastructure", f"node {node} takes pods again")
    return f"node/{node} uncordoned"


def describe(world: World, service: str) -> str:
    """What runs: replicas and release."""
    index = _service(world, service)
    ready, desired = float(world.state.ready[index]), int(world.state.desired[index])
    release = world.state.releases[service][-1]
    return f"deployment.apps/{service}: {ready:.0f} of {desired} replicas ready, release {release}"


def set_flag(world: World, service: str, flag: str, value: bool) -> str:
    """Turn a feature on or off for all users."""
    _service(world, service)
    state = "on" if value else "off"
    known = world.state.flags.get((service, flag))
    world.state.flags[service, flag] = value
    if known is None or known == value:
        return f"flag {flag} of {service} is {state}, nothing changed"
    _log(world, service, "flag", f"flag {flag} of {service} turned {state}")
    return f"flag {flag} of {service} turned {state}"


def resize_pool(world: World, service: str, connections: float) -> str:
    """Set the number of connections the service may hold."""
    index = _service(world, service)
    if not 1 <= connections <= 100_000:
        raise ControlError(f"pool_size must be within 1..100000, not {connections!r}")
    before = float(world.state.pool[index])
    pool = world.state.pool.copy()
    pool[index] = connections
    world.state.pool = pool
    _log(world, service, "config", f"pool_size of {service} set to {connections:g}")
    return f"pool_size of {service} changed from {before:g} to {connections:g}"


def rate_limit(world: World, service: str, requests_per_s: float) -> str:
    """Cut what arrives at a service above this rate; the front door cuts the heaviest clients."""
    _service(world, service)
    if not requests_per_s > 0:
        raise ControlError(f"rate_limit_rps must be above 0, not {requests_per_s!r}")
    world.state.limits[service] = requests_per_s
    _log(world, service, "config", f"rate_limit_rps of {service} set to {requests_per_s:g}")
    return f"{service} now takes at most {requests_per_s:g} requests per second"


def unlimit(world: World, service: str) -> str:
    """Take the rate limit away."""
    _service(world, service)
    world.state.limits.pop(service, None)
    _log(world, service, "config", f"rate_limit_rps of {service} removed")
    return f"{service} takes any number of requests again"


def open_breaker(world: World, service: str, dependency: str) -> str:
    """Stop calling a dependency: answered from a stored reply where there is one."""
    number = _call(world, service, dependency)
    world.state.breakers.add(number)
    _log(world, service, "config", f"circuit breaker of {service} for {dependency} opened")
    return f"circuit breaker of {service} for {dependency} is open"


def close_breaker(world: World, service: str, dependency: str) -> str:
    """Call a dependency again."""
    world.state.breakers.discard(_call(world, service, dependency))
    _log(world, service, "config", f"circuit breaker of {service} for {dependency} closed")
    return f"circuit breaker of {service} for {dependency} is closed"


def to_standby(world: World, service: str, dependency: str) -> str:
    """Send the calls to the second upstream; refused where there is none."""
    number = _call(world, service, dependency)
    if not world.graph.calls[number].standby:
        raise ControlError(f"{service!r} has no standby for {dependency!r}")
    world.state.standby.add(number)
    _log(world, service, "config", f"{service} switched {dependency} to its standby")
    return f"{service} now calls the standby of {dependency}"


def to_primary(world: World, service: str, dependency: str) -> str:
    """Send the calls to the first upstream again."""
    world.state.standby.discard(_call(world, service, dependency))
    _log(world, service, "config", f"{service} switched {dependency} to its primary")
    return f"{service} now calls the primary of {dependency}"


def clean_disk(world: World, service: str) -> str:
    """Delete old files and truncate the log that grows; the volume returns to its usual level."""
    index = _service(world, service)
    usual = world.graph.services[index].disk_pct
    before = float(world.state.disk[index])
    world.state.disk[index] = min(before, usual)
    _end(world, "disk_full", service)
    return f"{service}: {before - min(before, usual):.1f}% of the volume freed"


def flush_cache(world: World, service: str) -> str:
    """Drop the cached entries of a service; it is slow until they are read again."""
    index = _service(world, service)
    world.state.cold[index] = COLD_S
    return f"{service}: cache flushed"


SWITCHES: dict[str, dict[str, Callable[[World, str, str], str]]] = {
    "circuit_breaker": {"open": open_breaker, "closed": close_breaker},
    "upstream": {"standby": to_standby, "primary": to_primary},
}
"""Configuration keys `<switch>.<dependency>` and the values each takes."""

AMOUNTS: dict[str, Callable[[World, str, float], str]] = {
    "pool_size": resize_pool,
    "rate_limit_rps": rate_limit,
}
"""Configuration keys that take a number."""
