"""Re-enactment: a recorded incident that answers to what is done about it, by what was recorded.

Until the step that mended it is run, the fault goes on: its last stretch is shown again and again.
From that step on the recovery is shown as it was recorded, then normal operation. No other step
changes anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import JsonValue, ValidationError

from copilot.sources.facts import from_file
from copilot.sources.recorded.bundle import RecordedBundle, ReplayClock
from copilot.sources.recorded.tables import BundleError, text_of
from tools.types import (
    Alert,
    Change,
    Fact,
    FrozenModel,
    LogLine,
    LogReading,
    PlanStep,
    Series,
    Span,
    StepAction,
    StepResult,
    Timestamp,
    Topology,
    Window,
)

_Dated = TypeVar("_Dated", LogLine, Span, Change)


@dataclass(frozen=True, slots=True)
class ReplaySegment:
    """What was recorded in [start, end) is shown from `at` on."""

    at: Timestamp
    start: Timestamp
    end: Timestamp

    @property
    def later(self) -> float:
        """Seconds by which it is shown later than it was recorded."""
        return self.at - self.start

    def holds(self, moment: Timestamp) -> bool:
        """Whether something recorded then is part of it."""
        return self.start <= moment < self.end


def repeated_segments(
    at: Timestamp, start: Timestamp, end: Timestamp, until: Timestamp
) -> list[ReplaySegment]:
    """One stretch shown again and again from `at` on, the last one cut at `until`."""
    found = []
    while at < until:
        last = min(end, start + (until - at))
        found.append(ReplaySegment(at, start, last))
        at += end - start
    return found


@dataclass(frozen=True, slots=True)
class ReplaySegments:
    """Stretches one after the other."""

    stretches: tuple[ReplaySegment, ...]

    def series(self, one: Series) -> Series:
        """The series as it is shown."""
        times, values = [], []
        for part in self.stretches:
            inside = (one.times >= part.start) & (one.times < part.end)
            times.append(one.times[inside] + part.later)
            values.append(one.values[inside])
        return Series(
            one.owner, one.metric, np.concatenate(times), np.concatenate(values), one.unit
        )

    def lines(self, recorded: Sequence[LogLine]) -> list[LogLine]:
        """Log lines at the times at which they are shown."""
        return [replace(x, at=x.at + part.later) for part, x in self._shown(recorded)]

    def spans(self, recorded: Sequence[Span]) -> list[Span]:
        """Spans likewise; what is shown again is another trace."""
        return [
            replace(span, at=span.at + part.later, trace=f"{span.trace}+{part.later:.0f}")
            for part, span in self._shown(recorded)
        ]

    def changes(self, recorded: Sequence[Change]) -> list[Change]:
        """Changes likewise."""
        return [
            one.model_copy(update={"at": one.at + part.later})
            for part, one in self._shown(recorded)
        ]

    def _shown(self, recorded: Sequence[_Dated]) -> Iterator[tuple[ReplaySegment, _Dated]]:
        for part in self.stretches:
            yield from ((part, one) for one in recorded if part.holds(one.at))


class RecordedStep(FrozenModel):
    """A step that was run when an incident was recorded, and what its target said to it."""

    action: StepAction
    arguments: dict[str, JsonValue]
    said: str


class RecordedFix(FrozenModel):
    """What ended a recorded incident, and when; `mends/NAME.json` beside the incidents.

    `failing_since` is from when on the fault showed whole, `calm_since` from when on the recovery
    was normal operation again. The steps are in the words of the catalogue that ships; those of
    `said` are what else was run, and what came of each is in the recording.
    """

    at: Timestamp
    failing_since: Timestamp
    calm_since: Timestamp
    action: StepAction
    arguments: dict[str, JsonValue]
    said: tuple[RecordedStep, ...] = ()


def recorded_fix(folder: Path) -> RecordedFix:
    """The mend of a recorded incident; raises `BundleError` where none was recorded."""
    path = folder.parent.parent / "mends" / f"{folder.name}.json"
    if not path.exists():
        advice = "only an incident that was recorded up to its recovery can be re-enacted"
        raise BundleError(path, "is not there", advice)
    try:
        return RecordedFix.model_validate_json(text_of(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(path, f"{where}: {first['msg']}", "record it again") from error


class ReplayPosition(FrozenModel):
    """How far a re-enactment came: the time it shows, and when the right step was run, if it was.

    With it another process shows the incident as it was left.
    """

    at: Timestamp
    mended_at: Timestamp | None = None


class IncidentReplay(ReplayClock):
    """Every telemetry source, the facts, the clock and the runner of one recorded incident."""

    def __init__(self, folder: Path, left_at: ReplayPosition | None = None) -> None:
        self.bundle = RecordedBundle(folder)
        self.mend = recorded_fix(folder)
        self._facts = from_file(folder / "facts.json")
        begins = min((one.starts_at for one in self.alerts()), default=self.mend.at)
        super().__init__(begins if left_at is None else left_at.at)
        self._mended_at = None if left_at is None else left_at.mended_at
        self._done: dict[str, StepResult] = {}

    @property
    def position(self) -> ReplayPosition:
        """Where it stands now."""
        return ReplayPosition(at=self._now, mended_at=self._mended_at)

    @property
    def mended(self) -> bool:
        """Whether the step that ended it was run."""
        return self._mended_at is not None

    def alerts(self) -> list[Alert]:
        """The alerts that had begun before anything was done, in order; it starts at the first."""
        until = Window(start=self.bundle.window.start, end=self.mend.at)
        fired = self.bundle.alerts(until)
        return sorted(map(_firing, fired), key=lambda one: one.starts_at)

    def facts(self) -> Mapping[str, Fact]:
        """What the platform told of its components before it broke."""
        return self._facts.facts()

    def topology(self) -> Topology:
        """The declared graph."""
        return self.bundle.topology()

    def series(self, window: Window) -> Sequence[Series]:
        """Metrics and call edges inside the window, as far as it has come."""
        reel, seen = self._reel(), self._seen(window)
        shown = (reel.series(one).between(seen) for one in self.bundle.series(self.bundle.window))
        return tuple(one for one in shown if one.times.size)

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """Normal operation that was recorded before the incident, and up to `before` in it."""
        return self.bundle.baseline(min(before, self.mend.at))

    def lines(self, window: Window) -> LogReading:
        """Log lines inside the window, as far as it has come."""
        seen = self._seen(window)
        shown = self._reel().lines(self.bundle.lines(self.bundle.window))
        return LogReading(tuple(line for line in shown if line.at in seen))

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """Lines of normal operation."""
        return self.bundle.baseline_lines(min(before, self.mend.at))

    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans that began inside the window and have ended by now."""
        seen = self._seen(window)
        shown = self._reel().spans(self.bundle.spans(self.bundle.window))
        return tuple(one for one in shown if one.at in seen and one.at + one.seconds <= self._now)

    def changes(self, window: Window) -> Sequence[Change]:
        """Changes made inside the window, as far as it has come."""
        seen = self._seen(window)
        shown = self._reel().changes(self.bundle.changes(self.bundle.window))
        return tuple(one for one in shown if one.at in seen)

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Mend it if this is the step that did; a key that was run before acts on nothing."""
        if key not in self._done:
            right = (step.action, step.arguments) == (self.mend.action, self.mend.arguments)
            if right and not self.mended:
                self._mended_at = self._now
            told = "what followed it when this was recorded" if right else "no effect was recorded"
            for one in self.mend.said:
                if (one.action, one.arguments) == (step.action, step.arguments):
                    told = one.said
            self._done[key] = StepResult(
                key=key,
                ok=True,
                output=f"re-enacted: {told}",
                started_at=self._now,
                ended_at=self._now,
            )
        return self._done[key]

    def touches(self, step: PlanStep) -> bool:
        """Never: a recording answers, nothing real."""
        return False

    def _seen(self, window: Window) -> Window:
        return Window(start=min(window.start, self._now), end=min(window.end, self._now))

    def _reel(self) -> ReplaySegments:
        mend, window = self.mend, self.bundle.window
        acted = self._now if self._mended_at is None else self._mended_at
        parts = [ReplaySegment(window.start, window.start, min(mend.at, acted))]
        parts += repeated_segments(mend.at, mend.failing_since, mend.at, acted)
        if self._mended_at is not None:
            parts.append(ReplaySegment(acted, mend.at, window.end))
            over = acted + window.end - mend.at
            parts += repeated_segments(over, mend.calm_since, window.end, self._now)
        return ReplaySegments(tuple(parts))


def _firing(alert: Alert) -> Alert:
    """As it was told when it began; that it ended is part of what came later."""
    return alert.model_copy(update={"status": "firing", "ends_at": None})
