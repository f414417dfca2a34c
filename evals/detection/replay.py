"""Replays metrics through the copilot's watch: how long until an alarm, how many in quiet hours.

Beside it the rule that everybody writes first: three standard deviations off the mean.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, nan
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from copilot.sources.recorded import RecordedBundle, series_in
from copilot.sources.watch import APART_S, LEARNT, SENSITIVE, WATCHED, Watch
from evals.localization.cases import BundleCase
from tools.detector import DetectorArm
from tools.topology_walker.signals import read
from tools.types import FloatArray, FrozenModel, Series, Timestamp, Window

LIMIT_S = 300.0
"""Detected means within this long of the onset."""

ENOUGH = 8
"""Points of the past that a mean takes."""

PRODUCTION: DetectorArm = SENSITIVE.arm
"""What `copilot serve --watch` runs."""

HELD, LEVEL = frozenset({"memory", "disk"}), 3
"""Families of what is kept, and samples whose median is a level."""

LEARN_S, LEARNED_S = 14 * 86_400.0, 150.0
"""How far back the watch learns; how much of a window is learned from where there is no more."""


class Detection(FrozenModel):
    """Delays of the incidents that were detected, how many were not, and false alarms.

    `by_incident` has the delay of each incident by its name, None where it was not detected;
    `unjudged` counts those that have no past long enough for the watch to say anything.
    """

    by_incident: dict[str, float | None] = Field(default_factory=dict)
    false_alarms: int = 0
    quiet_hours: float = 0.0
    unjudged: int = 0

    @property
    def delays(self) -> tuple[float, ...]:
        """Of those that were detected."""
        return tuple(one for one in self.by_incident.values() if one is not None)

    @property
    def incidents(self) -> int:
        """How many there were to detect."""
        return len(self.by_incident)

    def recall(self, within_s: float = LIMIT_S) -> float:
        """The share that was detected within so long; NaN where there was none to detect."""
        soon = sum(delay <= within_s for delay in self.delays)
        return soon / self.incidents if self.incidents else nan

    @property
    def false_per_hour(self) -> float:
        """False alarms a quiet hour; NaN where no hour was quiet."""
        return self.false_alarms / self.quiet_hours if self.quiet_hours else nan


class _Incident(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    inject_ts: Timestamp


class _Timeline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    incidents: tuple[_Incident, ...]
    quiet: tuple[tuple[Timestamp, Timestamp], ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """Metrics as a running source has them, watched from `start` to `end`; before is the past."""

    found: tuple[Series, ...]
    sampling_s: float
    start: Timestamp
    end: Timestamp

    @classmethod
    def of(cls, bundle: RecordedBundle, learned_s: float = 0.0) -> "Replay":
        """A bundle with its history before its window, of which `learned_s` are past too."""
        window, series = (
            bundle.window,
            {one.name: one for one in bundle.baseline(bundle.window.start)},
        )
        for one in bundle.series(window):
            past = series.get(one.name)
            series[one.name] = one if past is None else _joined(past, one)
        return cls(tuple(series.values()), bundle.sampling_s, window.start + learned_s, window.end)

    @classmethod
    def after(cls, quiet: Sequence[Series], bundle: RecordedBundle) -> "Replay":
        """A bundle's window after normal operation of another time, which ends just before it.

        That is brought to the level of the bundle's own history, which is short but of its day, and
        what memory and disks hold to that of the window's first samples: the load of another day,
        and what was stored since, are no incident.
        """
        window, step = bundle.window, bundle.sampling_s
        ends = window.start - step - max(float(one.times[-1]) for one in quiet)
        moved_s = step * floor(ends / step)  # the watch hears one column for each sample
        own = {one.name: one.values for one in bundle.baseline(window.start)}
        own |= {
            one.name: one.values[:LEVEL]
            for one in bundle.series(window)
            if read(one.metric).family in HELD
        }
        series = {
            one.name: Series(
                one.owner,
                one.metric,
                one.times + moved_s,
                _levelled(one, own.get(one.name)),
                one.unit,
            )
            for one in quiet
        }
        for one in bundle.series(window):
            past = series.get(one.name)
            series[one.name] = one if past is None else _joined(past, one)
        return cls(tuple(series.values()), step, window.start, window.end)

    @classmethod
    def halved(cls, series: Sequence[Series]) -> "Replay":
        """Normal operation: the first half is the past, the second is watched.

        Series recorded at another time than most are left out: they would have no past.
        """
        start = float(np.median([one.times[0] for one in series]))
        end = float(np.median([one.times[-1] for one in series]))
        middle = (start + end) / 2
        kept = tuple(one for one in series if one.times[0] < middle < one.times[-1])
        step = float(np.median([np.median(np.diff(one.times)) for one in kept]))
        return cls(kept, step, middle, end)

    def series(self, window: Window) -> Sequence[Series]:
        cut = (one.between(window) for one in self.found)
        return [one for one in cut if one.times.size]

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        return self.series(Window(start=0.0, end=before))

    def samples_before(self, at: Timestamp) -> int:
        """How many samples the longest series has before a moment."""
        return max((int((one.times < at).sum()) for one in self.found), default=0)


def _levelled(one: Series, own: FloatArray | None) -> FloatArray:
    """The values with the median of the others; where either is 0 they stay as they are."""
    if own is None or not np.isfinite(own).any() or not np.isfinite(one.values).any():
        return one.values
    here, there = np.nanmedian(one.values), np.nanmedian(own)
    return one.values * (there / here) if here > 0.0 and there > 0.0 else one.values


def _joined(past: Series, one: Series) -> Series:
    return Series(
        one.owner,
        one.metric,
        np.concatenate((past.times, one.times)),
        np.concatenate((past.values, one.values)),
        one.unit,
    )


Alarms = Callable[[Replay], list[Timestamp]]


def by_watch(arm: DetectorArm = PRODUCTION) -> Alarms:
    """When the copilot's own watch raises an alert, scanning on every sample."""

    def alarms(replay: Replay) -> list[Timestamp]:
        config = SENSITIVE.model_copy(update={"arm": arm})
        watch = Watch(replay, replay.sampling_s, LEARN_S, config)
        now, raised = replay.start, list[Timestamp]()
        while now <= replay.end:
            raised += [now for alert in watch.look(now) if alert.status == "firing"]
            now += replay.sampling_s
        return raised

    return alarms


def by_three_sigma(replay: Replay) -> list[Timestamp]:
    """When any series that is watched is three standard deviations off its mean of the past.

    Only where it hurts, as the watch does; alarms within `APART_S` of one another are one.
    """
    out: list[FloatArray] = []
    for one in replay.found:
        signal, past = read(one.metric), one.times < replay.start
        known = one.values[past & np.isfinite(one.values)]
        if signal.family not in WATCHED or known.size < ENOUGH:
            continue
        away = one.values - known.mean()
        worse = -away if signal.bad == "down" else away
        late = one.times >= replay.start
        out.append(one.times[late & (worse > 3.0 * known.std())])
    raised: list[Timestamp] = []
    for at in np.unique(np.concatenate([np.empty(0), *out])).tolist():
        if not raised or at - raised[-1] > APART_S:
            raised.append(at)
    return raised


def of_timelines(data: Path, alarms: Alarms) -> Detection:
    """Every replayed day under `timelines/`, scored with its answers."""
    found = Detection()
    for path in sorted((data / "truth").glob("timeline-*.json")):
        truth = _Timeline.model_validate(json.loads(path.read_text(encoding="utf-8")))
        folder = data / "timelines" / truth.id
        if folder.is_dir():
            raised = alarms(Replay.of(RecordedBundle(folder)))
            starts = {
                f"{truth.id}/{number}": incident.inject_ts
                for number, incident in enumerate(truth.incidents, start=1)
            }
            quiet = [Window(start=a, end=b) for a, b in truth.quiet]
            found = _plus(found, raised, starts, quiet)
    return found


def of_histories(data: Path, alarms: Alarms) -> Detection:
    """Normal operation alone: the second half of every recording under `history/`."""
    found = Detection()
    for folder in sorted((data / "history").glob("*/")):
        series = series_in(folder)
        if series:
            replay = Replay.halved(series)
            quiet = Window(start=replay.start, end=replay.end)
            found = _plus(found, alarms(replay), {}, [quiet])
    return found


def of_cases(cases: Sequence[BundleCase], alarms: Alarms) -> Detection:
    """Incidents whose window holds metrics before and after a known onset, and no history."""
    found = Detection()
    for case in cases:
        bundle, onset = RecordedBundle(case.folder), case.answer.inject_ts
        described = bundle.description
        own_past = described.history is None and described.reference is None
        if onset is None or case.answer.alert_ts is not None or not own_past:
            continue
        raised = alarms(Replay.of(bundle, LEARNED_S))
        if bundle.series(bundle.window):
            first = min(bundle.window.start + LEARNED_S, onset)
            quiet = [Window(start=first, end=onset)]
            found = _plus(found, raised, {case.answer.id: onset}, quiet)
    return found


def with_history(cases: Sequence[BundleCase], alarms: Alarms) -> Detection:
    """Incidents whose set brings a past to learn from and whose onset is known."""
    found = Detection()
    for case in cases:
        bundle, onset = RecordedBundle(case.folder), case.answer.inject_ts
        if onset is None or bundle.description.history is None:
            continue
        replay = _with_past(case.folder, bundle)
        if replay.samples_before(onset) < LEARNT:
            found = together(found, Detection(unjudged=1))
            continue
        quiet = [Window(start=bundle.window.start, end=onset)]
        found = _plus(found, alarms(replay), {case.answer.id: onset}, quiet)
    return found


def _with_past(folder: Path, bundle: RecordedBundle) -> Replay:
    """The bundle after the quiet stretch of its set, if there is one, or after its own history."""
    quiet = folder.parent.parent / "history" / f"{bundle.description.system}-quiet"
    return Replay.after(series_in(quiet), bundle) if quiet.is_dir() else Replay.of(bundle)


def together(one: Detection, other: Detection) -> Detection:
    """Both, as one."""
    return Detection(
        by_incident=one.by_incident | other.by_incident,
        false_alarms=one.false_alarms + other.false_alarms,
        quiet_hours=one.quiet_hours + other.quiet_hours,
        unjudged=one.unjudged + other.unjudged,
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
