"""Replays metrics through the detector: how long until an alarm, how many in quiet hours."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from copilot.adapters.recorded import RecordedBundle
from copilot.watch import SENSITIVE, Watch
from evals.localization.cases import Case
from tools.detector import DetectorArm
from tools.types import Frozen, Series, Timestamp, Window

LIMIT_S = 300.0
"""Detected means within this long of the onset."""

PRODUCTION: DetectorArm = SENSITIVE.arm
"""What `copilot serve --watch` runs."""

LEARN_S, LEARNED_S = 14 * 86_400.0, 150.0
"""How far back the watch learns; how much of a window is learned from where there is no more."""


class Detection(Frozen):
    """Delays of the incidents that were detected, how many were not, and false alarms.

    `by_incident` has the delay of each incident by its name, None where it was not detected.
    """

    by_incident: dict[str, float | None] = Field(default_factory=dict)
    false_alarms: int = 0
    quiet_hours: float = 0.0

    @property
    def delays(self) -> tuple[float, ...]:
        """Of those that were detected."""
        return tuple(one for one in self.by_incident.values() if one is not None)

    @property
    def incidents(self) -> int:
        """How many there were to detect."""
        return len(self.by_incident)


class _Incident(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    inject_ts: Timestamp


class _Timeline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    incidents: tuple[_Incident, ...]
    quiet: tuple[tuple[Timestamp, Timestamp], ...] = ()


class _WithPast:
    """A bundle whose history lies before its window, as a running source would have it."""

    def __init__(self, bundle: RecordedBundle) -> None:
        self._series: dict[str, Series] = {}
        for one in bundle.baseline(bundle.window.start):
            self._series[one.name] = one
        for one in bundle.series(bundle.window):
            past = self._series.get(one.name)
            self._series[one.name] = one if past is None else _joined(past, one)

    def series(self, window: Window) -> Sequence[Series]:
        cut = (one.between(window) for one in self._series.values())
        return [one for one in cut if one.times.size]

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        return self.series(Window(start=0.0, end=before))


def _joined(past: Series, one: Series) -> Series:
    return Series(
        one.owner,
        one.metric,
        np.concatenate((past.times, one.times)),
        np.concatenate((past.values, one.values)),
        one.unit,
    )


def alarms(
    bundle: RecordedBundle, learned_s: float = 0.0, arm: DetectorArm = PRODUCTION
) -> list[Timestamp]:
    """When the copilot's own watch raises an alert, scanning on every sample.

    It learns from the history and from the first `learned_s` seconds of the window.
    """
    config = SENSITIVE.model_copy(update={"arm": arm})
    watch = Watch(_WithPast(bundle), bundle.sampling_s, LEARN_S, config)
    now = bundle.window.start + learned_s
    raised: list[Timestamp] = []
    while now <= bundle.window.end:
        raised += [now for alert in watch.look(now) if alert.status == "firing"]
        now += bundle.sampling_s
    return raised


def of_timelines(data: Path, arm: DetectorArm = PRODUCTION) -> Detection:
    """Every replayed day under `timelines/`, scored with its answers."""
    found = Detection()
    for path in sorted((data / "truth").glob("timeline-*.json")):
        truth = _Timeline.model_validate(json.loads(path.read_text(encoding="utf-8")))
        folder = data / "timelines" / truth.id
        if folder.is_dir():
            bundle = RecordedBundle(folder)
            raised = alarms(bundle, arm=arm)
            starts = {
                f"{truth.id}/{number}": incident.inject_ts
                for number, incident in enumerate(truth.incidents, start=1)
            }
            quiet = [Window(start=a, end=b) for a, b in truth.quiet]
            found = _plus(found, raised, starts, quiet)
    return found


def of_cases(cases: Sequence[Case], arm: DetectorArm = PRODUCTION) -> Detection:
    """Incidents whose window holds metrics before and after a known onset, and no history."""
    found = Detection()
    for case in cases:
        bundle, onset = RecordedBundle(case.folder), case.answer.inject_ts
        described = bundle.description
        own_past = described.history is None and described.reference is None
        if onset is None or case.answer.alert_ts is not None or not own_past:
            continue
        raised = alarms(bundle, LEARNED_S, arm)
        if bundle.series(bundle.window):
            first = min(bundle.window.start + LEARNED_S, onset)
            quiet = [Window(start=first, end=onset)]
            found = _plus(found, raised, {case.answer.id: onset}, quiet)
    return found


def with_history(cases: Sequence[Case], arm: DetectorArm = PRODUCTION) -> Detection:
    """Incidents whose bundle brings a history to learn from and whose onset is known."""
    found = Detection()
    for case in cases:
        bundle, onset = RecordedBundle(case.folder), case.answer.inject_ts
        if onset is not None and bundle.description.history is not None:
            quiet = [Window(start=bundle.window.start, end=onset)]
            found = _plus(found, alarms(bundle, arm=arm), {case.answer.id: onset}, quiet)
    return found


def together(one: Detection, other: Detection) -> Detection:
    """Both, as one."""
    return Detection(
        by_incident=one.by_incident | other.by_incident,
        false_alarms=one.false_alarms + other.false_alarms,
        quiet_hours=one.quiet_hours + other.quiet_hours,
    )


def _plus(
    found: Detection,
    raised: Sequence[Timestamp],
    starts: Mapping[str, Timestamp],
    quiet: Sequence[Window],
) -> Detection:
    delays: dict[str, float | None] = {}
    for name, start in starts.items():
        after = (at - start for at in raised if 0.0 <= at - start <= LIMIT_S)
        delays[name] = next(after, None)
    return together(
        found,
        Detection(
            by_incident=delays,
            false_alarms=sum(at in window for at in raised for window in quiet),
            quiet_hours=sum(window.seconds for window in quiet) / 3600.0,
        ),
    )
