"""A simulated system in time: built from a scenario, moved on tick by tick, acted upon.

Everything that happens follows from the scenario and from what was done to the world and when; how
the time between was cut into calls of `advance` does not matter.
"""

import math

import numpy as np

from copilot.simulator import faults, plant
from copilot.simulator.flow import TICK_S, Conditions, Flow, calm, step
from copilot.simulator.graph import Graph, shop
from copilot.simulator.log_lines import LogWriter
from copilot.simulator.random_graph import random_graph
from copilot.simulator.readings import Column, Loads, Snapshot, columns, memory, no_loads, row
from copilot.simulator.rules import watch
from copilot.simulator.scenario import Fault, Scenario
from copilot.simulator.state import State, evolve, first_state, impose
from copilot.simulator.traces import TraceWriter
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
_TICKS, _LOGS, _TRACES = 2, 3, 4  # streams of chance, independent of each other


def graph_of(scenario: Scenario) -> Graph:
    """The service graph a scenario plays in."""
    if scenario.system == "shop":
        return shop()
    return random_graph(scenario.services, scenario.graph_seed)


class World:
    """One running system. `now` only moves by `advance`; nothing later than `now` is ever shown."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.graph = graph_of(scenario)
        self.plant = plant.build(self.graph, scenario.requests_per_s)
        self.state: State = first_state(self.plant)
        self.columns: tuple[Column, ...] = columns(self.plant)
        self.now: Timestamp = scenario.start
        self._tick = -_WARM_UP
        self._flow: Flow = plant.settle(self.plant, self._organic(self._at(self._tick)))
        n = len(self.graph.services)
        self._drift = np.zeros((3, n))  # slow chance: own work, memory; [2, 0] the traffic
        self._snapshots: list[Snapshot] = []
        self._times: list[Timestamp] = []
        self._rows: list[FloatArray] = []
        self._pending: list[FloatArray] = []
        self._watch = watch(self.graph, self.columns, self._normal())
        self._changes: list[Change] = []
        self._announced: set[int] = set()
        while self._tick < 0:
            self._move()
        self._move()

    # -- time

    def advance(self, until: Timestamp) -> None:
        """Move on to `until`; a moment already past changes nothing."""
        while self._at(self._tick) <= until:
            self._move()
        self.now = max(self.now, until)

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
        held = memory(self.plant, self.state, self._flow.rho, self._drift[1])
        seen = Snapshot(
            self._tick,
            now,
            self._flow,
            at,
            held,
            self.state.disk.copy(),
            self.state.killed,
            self.state.suspect,
            self.state.restarting,
        )
        values = row(self.plant, self.state, seen, loads, rng)
        if self._tick >= 0:
            self._record(seen, values)
        self._tick += 1

    def _record(self, seen: Snapshot, values: FloatArray) -> None:
        self._snapshots.append(seen)
        self._pending.append(values)
        if (seen.tick * int(TICK_S)) % self.scenario.sampling_s == 0:
            sample = np.mean(self._pending, axis=0)
            self._pending = []
            self._times.append(seen.at)
            self._rows.append(sample)
            self._watch.look(seen.at, sample)

    def _conditions(self, now: Timestamp, rng: np.random.Generator) -> tuple[Conditions, Loads]:
        evolve(self.state)
        n = len(self.graph.services)
        chance = rng.standard_normal((3, n))
        self._drift = 0.9 * self._drift + 0.436 * chance
        organic = self._organic(now) * math.exp(0.02 * float(self._drift[2, 0]))
        at = calm(self.plant, organic, self.state.ready)
        at.stretch *= np.exp(0.02 * self._drift[0])
        loads = no_loads(self.plant)
        for number, fault in enumerate(self.scenario.faults):
            if now >= fault.onset and number not in self.state.over:
                self._announce(number, fault)
                faults.inflict(self._site(fault, at, loads, now))
        for herring in self.scenario.red_herrings:
            faults.distract(herring, self.plant, loads, now)
        self._release_harmless(now)
        impose(self.state, self.plant, at, organic)
        held = memory(self.plant, self.state, self._flow.rho, self._drift[1])
        faults.suffer(self.state, at, held)
        at.own_error = np.clip(at.own_error, 0.0, 0.97)
        return at, loads

    def _site(self, fault: Fault, at: Conditions, loads: Loads, now: Timestamp) -> faults.Site:
        return faults.Site(
            fault=fault,
            plant=self.plant,
            state=self.state,
            at=at,
            target=self.plant.index[fault.target],
            loads=loads,
            strength=faults.strength(fault, now),
        )

    # -- changes

    def _announce(self, number: int, fault: Fault) -> None:
        """The change that brought a fault, on its first tick, where a change did."""
        if number in self._announced:
            return
        self._announced.add(number)
        if fault.kind == "bad_deploy":
            self.release(fault.target, fault.onset)
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
            if due and -1 - number not in self._announced:
                self._announced.add(-1 - number)
                self.release(herring.target, herring.at)

    def release(self, service: str, at: Timestamp) -> None:
        """Roll a new version of `service` out, beginning at `at`."""
        history = self.state.releases[service]
        stem, _, last = history[-1].rpartition(".")
        history.append(f"{stem}.{int(last) + 1}")
        index = self.plant.index[service]
        self.state.suspect[index] = 0.0
        self.state.suspect_to[index] = 1.0
        self.record(
            Change(
                at=at,
                service=service,
                kind="deploy",
                from_version=history[-2],
                to_version=history[-1],
                summary=f"deployment {service} rolled out {history[-1]}",
            )
        )

    def record(self, change: Change) -> None:
        """Put a change into the world's log of changes."""
        self._changes.append(change)

    # -- what can be seen

    def _normal(self) -> FloatArray:
        """What every series reads under the mean traffic, without chance."""
        flow = plant.settle(self.plant, self.scenario.requests_per_s)
        at = calm(self.plant, self.scenario.requests_per_s, self.state.ready)
        none = np.zeros(len(self.graph.services))
        held = memory(self.plant, self.state, flow.rho, none)
        seen = Snapshot(0, self.now, flow, at, held, self.state.disk, none, none, none)
        loads = no_loads(self.plant)
        drawn = [
            row(self.plant, self.state, seen, loads, np.random.default_rng((0, i)))
            for i in range(16)
        ]
        return np.median(drawn, axis=0)

    @property
    def first(self) -> Timestamp:
        """The first moment that was recorded."""
        return self.scenario.start

    def series(self, window: Window) -> tuple[Series, ...]:
        """All series inside the window, without those that are not scraped."""
        times = np.array(self._times)
        first = int(np.searchsorted(times, window.start, side="left"))
        last = int(np.searchsorted(times, min(window.end, self.now), side="right"))
        kept = times[first:last]
        values = np.array(self._rows[first:last]).reshape(len(kept), len(self.columns)).T
        hidden = {m.service for m in self.scenario.missing if m.kind == "no_metrics"}
        gaps: dict[str, FloatArray] = {}
        for gap in self.scenario.missing:
            if gap.kind == "gap":
                inside = (kept >= gap.start) & (kept <= gap.end)
                before = gaps.get(gap.service, np.zeros(len(kept)))
                gaps[gap.service] = np.where(inside, np.nan, before)
        return tuple(
            Series(c.owner, c.metric, kept, values[i] + gaps.get(c.owner, 0.0), c.unit)
            for i, c in enumerate(self.columns)
            if c.owner not in hidden
        )

    def logs(self, window: Window) -> tuple[LogLine, ...]:
        """Log lines of the window, in order of time."""
        writer = LogWriter(self.plant, self.scenario, self.state.releases)
        hidden = {m.service for m in self.scenario.missing if m.kind == "no_logs"}
        lines = [
            line
            for seen in self._during(window)
            for line in writer.lines(
                seen, np.random.default_rng((self.scenario.seed, _LOGS, seen.tick))
            )
            if line.service not in hidden and line.at in window and line.at <= self.now
        ]
        return tuple(sorted(lines, key=lambda line: (line.at, line.service, line.message)))

    def spans(self, window: Window) -> tuple[Span, ...]:
        """Spans of the sampled traces whose spans begin inside the window."""
        writer = TraceWriter(self.plant, self.scenario)
        return tuple(
            span
            for seen in self._during(window)
            for span in writer.spans(
                seen, np.random.default_rng((self.scenario.seed, _TRACES, seen.tick))
            )
            if span.at in window and span.at + span.seconds <= self.now
        )

    def snapshots(self, window: Window) -> tuple[Snapshot, ...]:
        """The ticks inside the window."""
        return tuple(seen for seen in self._snapshots if seen.at in window)

    def _during(self, window: Window) -> list[Snapshot]:
        """The ticks that may have left a line or span inside the window."""
        reach = window.start - 2 * TICK_S
        late = window.end + TICK_S
        return [seen for seen in self._snapshots if reach <= seen.at <= late]

    def alerts(self, window: Window) -> tuple[Alert, ...]:
        """Alerts that began inside the window, as they stand now."""
        return tuple(a for a in self._watch.alerts if a.starts_at in window)

    def changes(self, window: Window) -> tuple[Change, ...]:
        """Changes made inside the window, in order of time."""
        found = (c for c in self._changes if c.at in window and c.at <= self.now)
        return tuple(sorted(found, key=lambda change: change.at))

    def topology(self) -> Topology:
        """The declared service map; it names outside dependencies in edges only."""
        return self.graph.topology()
