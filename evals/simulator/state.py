"""What a world remembers between two ticks, and what an operator may have set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evals.simulator.flow import TICK_S, Conditions, Plant
from evals.simulator.plant import replicas
from tools.types import FloatArray

_REPLICA_S = 12.0  # until one more replica is ready
_ROLLOUT_S = 40.0  # until all pods run another release
RESTART_S = 35.0
_MOVE_S = 30.0  # until the pods of a drained node run elsewhere
COLD_S = 60.0  # until a flushed cache is warm


@dataclass(slots=True)
class State:
    """Mutable by design: one world owns it and moves it on tick by tick."""

    desired: FloatArray
    ready: FloatArray
    leak: FloatArray  # memory held by leaked objects, in percent of the limit
    disk: FloatArray  # percent
    pool: FloatArray  # connections
    suspect: FloatArray  # share of pods on the newest release
    suspect_to: FloatArray
    placed: FloatArray  # (services, nodes): share of the pods on each node
    placed_to: FloatArray
    restarting: FloatArray  # seconds left
    cold: FloatArray  # seconds left until a flushed cache is warm
    killed: FloatArray  # seconds left of an out-of-memory kill
    flags: dict[tuple[str, str], bool] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)  # service -> requests per second
    breakers: set[int] = field(default_factory=set)  # calls with an open breaker
    standby: set[int] = field(default_factory=set)  # calls switched to their second upstream
    releases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # oldest first
    over: set[int] = field(default_factory=set)  # faults ended by what was done

    def release(self, service: str, index: int) -> tuple[str, str]:
        """Begin to roll out one patch version more; the versions before and after."""
        before = self.releases[service][-1]
        stem, _, last = before.rpartition(".")
        after = f"{stem}.{int(last) + 1}"
        self.releases = {**self.releases, service: (*self.releases[service], after)}
        self.suspect[index], self.suspect_to[index] = 0.0, 1.0
        return before, after

    def undo(self, service: str, index: int) -> tuple[str, str]:
        """Begin to go back to the release before; again brings the newer one back."""
        *older, before, bad = self.releases[service]
        self.releases = {**self.releases, service: (*older, bad, before)}
        self.suspect_to[index] = 1.0 - self.suspect_to[index]
        return bad, before


def first_state(plant: Plant) -> State:
    """The state of a healthy system."""
    graph = plant.graph
    n = len(graph.services)
    node = {name: j for j, name in enumerate(graph.nodes)}
    placed = np.full((n, len(node)), 0.4 / max(1, len(node) - 1))
    for name, home in graph.home.items():
        placed[plant.index[name], node[home]] = 0.6
    count = replicas(graph)
    return State(
        desired=count.copy(),
        ready=count.copy(),
        leak=np.zeros(n),
        disk=np.array([s.disk_pct for s in graph.services]),
        pool=plant.pool.copy(),
        suspect=np.zeros(n),
        suspect_to=np.zeros(n),
        placed=placed,
        placed_to=placed.copy(),
        restarting=np.zeros(n),
        cold=np.zeros(n),
        killed=np.zeros(n),
        releases={s.name: (s.version,) for s in graph.visible},
    )


def _towards(value: FloatArray, goal: FloatArray, step: float) -> FloatArray:
    moved: FloatArray = value + np.clip(goal - value, -step, step)
    return moved


def evolve(state: State) -> None:
    """Let one tick pass for all that needs time: rollouts, restarts, moves, warm-ups."""
    gone = state.desired < state.ready
    state.ready = np.where(
        gone, state.desired, _towards(state.ready, state.desired, TICK_S / _REPLICA_S)
    )
    state.suspect = _towards(state.suspect, state.suspect_to, TICK_S / _ROLLOUT_S)
    state.placed = _towards(state.placed, state.placed_to, TICK_S / _MOVE_S)
    for name in ("restarting", "cold", "killed"):
        setattr(state, name, np.maximum(0.0, getattr(state, name) - TICK_S))
    state.disk = np.minimum(100.0, state.disk + 0.00004 * TICK_S)


def impose(state: State, plant: Plant, at: Conditions, organic: float) -> None:
    """Put what is set and under way into the conditions of this tick."""
    busy = state.restarting > 0
    at.ready = state.ready * np.where(busy, 0.62, 1.0)
    at.ready = np.where(state.killed > 0, np.maximum(0.3, at.ready - 1.0), at.ready)
    at.own_error = at.own_error + 0.012 * busy
    at.stretch = at.stretch * np.where(busy, 1.3, 1.0) * np.where(state.cold > 0, 1.6, 1.0)
    at.pool = state.pool
    for service, limit in state.limits.items():
        _limit(plant, at, plant.index[service], limit, organic)
    for call in state.breakers:
        has_fallback = plant.graph.calls[call].fallback
        at.bypass[call] = has_fallback
        at.refused[call] = not has_fallback


def _limit(plant: Plant, at: Conditions, service: int, limit: float, organic: float) -> None:
    """At the front door it is by client: who floods it is refused whole, the rest is not met.

    Elsewhere a limit cuts anyone, and below the usual load it cuts users at the front door as well.
    """
    if service == plant.entry:
        if at.arriving > limit:
            at.arriving = min(limit, organic + 0.02 * (at.arriving - organic))
        offered = organic
    else:
        offered = plant.capacity[service] * at.ready[service] * 0.5
    at.own_error[service] += 0.9 * max(0.0, 1.0 - limit / max(offered, 1e-9))
