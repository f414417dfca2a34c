"""What monitoring kept of a world: samples, alerts, log lines, and sampled traces as spans."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evals.simulator.flow import TICK_S, Plant
from evals.simulator.log_lines import LogWriter
from evals.simulator.readings import Column, Snapshot
from evals.simulator.rules import RuleWatch
from evals.simulator.scenario import WorldScenario
from tools.types import Alert, FloatArray, LogLine, Series, Span, Timestamp, Window

_MOST_SPANS = 120  # of one trace


@dataclass(slots=True)
class _Walk:
    """One trace being drawn."""

    trace: str
    seen: Snapshot
    rng: np.random.Generator
    spans: list[Span]

    def open(self, start: Timestamp, parent: str, service: str, operation: str) -> str:
        """Begin a span; its number."""
        number = str(len(self.spans) + 1)
        self.spans.append(
            Span(round(start, 6), self.trace, number, parent, service, operation, 0.0)
        )
        return number

    def close(self, number: str, seconds: float, failed: bool) -> None:
        """End a span."""
        begun = self.spans[int(number) - 1]
        self.spans[int(number) - 1] = replace(begun, seconds=round(seconds, 6), error=failed)

    def draw(self, p50: float, p99: float) -> float:
        """A lognormal duration with these quantiles."""
        sigma = np.log(max(p99 / max(p50, 1e-6), 1.05)) / 2.326
        return float(p50 * np.exp(min(sigma, 1.2) * float(self.rng.standard_normal())))


class TraceWriter:
    """Turns snapshots into spans; holds nothing but the plant and the script."""

    def __init__(self, plant: Plant, scenario: WorldScenario) -> None:
        self._plant = plant
        self._every = scenario.trace_every_s
        self._out = [np.flatnonzero(plant.caller == i) for i in range(len(plant.work))]

    def spans(self, seen: Snapshot, rng: np.random.Generator) -> Iterator[Span]:
        """The spans of the traces that were sampled in this tick."""
        for number in range(int(TICK_S / self._every + float(rng.random()))):
            trace = f"{seen.tick:06x}{number:02x}{int(rng.random() * 2**32):08x}"
            walk = _Walk(trace, seen, rng, [])
            self._visit(walk, self._plant.entry, seen.at - TICK_S * float(rng.random()), "")
            yield from walk.spans

    def _visit(
        self, walk: _Walk, service: int, start: Timestamp, parent: str, operation: str = "request"
    ) -> tuple[float, bool]:
        """Serve one request at `service`; how long it took and whether it failed."""
        flow, plant = walk.seen.flow, self._plant
        number = walk.open(start, parent, plant.graph.services[service].name, operation)
        own = walk.draw(float(flow.own50[service]), float(flow.own99[service]))
        good = 1.0 - float(walk.seen.conditions.own_error[service])
        good *= (1.0 - float(flow.shed[service])) * (1.0 - float(flow.pool_error[service]))
        failed = float(walk.rng.random()) > good
        spent = 0.5 * own
        for k in self._out[service]:
            if failed or len(walk.spans) >= _MOST_SPANS:
                break
            if float(walk.rng.random()) < plant.per_request[k]:
                took, broke = self._call(walk, int(k), start + spent, number)
                spent += took
                failed = broke and plant.required[k] > 0
        spent += 0.5 * own
        walk.close(number, spent, failed)
        return spent, failed

    def _call(self, walk: _Walk, k: int, start: Timestamp, parent: str) -> tuple[float, bool]:
        """One call as its caller sees it, with what the callee saw inside where that is ours."""
        plant, at = self._plant, walk.seen.conditions
        call = plant.graph.calls[k]
        number = walk.open(start, parent, call.caller, f"client/{call.callee}")
        took, broke = self._answer(walk, k, start, number)
        if not (at.bypass[k] or at.refused[k]):
            limit = float(plant.timeout[k])
            broke = broke or took > limit or float(walk.rng.random()) < at.link_loss[k]
            took = min(took, limit)
        walk.close(number, took, broke)
        return took, broke

    def _answer(self, walk: _Walk, k: int, start: Timestamp, parent: str) -> tuple[float, bool]:
        """How long until the answer to one call would be there, and whether it is an error."""
        plant, at, flow = self._plant, walk.seen.conditions, walk.seen.flow
        callee = int(plant.callee[k])
        if at.bypass[k] or at.refused[k]:
            return float(flow.seen50[k]), bool(at.refused[k])
        wire = float(at.link_delay[k]) * (0.5 + float(walk.rng.random()))
        if callee >= plant.ours:
            took = walk.draw(float(flow.p50[callee]), float(flow.p99[callee]))
            return took + wire, float(walk.rng.random()) < flow.error[callee]
        took, broke = self._visit(
            walk, callee, start + 0.5 * wire, parent, f"serve/{plant.graph.services[callee].name}"
        )
        return took + wire, broke


_LOGS, _TRACES = 3, 4  # streams of chance, apart from that of the world


class Recording:
    """Grows by one tick at a time; logs and spans are drawn when somebody asks, always the same."""

    def __init__(
        self, plant: Plant, scenario: WorldScenario, columns: tuple[Column, ...], watch: RuleWatch
    ) -> None:
        self._scenario = scenario
        self._columns = columns
        self._watch = watch
        self._log_writer = LogWriter(plant, scenario)
        self._trace_writer = TraceWriter(plant, scenario)
        self._ticks: list[Snapshot] = []
        self._times: list[Timestamp] = []
        self._samples: list[FloatArray] = []
        self._since_sample: list[FloatArray] = []

    def add(self, seen: Snapshot, values: FloatArray) -> None:
        """Keep a tick; every `sampling_s` the mean of the ticks since becomes a sample."""
        self._ticks.append(seen)
        self._since_sample.append(values)
        if (seen.tick * int(TICK_S)) % self._scenario.sampling_s == 0:
            sample = np.mean(self._since_sample, axis=0)
            self._since_sample = []
            self._times.append(seen.at)
            self._samples.append(sample)
            self._watch.look(seen.at, sample)

    def series(self, window: Window) -> tuple[Series, ...]:
        """All series inside the window, without those that are not scraped."""
        times = np.array(self._times)
        first = int(np.searchsorted(times, window.start, side="left"))
        last = int(np.searchsorted(times, window.end, side="right"))
        kept = times[first:last]
        values = np.array(self._samples[first:last]).reshape(len(kept), len(self._columns)).T
        hidden = self._hidden("no_metrics")
        gaps = self._gaps(kept)
        return tuple(
            Series(c.owner, c.metric, kept, values[i] + gaps.get(c.owner, 0.0), c.unit)
            for i, c in enumerate(self._columns)
            if c.owner not in hidden
        )

    def logs(self, window: Window) -> tuple[LogLine, ...]:
        """Log lines of the window, in order of time."""
        hidden = self._hidden("no_logs")
        lines = (
            line
            for seen in self._around(window)
            for line in self._log_writer.lines(seen, self._chance(_LOGS, seen))
            if line.service not in hidden and self._scenario.start <= line.at in window
        )
        return tuple(sorted(lines, key=lambda line: (line.at, line.service, line.message)))

    def spans(self, window: Window, now: Timestamp) -> tuple[Span, ...]:
        """Spans that begin inside the window and have ended by `now`."""
        return tuple(
            span
            for seen in self._around(window)
            for span in self._trace_writer.spans(seen, self._chance(_TRACES, seen))
            if self._scenario.start <= span.at in window and span.at + span.seconds <= now
        )

    def alerts(self, window: Window) -> tuple[Alert, ...]:
        """Alerts that began inside the window, as they stand now."""
        return tuple(alert for alert in self._watch.alerts if alert.starts_at in window)

    def _around(self, window: Window) -> list[Snapshot]:
        """The ticks that may have left a line or span inside the window."""
        early, late = window.start - 2 * TICK_S, window.end + TICK_S
        return [seen for seen in self._ticks if early <= seen.at <= late]

    def _chance(self, stream: int, seen: Snapshot) -> np.random.Generator:
        return np.random.default_rng((self._scenario.seed, stream, seen.tick))

    def _hidden(self, kind: str) -> set[str]:
        return {missing.service for missing in self._scenario.missing if missing.kind == kind}

    def _gaps(self, times: FloatArray) -> dict[str, FloatArray]:
        """What to add to the values of a service: NaN inside its gaps."""
        found: dict[str, FloatArray] = {}
        for gap in self._scenario.missing:
            if gap.kind == "gap":
                inside = (times >= gap.start) & (times <= gap.end)
                before = found.get(gap.service, np.zeros(len(times)))
                found[gap.service] = np.where(inside, np.nan, before)
        return found
