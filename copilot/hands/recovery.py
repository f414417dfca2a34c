"""What the metrics say of a plan: after it ran, and whether it is still needed before it runs."""

from dataclasses import dataclass

from copilot.sources.deployment import MetricSnapshot, Sources
from tools.detector import detect, gauges
from tools.playbook_executor import verify
from tools.types import Anomaly, Judgement, Owner, Plan, Timestamp, Window

WIDER = 3.0
"""A second look goes this many times further back: what was asked for was not near."""


@dataclass(frozen=True, slots=True)
class RecoveryJudge:
    """Holds fresh data against those of an incident that began at `onset` (Unix seconds).

    `lookback_s` is how far before the onset normal operation is looked for.
    """

    sources: Sources
    onset: Timestamp
    lookback_s: float

    def after(self, plan: Plan, since: Timestamp, now: Timestamp) -> Judgement:
        """Judge a plan that ended at `since`: are the series it was for normal again?"""
        start = self.onset - self.lookback_s * WIDER
        measured = self._measured(start, now)
        until_act = Window(start=start, end=max(since, self.onset))
        found = _anomalies(measured, until_act, self.onset)
        return _judged(measured, found, plan, since=since, now=now)

    def subsided(self, plan: Plan, now: Timestamp) -> Judgement | None:
        """Return by what the incident is over without the plan; None where it is not.

        Judged as a recovery is, on the series of the component and of the front door, as if the
        last step had been at the onset; but every watched series has to be normal again. Blips make
        up four fifths beside the one series that a slow fault moves, and nothing has been done.
        """
        start = self.onset - self.lookback_s
        measured = self._measured(start, now)
        near = MetricSnapshot(
            series=tuple(one for one in measured.series if _concerns(one.owner, plan.component)),
            baseline=measured.baseline,
        )
        within = Window(start=start, end=max(now, self.onset))
        found = _anomalies(near, within, self.onset)
        judgement = _judged(near, found, plan, since=self.onset, now=now)
        whole = judgement.figures.get("normal") == judgement.figures.get("watched")
        return judgement if judgement.outcome == "recovered" and whole else None

    def _measured(self, start: Timestamp, now: Timestamp) -> MetricSnapshot:
        """Counters as rates: their levels would never be back in any band."""
        window = Window(start=start, end=max(now, self.onset))
        found = self.sources.measure(window, normal_before=self.onset)
        return MetricSnapshot(*gauges(found.series, found.baseline))


def _judged(
    measured: MetricSnapshot, found: list[Anomaly], plan: Plan, *, since: Timestamp, now: Timestamp
) -> Judgement:
    return verify(
        found,
        measured.baseline,
        measured.series,
        plan.verification,
        component=plan.component,
        since=since,
        now=now,
    )


def _concerns(name: str, component: str) -> bool:
    owner, subject = Owner.parse(name), Owner.parse(component).service
    return owner.kind == "entry" or subject in (owner.service, owner.caller)


def _anomalies(measured: MetricSnapshot, within: Window, onset: Timestamp) -> list[Anomaly]:
    """What left its band there and was not back before the onset."""
    normal = {one.name: one for one in measured.baseline}
    found = [
        anomaly
        for one in measured.series
        for anomaly in detect(one.between(within), baseline=normal.get(one.name))
    ]
    return [one for one in found if one.end is None or one.end >= onset]
