"""What monitoring kept of a world: samples, alerts, and the ticks that logs and traces show."""

import numpy as np

from evals.simulator.flow import TICK_S, Plant
from evals.simulator.log_lines import LogWriter
from evals.simulator.readings import Column, Snapshot
from evals.simulator.rules import RuleWatch
from evals.simulator.scenario import WorldScenario
from evals.simulator.traces import TraceWriter
from tools.types import Alert, FloatArray, LogLine, Series, Span, Timestamp, Window

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
