"""Outcome: what came of one scenario, against what would have been right."""

from collections.abc import Iterable

from pydantic import Field

from evals.lab.faults.scenario import LabScenario
from evals.lab.trial.approver import IncidentObservation
from tools.types import FrozenModel, Owner


class TrialOutcome(FrozenModel):
    """One row of the table; seconds are from the onset, by the wall clock; None: it never came.

    `located_s` is when the cause that was last named was named first, right or wrong. `healthy`
    is what the shop's own alerts said at the end: nothing was firing.
    """

    scenario: str
    seed: int
    needs_action: bool
    component: str = ""
    kinds: tuple[str, ...] = ()
    detected_s: float | None = None
    briefed_s: float | None = None
    located_s: float | None = None
    recovered_s: float | None = None
    named: str = ""
    named_kind: str = ""
    right_component: bool = False
    right_kind: bool = False
    right_playbook: bool = False
    actions: tuple[str, ...] = ()
    false_actions: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    incidents: int = 0
    early: int = 0  # incidents that were open before anything happened: false alarms
    verdict: str = ""
    status: str = ""
    healthy: bool = False
    note: str = ""
    first_alert_s: float | None = None
    alerts: tuple[str, ...] = Field(default=(), description="Rules that fired, in order.")

    @property
    def right(self) -> bool:
        """Mended and verified by a right playbook; or left alone where nothing was to be done."""
        if not self.needs_action:
            return not self.actions
        return self.recovered_s is not None and self.right_playbook and not self.false_actions


def judged(
    scenario: LabScenario,
    seed: int,
    onset: float,
    seen: Iterable[IncidentObservation],
    healthy: bool,
) -> TrialOutcome:
    """Hold what was seen against the scenario.

    What is judged is the incident that was acted on rightly, else the first one that heard of it.
    The cause counts as it was named when its first plan was approved: what a plan then changes is
    evidence of itself.
    """
    all_of_them = tuple(seen)
    ones = sorted(
        (one for one in all_of_them if _concerned(one, onset)),
        key=lambda one: _heard(one, onset) or onset,
    )
    heard = [at for one in ones if (at := _heard(one, onset)) is not None]
    actions = [(at, book, Owner.parse(c).service) for one in ones for at, book, c in one.approved]
    good = [a for a in actions if a[1] in scenario.cures and a[2] in scenario.components]
    main = next((one for one in ones if _acted_rightly(one, scenario)), ones[0] if ones else None)
    named = _named(main, onset) if main else None
    mended = [one.over_at for one in ones if one.status == "recovered" and one.over_at]
    component = Owner.parse(named[1]).service if named else ""
    return TrialOutcome(
        scenario=scenario.name,
        seed=seed,
        needs_action=scenario.needs_action,
        component="/".join(scenario.components),
        kinds=scenario.kinds,
        detected_s=_after(onset, min(heard, default=None)),
        briefed_s=_after(
            onset, next((t for t in main.briefed if t > onset), None) if main else None
        ),
        located_s=_after(onset, named[0] if named else None),
        recovered_s=_after(onset, min(mended, default=None) if good else None),
        named=component,
        named_kind=named[2] if named else "",
        right_component=component in scenario.components,
        right_kind=named is not None and named[2] in scenario.kinds,
        right_playbook=bool(good),
        actions=tuple(f"{book} on {where}" for _, book, where in actions),
        false_actions=tuple(f"{a[1]} on {a[2]}" for a in actions if a not in good),
        refused=tuple(text for one in ones for text in one.refused),
        incidents=len(ones),
        early=sum(bool(one.accepted) and one.accepted[0] < onset for one in all_of_them),
        verdict=main.verdict if main else "",
        status=main.status if main else "",
        healthy=healthy,
        note=main.abstained if main else "",
    )


def _concerned(one: IncidentObservation, onset: float) -> bool:
    """Whether it heard of what happened, or acted after it though it was opened before."""
    return _heard(one, onset) is not None or any(at >= onset for at, _, _ in one.approved)


def _heard(one: IncidentObservation, onset: float) -> float | None:
    """When the first alert that came after the onset was taken into the incident."""
    return next((moment for moment in one.accepted if moment >= onset), None)


def _acted_rightly(one: IncidentObservation, scenario: LabScenario) -> bool:
    return any(
        book in scenario.cures and Owner.parse(where).service in scenario.components
        for _, book, where in one.approved
    )


def _named(one: IncidentObservation, onset: float) -> tuple[float, str, str] | None:
    """The cause last named before the first approval, and when that naming began."""
    until = min((at for at, _, _ in one.approved), default=float("inf"))
    return next((r for r in reversed(one.ranked) if onset <= r[0] <= until), None)


def _after(onset: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - onset, 1)
