"""Sampled traces of one tick: a request walks the graph, and each visit leaves a span."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from copilot.simulator.flow import TICK_S, Plant
from copilot.simulator.readings import Snapshot
from copilot.simulator.scenario import Scenario
from tools.types import Span, Timestamp

_MOST_SPANS = 60  # of one trace


@dataclass(slots=True)
class _Walk:
    """One trace being drawn."""

    trace: str
    seen: Snapshot
    rng: np.random.Generator
    spans: list[Span]

    def draw(self, p50: float, p99: float) -> float:
        """A lognormal duration with these quantiles."""
        sigma = np.log(max(p99 / max(p50, 1e-6), 1.05)) / 2.326
        return float(p50 * np.exp(min(sigma, 1.2) * float(self.rng.standard_normal())))


class TraceWriter:
    """Turns snapshots into spans; holds nothing but the plant and the script."""

    def __init__(self, plant: Plant, scenario: Scenario) -> None:
        self._plant = plant
        self._every = scenario.trace_every_s
        self._out = [np.flatnonzero(plant.caller == i) for i in range(len(plant.work))]

    def spans(self, seen: Snapshot, rng: np.random.Generator) -> Iterator[Span]:
        """The spans of the traces that were sampled in this tick."""
        for number in range(int(TICK_S / self._every + float(rng.random()))):
            trace = f"{seen.tick:06x}{number:02x}{int(rng.random() * 2**32):08x}"
            walk = _Walk(trace, seen, rng, [])
            self._visit(walk, self._plant.entry, seen.at - TICK_S * float(rng.random()), "")
            yield from sorted(walk.spans, key=lambda span: int(span.span))

    def _visit(
        self, walk: _Walk, service: int, start: Timestamp, parent: str, operation: str = "request"
    ) -> tuple[float, bool]:
        """Serve one request at `service`; how long it took and whether it failed."""
        flow, plant = walk.seen.flow, self._plant
        number = str(len(walk.spans) + 1)
        name = plant.graph.services[service].name
        walk.spans.append(Span(start, walk.trace, number, parent, name, operation, 0.0))
        spent = 0.5 * walk.draw(float(flow.own50[service]), float(flow.own99[service]))
        own = 1.0 - float(walk.seen.conditions.own_error[service])
        own *= (1.0 - float(flow.shed[service])) * (1.0 - float(flow.pool_error[service]))
        failed = float(walk.rng.random()) > own
        for k in self._out[service]:
            if failed or len(walk.spans) >= _MOST_SPANS:
                break
            if float(walk.rng.random()) < plant.per_request[k]:
                took, broke = self._call(walk, int(k), start + spent, number)
                spent += took
                failed = broke and plant.required[k] > 0
        spent *= 1.0 + 0.1 * float(walk.rng.random())
        spent += 0.5 * float(flow.own50[service])
        walk.spans[int(number) - 1] = Span(
            round(start, 3), walk.trace, number, parent, name, operation, round(spent, 6), failed
        )
        return spent, failed

    def _call(self, walk: _Walk, k: int, start: Timestamp, parent: str) -> tuple[float, bool]:
        """Make one call; what the caller waited for it, and whether it failed."""
        plant, at = self._plant, walk.seen.conditions
        callee, limit = int(plant.callee[k]), float(plant.timeout[k])
        wire = float(at.link_delay[k])
        if at.bypass[k] or at.refused[k]:
            return 0.004, bool(at.refused[k])
        if callee >= plant.ours:
            flow = walk.seen.flow
            took = walk.draw(float(flow.seen50[k]), float(flow.seen99[k]))
            broke = float(walk.rng.random()) < flow.seen_error[k]
            return self._client_span(walk, k, start, parent, min(took, limit), broke)
        took, broke = self._visit(
            walk, callee, start + 0.5 * wire, parent, f"call/{plant.graph.services[callee].name}"
        )
        lost = float(walk.rng.random()) < at.link_loss[k]
        took += wire * (1.0 + 2.0 * float(walk.rng.random()))
        return min(took, limit), broke or lost or took > limit

    def _client_span(
        self, walk: _Walk, k: int, start: Timestamp, parent: str, took: float, broke: bool
    ) -> tuple[float, bool]:
        """A call to the outside is seen from our side only."""
        call = self._plant.graph.calls[k]
        number = str(len(walk.spans) + 1)
        walk.spans.append(
            Span(
                round(start, 3),
                walk.trace,
                number,
                parent,
                call.caller,
                f"client/{call.callee}",
                round(took, 6),
                broke,
            )
        )
        return took, broke
