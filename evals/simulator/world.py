"""A simulated system in time: built from a scenario, moved on tick by tick, acted upon.

Everything that happens follows from the scenario and from what was done to the world and when; how
the time between was cut into calls of `advance` does not matter.
"""

import math

import numpy as np

from evals.simulator import faults, plant
from evals.simulator.flow import TICK_S, Conditions, Flow, calm, step
from evals.simulator.graph import Graph, random_graph, shop
from evals.simulator.readings import Column, Loads, Snapshot, columns, memory, no_loads, row
from evals.simulator.recording import Recording
from evals.simulator.rules import watch
from evals.simulator.scenario import InjectedFault, WorldScenario
from evals.simulator.state import State, evolve, first_state, impose
from tools.types import (
    Alert,
    Change,
    FloatArray,
    LogLine,
    Series,
    Span,
    Timestamp,
    Topology,
    Window,
)

_WARM_UP = 24  # ticks before the start, not recorded
_DAY_S = 86_400.0
_TICKS = 2  # the world's own stream of chance


def graph_of(scenario: WorldScenario) -> Graph:
    """The service graph a scenario plays in."""
    if scenario.system == "shop":
        return shop()
    return random_graph(scenario.services, scenario.graph_seed)


class World:
    """One running system. `now` only moves by `advance`; nothing later than `now` is ever shown.

    Raises ValueError where the scenario names what the graph does not have.
    """

    def __init__(self, scenario: WorldScenario) -> None:
        self.scenario = scenario
        self.graph = graph_of(scenario)
        _check(scenario, self.graph)
        self.plant = plant.build(self.graph, scenario.requests_per_s)
        self.state: State = first_state(self.plant)
        self.columns: tuple[Column, ...] = columns(self.plant)
        self.now: Timestamp = scenario.start
        self._tick = -_WARM_UP
        self._flow: Flow = plant.settle(self.plant, self._organic(self._at(self._tick)))
        self._drift = np.zeros((3, len(self.graph.services)))  # own work, memory, traffic
        rules = watch(self.graph, self.columns, self._normal())
        self._recording = Recording(self.plant, scenario, self.columns, rules)
        self._changes: list[Change] = []
        self._announced: set[InjectedFault | int] = set()
        self.advance(scenario.start)

    @property
    def first(self) -> Timestamp:
        """The first moment that was recorded."""
        return self.scenario.start

    def advance(self, until: Timestamp) -> None:
        """Move on to `until`; a moment already past changes nothing."""
        while self._at(self._tick) <= until:
            self._move()
        self.now = max(self.now, until)

    def series(self, window: Window) -> tuple[Series, ...]:
        """All series inside the window, without those that are not scraped."""
        return self._recording.series(window)

    def logs(self, window: Window) -> tuple[LogLine, ...]:
        """Log lines of the window, in order of time."""
        return self._recording.logs(window)

    def spans(self, window: Window) -> tuple[Span, ...]:
        """Spans of the sampled traces that began inside the window and have ended."""
        return self._recording.spans(window, self.now)

    def alerts(self, window: Window) -> tuple[Alert, ...]:
        """Alerts that began inside the window, as they stand now."""
        return self._recording.alerts(window)

    def changes(self, window: Window) -> tuple[Change, ...]:
        """Changes made inside the window, in order of time."""
        found = (change for change in self._changes if change.at in window)
        return tuple(sorted(found, key=lambda change: change.at))

    def topology(self) -> Topology:
        """The declared service map; it names outside dependencies in edges only."""
        return self.graph.topology()

    def record(self, change: Change) -> None:
        """Put a change into the world's log of changes."""
        self._changes.append(change)

    def _at(self, tick: int) -> Timestamp:
        return self.scenario.start + tick * TICK_S

    def _organic(self, now: Timestamp) -> float:
        """Requests per second people send at this time of day, without chance."""
        phase = 2.0 * math.pi * ((now % _DAY_S) / _DAY_S - 0.375)
        return self.scenario.requests_per_s * (1.0 + 0.12 * math.sin(phase))

    def _move(self) -> None:
        now = self._at(self._tick)
        rng = np.random.default_rng((self.scenario.seed, _TICKS, self._tick + _WARM_UP))
        at, loads = self._conditions(now, rng)
        self._flow = step(self.plant, at, self._flow)
        seen = self._snapshot(now, self._flow, at)
        values = row(self.plant, self.state, seen, loads, rng)
        if self._tick >= 0:
            self._recording.add(seen, values)
        self._tick += 1

    def _snapshot(self, now: Timestamp, flow: Flow, at: Conditions) -> Snapshot:
        state = self.state
        return Snapshot(
            tick=self._tick,
            at=now,
            flow=flow,
            conditions=at,
            memory=memory(self.plant, state, flow.rho, self._drift[1]),
            disk=state.disk.copy(),
            killed=state.killed.copy(),
            suspect=state.suspect.copy(),
            restarting=state.restarting.copy(),
            releases=state.releases,
        )

    def _conditions(self, now: Timestamp, rng: np.random.Generator) -> tuple[Conditions, Loads]:
        evolve(self.state)
        self._drift = 0.9 * self._drift + 0.436 * rng.standard_normal(self._drift.shape)
        organic = self._organic(now) * math.exp(0.02 * float(self._drift[2, 0]))
        at = calm(self.plant, organic, self.state.ready)
        at.stretch *= np.exp(0.02 * self._drift[0])
        loads = no_loads(self.plant)
        for number, fault in enumerate(self.scenario.faults):
            if now >= fault.onset and number not in self.state.over:
                self._announce(fault)
                faults.inflict(self._site(fault, at, loads, now))
        for herring in self.scenario.red_herrings:
            faults.distract(herring, self.plant, loads, now)
        self._release_harmless(now)
        impose(self.state, self.plant, at, organic)
        held = memory(self.plant, self.state, self._flow.rho, self._drift[1])
        faults.suffer(self.state, at, held)
        at.own_error = np.clip(at.own_error, 0.0, 0.97)
        return at, loads

    def _site(
        self, fault: InjectedFault, at: Conditions, loads: Loads, now: Timestamp
    ) -> faults.Site:
        return faults.Site(
            fault=fault,
            plant=self.plant,
            state=self.state,
            at=at,
            target=self.plant.index[fault.target],
            loads=loads,
            strength=faults.strength(fault, now),
        )

    def _announce(self, fault: InjectedFault) -> None:
        """The change that brought a fault, on its first tick, where a change did."""
        if fault in self._announced:
            return
        self._announced.add(fault)
        if fault.kind == "bad_deploy":
            self._release(fault.target, fault.onset)
        elif fault.kind == "errors":
            self.state.flags[fault.target, fault.flag] = True
            self.record(
                Change(
                    at=fault.onset,
                    service=fault.target,
                    kind="flag",
                    from_version=f"{fault.flag}=off",
                    to_version=f"{fault.flag}=on",
                    summary=f"flag {fault.flag} of {fault.target} turned on for all users",
                )
            )

    def _release_harmless(self, now: Timestamp) -> None:
        for number, herring in enumerate(self.scenario.red_herrings):
            due = herring.kind == "harmless_deploy" and herring.at <= now
            if due and number not in self._announced:
                self._announced.add(number)
                self._release(herring.target, herring.at)

    def _release(self, service: str, at: Timestamp) -> None:
        """Roll a new version of `service` out, beginning at `at`."""
        before, after = self.state.release(service, self.plant.index[service])
        self.record(
            Change(
                at=at,
                service=service,
                kind="deploy",
                from_version=before,
                to_version=after,
                summary=f"deployment {service} rolled out {after}",
            )
        )

    def _normal(self) -> FloatArray:
        """What every series reads under the mean traffic: the median of some draws."""
        arriving = self.scenario.requests_per_s
        flow = plant.settle(self.plant, arriving)
        seen = self._snapshot(self.now, flow, calm(self.plant, arriving, self.state.ready))
        loads = no_loads(self.plant)
        drawn = [
            row(self.plant, self.state, seen, loads, np.random.default_rng((0, i)))
            for i in range(16)
        ]
        return np.median(drawn, axis=0)


def _check(scenario: WorldScenario, graph: Graph) -> None:
    """Refuse a scenario that names what is not there."""
    ours = {service.name for service in graph.visible}
    struck = [f.target for f in scenario.faults] + [h.target for h in scenario.red_herrings]
    for name in (*struck, *(m.service for m in scenario.missing)):
        if name not in ours:
            raise ValueError(f"scenario names service {name!r}; the graph has {sorted(ours)!r}")
    for fault in scenario.faults:
        edge = (fault.target, fault.dependency)
        if fault.dependency and edge not in {(c.caller, c.callee) for c in graph.calls}:
            raise ValueError(f"scenario names dependency {fault.dependency!r} of {fault.target!r}")
        if fault.kind in ("slow_dependency", "dependency_down") and not fault.dependency:
            raise ValueError(f"a fault of kind {fault.kind!r} needs its dependency")
        if fault.kind == "network_loss" and fault.node not in graph.nodes:
            raise ValueError(f"scenario names node {fault.node!r}; nodes are {graph.nodes!r}")
