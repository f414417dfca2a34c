"""A world as every telemetry port at once, and as a clock whose sleep moves the world on."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evals.simulator.world import World
from tools.types import (
    Alert,
    Change,
    Fact,
    LogLine,
    Series,
    Span,
    Timestamp,
    Topology,
    Window,
)

_HISTORY_S = 3600.0
ALWAYS = Window(start=-math.inf, end=math.inf)


def _until(before: Timestamp) -> Window:
    return Window(start=-math.inf, end=math.nextafter(before, -math.inf))


def _join(past: Series, recent: Series) -> Series:
    return Series(
        past.owner,
        past.metric,
        np.concatenate([past.times, recent.times]),
        np.concatenate([past.values, recent.values]),
        past.unit,
    )


class SimulatedSource:
    """Telemetry of a world up to the world's own now; its baseline is the day before."""

    def __init__(self, world: World, history_s: float = _HISTORY_S) -> None:
        self._world = world
        self._history_s = history_s
        self._yesterday: World | None = None

    def now(self) -> Timestamp:
        """The world's time."""
        return self._world.now

    def sleep(self, seconds: float) -> None:
        """Let the world run on for this long."""
        self._world.advance(self._world.now + max(0.0, seconds))

    def series(self, window: Window) -> Sequence[Series]:
        """All series of the window, as far as the world has come."""
        return self._world.series(window)

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """The same hour of the day before, then this world's own past before `before`."""
        past = self._history().series(ALWAYS)
        recent = {s.name: s for s in self._world.series(_until(before))}
        return tuple(_join(s, recent[s.name]) for s in past)

    def lines(self, window: Window) -> Sequence[LogLine]:
        """Log lines of the window."""
        return self._world.logs(window)

    def baseline_lines(self, before: Timestamp) -> Sequence[LogLine]:
        """Log lines of the same hour of the day before, then of this world's own past."""
        return (*self._history().logs(ALWAYS), *self._world.logs(_until(before)))

    def spans(self, window: Window) -> Sequence[Span]:
        """Spans of the sampled traces."""
        return self._world.spans(window)

    def topology(self) -> Topology:
        """The declared service map."""
        return self._world.topology()

    def changes(self, window: Window) -> Sequence[Change]:
        """Deploys, flags, configuration and scaling inside the window."""
        return self._world.changes(window)

    def alerts(self, window: Window) -> Sequence[Alert]:
        """Alerts that began inside the window, as they stand now."""
        return self._world.alerts(window)

    def facts(self) -> Mapping[str, Fact]:
        """What is configured now: kind, replicas, pool, node and newest flag of each component."""
        return _configured(self._world)

    def _history(self) -> World:
        if self._yesterday is None:
            self._yesterday = World(self._world.scenario.history(self._history_s))
            self._yesterday.advance(self._yesterday.first + self._history_s)
        return self._yesterday


def _configured(world: World) -> dict[str, Fact]:
    """Facts under keys `<fact>:<component>`.

    `kind`, `replicas` (desired), `pool_size`, `node` (where most pods run), `ready_nodes` (nodes
    that take pods), `flag` (the feature turned on last and still on) of our services; `kind` and
    the one `caller` of what lies outside, which is its caller's `dependency`.
    """
    found: dict[str, Fact] = {}
    graph, state = world.graph, world.state
    open_nodes = float((state.placed_to.sum(axis=0) > 0).sum())
    for index, service in enumerate(graph.visible):
        name = service.name
        found |= {
            f"kind:{name}": service.kind,
            f"replicas:{name}": float(state.desired[index]),
            f"pool_size:{name}": float(state.pool[index]),
            f"node:{name}": graph.nodes[int(np.argmax(state.placed_to[index]))],
            f"ready_nodes:{name}": open_nodes,
        }
    found |= {f"flag:{name}": flag for (name, flag), on in state.flags.items() if on}
    outside = {s.name for s in graph.services if s.kind == "external"}
    for call in graph.calls:
        if call.callee in outside:
            found[f"kind:{call.callee}"] = "external"
            found[f"caller:{call.callee}"] = call.caller
            found[f"dependency:{call.caller}"] = call.callee
    return found
