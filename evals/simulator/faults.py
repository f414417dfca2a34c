"""What each fault does to the plant while it lasts, one small function per kind."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.simulator.flow import TICK_S, Conditions, Plant
from evals.simulator.readings import Loads
from evals.simulator.scenario import InjectedFault, RedHerring, SimulatedFault
from evals.simulator.state import State
from tools.types import FloatArray, Timestamp

_RAMP_S = 15.0
_FILLS_S = 185.0  # a leak or a runaway writer of magnitude 1 fills what is left in this time
_CROWD_RAMP_S = 60.0  # clients do not all arrive at once
FULL_PCT = 99.0  # percent of the volume from which writes fail
TIGHT_PCT = 75.0  # percent of memory from which collection costs time


@dataclass(slots=True)
class Site:
    """Where a fault acts in this tick: everything it may read and change."""

    fault: InjectedFault
    plant: Plant
    state: State
    at: Conditions
    target: int
    loads: Loads
    strength: float  # magnitude times a short ramp after the onset

    @property
    def call(self) -> int:
        """The call from the target to the dependency the fault names."""
        calls = self.plant.graph.calls
        wanted = (self.fault.target, self.fault.dependency)
        return next(i for i, c in enumerate(calls) if (c.caller, c.callee) == wanted)


def _cpu_saturation(site: Site) -> None:
    """Threads of one pod spin on a lock they share; with a third less load a pod they do not."""
    declared = site.plant.graph.services[site.target].replicas
    crowd = declared / max(float(site.state.ready[site.target]), 0.1)
    spinning = min(0.85, 0.58 * site.strength * min(1.0, max(0.0, (crowd - 0.7) / 0.3)))
    site.at.cost[site.target] /= 1.0 - spinning
    site.loads.stolen[site.target] = spinning


def _memory_pressure(site: Site) -> None:
    room = 100.0 - float(site.plant.memory[site.target])
    site.state.leak[site.target] += room * site.strength * TICK_S / _FILLS_S


def _slow_dependency(site: Site) -> None:
    if site.call not in site.state.standby:
        late = 0.62 * float(site.plant.timeout[site.call])
        site.at.link_delay[site.call] += late * site.strength


def _errors(site: Site) -> None:
    if site.state.flags.get((site.fault.target, site.fault.flag), True):
        site.at.own_error[site.target] += min(0.9, 0.24 * site.strength)


def _bad_deploy(site: Site) -> None:
    share = float(site.state.suspect[site.target]) * site.fault.magnitude
    site.at.own_error[site.target] += min(0.9, 0.20 * share)
    site.at.stretch[site.target] *= 1.0 + 1.6 * share
    site.at.cost[site.target] *= 1.0 + 0.25 * share


def _pool_exhaustion(site: Site) -> None:
    """Transactions stay open, waiting for rows others lock; a larger pool lets them finish."""
    share = site.plant.graph.services[site.target].pool_pct / 100.0
    usual = float(site.plant.pool[site.target])
    room = min(1.0, usual / float(site.state.pool[site.target]))
    site.at.pinned[site.target] += (1.32 - share) * site.strength * usual * room


def _dependency_down(site: Site) -> None:
    if site.call not in site.state.standby:
        site.at.refused[site.call] = True


def _traffic_surge(site: Site) -> None:
    site.at.arriving *= 1.0 + 1.5 * site.strength


def _disk_full(site: Site) -> None:
    disk = site.state.disk
    room = 100.0 - site.plant.graph.services[site.target].disk_pct
    more = room * site.strength * TICK_S / _FILLS_S
    disk[site.target] = min(100.0, disk[site.target] + more)


def _network_loss(site: Site) -> None:
    node = site.plant.graph.nodes.index(site.fault.node)
    share = float(site.state.placed[site.target, node]) * site.strength
    near = (site.plant.caller == site.target) | (site.plant.callee == site.target)
    site.at.link_delay[near] += 0.35 * share
    site.at.link_loss[near] += min(0.8, 0.16 * share)
    site.loads.retransmit[site.target] += 22.0 * share
    site.loads.node_retransmit[node] += 9.0 * share


_EFFECT: dict[SimulatedFault, Callable[[Site], None]] = {
    "cpu_saturation": _cpu_saturation,
    "memory_pressure": _memory_pressure,
    "slow_dependency": _slow_dependency,
    "errors": _errors,
    "bad_deploy": _bad_deploy,
    "pool_exhaustion": _pool_exhaustion,
    "dependency_down": _dependency_down,
    "traffic_surge": _traffic_surge,
    "disk_full": _disk_full,
    "network_loss": _network_loss,
}


def strength(fault: InjectedFault, now: Timestamp) -> float:
    """Magnitude of a fault at `now`, rising over a few seconds from its onset; 0 before it."""
    ramp = _CROWD_RAMP_S if fault.kind == "traffic_surge" else _RAMP_S
    return fault.magnitude * min(1.0, max(0.0, (now - fault.onset + TICK_S) / ramp))


def inflict(site: Site) -> None:
    """Let the fault of this site act for one tick."""
    _EFFECT[site.fault.kind](site)


def suffer(state: State, at: Conditions, memory: FloatArray) -> None:
    """What full memory and full disks do, whatever filled them.

    Above a limit the kernel kills a process; its pod starts again on the same volume and leaks on.
    """
    tight = np.clip((memory - TIGHT_PCT) / (100.0 - TIGHT_PCT), 0.0, 1.0)
    at.stretch *= 1.0 + 2.2 * tight
    at.cost *= 1.0 + 0.3 * tight
    out = memory >= 100.0
    state.killed = np.where(out, 25.0, state.killed)
    state.leak = np.where(out, 0.8 * state.leak, state.leak)
    at.own_error += 0.25 * (state.killed > 0)
    full = state.disk >= FULL_PCT
    at.own_error += 0.45 * full
    at.stretch *= np.where(full, 2.5, 1.0)


def distract(herring: RedHerring, plant: Plant, loads: Loads, now: Timestamp) -> None:
    """Load that shows in CPU readings and hurts nobody."""
    if not herring.at <= now < herring.at + herring.seconds:
        return
    if herring.kind == "scheduled_spike":
        loads.burn[plant.index[herring.target]] += 50.0
    elif herring.kind == "noisy_neighbour":
        node = plant.graph.home[herring.target]
        loads.node_burn[plant.graph.nodes.index(node)] += 38.0
