"""Replays metrics through the detector: how long until an alarm, how many in quiet hours."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from copilot.adapters.recorded import RecordedBundle
from evals.localization.cases import Case
from tools.detector import DetectorConfig, detect
from tools.topology_walker.signals import read
from tools.types import Frozen, Series, Timestamp, Window

LIMIT_S, TOGETHER, APART_S = 300.0, 3, 300.0
"""Detected within this long of the onset; series that must agree; alarms this near are one."""
WATCHED = ("latency", "success", "errors", "cpu", "memory", "saturation")


class Detection(Frozen):
    """Delays of the incidents that were detected, how many were not, and false alarms."""

    delays: tuple[float, ...] = ()
    incidents: int = 0
    false_alarms: int = 0
    quiet_hours: float = 0.0


class _Incident(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    inject_ts: Timestamp


class _Timeline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    incidents: tuple[_Incident, ...]
    quiet: tuple[tuple[Timestamp, Timestamp], ...] = ()


def alarms(
    series: Sequence[Series], baseline: Sequence[Series], sampling_s: float
) -> list[Timestamp]:
    """Moments at which episodes open in `TOGETHER` watched series within two samples."""
    past = {one.name: one for one in baseline}
    opened = sorted(
        (found.onset, one.name)
        for one in series
        if read(one.metric).family in WATCHED
        for found in detect(one, DetectorConfig(), past.get(one.name))
    )
    raised: list[Timestamp] = []
    for position, (at, _) in enumerate(opened):
        recent = {name for t, name in opened[: position + 1] if t >= at - 2.0 * sampling_s}
        if len(recent) >= TOGETHER and (not raised or at - raised[-1] > APART_S):
            raised.append(at)
    return raised


def of_timelines(data: Path) -> Detection:
    """Every replayed day under `timelines/`, scored with its answers."""
    found = Detection()
    for path in sorted((data / "truth").glob("timeline-*.json")):
        truth = _Timeline.model_validate(json.loads(path.read_text(encoding="utf-8")))
        folder = data / "timelines" / truth.id
        if folder.is_dir():
            bundle = RecordedBundle(folder)
            raised = alarms(
                bundle.series(bundle.window),
                bundle.baseline(bundle.window.start),
                bundle.sampling_s,
            )
            starts = [incident.inject_ts for incident in truth.incidents]
            quiet = [Window(start=a, end=b) for a, b in truth.quiet]
            found = _plus(found, raised, starts, quiet)
    return found


def of_cases(cases: Sequence[Case]) -> Detection:
    """Incidents whose window holds metrics before and after a known onset, and no history."""
    found = Detection()
    for case in cases:
        bundle, onset = RecordedBundle(case.folder), case.answer.inject_ts
        described = bundle.description
        own_past = described.history is None and described.reference is None
        if onset is None or case.answer.alert_ts is not None or not own_past:
            continue
        raised = alarms(bundle.series(bundle.window), (), bundle.sampling_s)
        if bundle.series(bundle.window):
            quiet = [Window(start=bundle.window.start, end=onset)]
            found = _plus(found, raised, [onset], quiet)
    return found


def together(one: Detection, other: Detection) -> Detection:
    """Both, as one."""
    return Detection(
        delays=one.delays + other.delays,
        incidents=one.incidents + other.incidents,
        false_alarms=one.false_alarms + other.false_alarms,
        quiet_hours=one.quiet_hours + other.quiet_hours,
    )


def _plus(
    found: Detection,
    raised: Sequence[Timestamp],
    starts: Sequence[Timestamp],
    quiet: Sequence[Window],
) -> Detection:
    delays = []
    for start in starts:
        after = [at - start for at in raised if 0.0 <= at - start <= LIMIT_S]
        delays += after[:1]
    return together(
        found,
        Detection(
            delays=tuple(delays),
            incidents=len(starts),
            false_alarms=sum(at in window for at in raised for window in quiet),
            quiet_hours=sum(window.seconds for window in quiet) / 3600.0,
        ),
    )
