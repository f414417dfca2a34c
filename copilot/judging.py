"""What the metrics say of a plan: after it ran, and whether it is still needed before it runs."""

from copilot.deps import Deps
from copilot.sources import Measured
from copilot.state import IncidentState
from tools.detector import detect, gauge
from tools.playbook_executor import verify
from tools.types import Anomaly, Judgement, Owner, Plan, Timestamp, Window

WIDER = 3.0
"""A second look goes this many times further back: what was asked for was not near."""


def look(deps: Deps, state: IncidentState, plan: Plan, since: Timestamp) -> Judgement:
    """Hold fresh data against what was out of its band between the onset and the act."""
    now, onset = deps.clock.now(), state["onset"]
    window = Window(start=onset.at - deps.limits.lookback_s * WIDER, end=max(now, onset.at))
    measured = _measured(deps, window, onset.at)
    until_act = Window(start=window.start, end=max(since, onset.at))
    found = _anomalies(measured, until_act, onset.at)
    return _judged(measured, found, plan, since=since, now=now)


def subsided(deps: Deps, state: IncidentState, plan: Plan) -> str:
    """What says that it is over by itself, so that nothing need be done; empty where it is not.

    Judged as a recovery is, on the series of the component and of the front door, as if the last
    step had been at the onset.
    """
    now, onset = deps.clock.now(), state["onset"]
    window = Window(start=onset.at - deps.limits.lookback_s, end=max(now, onset.at))
    measured = _measured(deps, window, onset.at)
    near = Measured(
        series=tuple(one for one in measured.series if _concerns(one.owner, plan.component)),
        baseline=measured.baseline,
    )
    found = _anomalies(near, window, onset.at)
    judgement = _judged(near, found, plan, since=onset.at, now=now)
    if judgement.verdict != "recovered":
        return ""
    return f"it is over by itself: {judgement.statement}"


def _measured(deps: Deps, window: Window, onset: Timestamp) -> Measured:
    """Counters as rates: their levels would never be back in any band."""
    found = deps.sources.measure(window, normal_before=onset)
    return Measured(tuple(map(gauge, found.series)), tuple(map(gauge, found.baseline)))


def _judged(
    measured: Measured, found: list[Anomaly], plan: Plan, *, since: Timestamp, now: Timestamp
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


def _anomalies(measured: Measured, within: Window, onset: Timestamp) -> list[Anomaly]:
    """What left its band there and was not back before the onset."""
    normal = {one.name: one for one in measured.baseline}
    found = [
        anomaly
        for one in measured.series
        for anomaly in detect(one.between(within), baseline=normal.get(one.name))
    ]
    return [one for one in found if one.end is None or one.end >= onset]
