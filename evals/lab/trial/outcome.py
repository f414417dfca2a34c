"""Outcome: what came of one scenario, against what would have been right."""

from collections.abc import Iterable

from pydantic import Field

from evals.lab.faults.scenario import Scenario
from evals.lab.trial.approver import Seen
from tools.types import Frozen, Owner

LIMITS = {"detected": 60.0, "located": 300.0, "recovered": 600.0}


class Outcome(Frozen):
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
    scenario: Scenario, seed: int, onset: float, seen: Iterable[Seen], healthy: bool
) -> Outcome:
    """Hold what was seen against the scenario."""
    ones = sorted((one for one in seen if one.opened_at >= onset), key=lambda one: one.opened_at)
    actions = [
        (at, book, Owner.parse(where).service) for one in ones for at, book, where in one.approved
    ]
    good = [a for a in actions if a[1] in scenario.cures and a[2] in _where(scenario)]
    last = next((one.ranked[-1] for one in reversed(ones) if one.ranked), None)
    named = Owner.parse(last[1]).service if last else ""
    mended = [one.over_at for one in ones if one.status == "recovered" and one.over_at]
    first = ones[0] if ones else None
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        needs_action=scenario.needs_action,
        component="/".join(scenario.components),
        kinds=scenario.kinds,
        detected_s=_after(onset, first.opened_at if first else None),
        briefed_s=_after(onset, first.briefed_at if first else None),
        located_s=_after(onset, last[0] if last else None),
        recovered_s=_after(onset, min(mended, default=None) if good else None),
        named=named,
        named_kind=last[2] if last else "",
        right_component=named in scenario.components,
        right_kind=last is not None and last[2] in scenario.kinds,
        right_playbook=bool(good),
        actions=tuple(f"{book} on {where}" for _, book, where in actions),
        false_actions=tuple(f"{a[1]} on {a[2]}" for a in actions if a not in good),
        refused=tuple(text for one in ones for text in one.refused),
        incidents=len(ones),
        verdict=first.verdict if first else "",
        status=first.status if first else "",
        healthy=healthy,
        note=first.abstained if first else "",
    )


def _where(scenario: Scenario) -> frozenset[str]:
    """Whom a right act may touch: the cause and, where calls are at fault, who makes them."""
    return frozenset(scenario.components)


def _after(onset: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - onset, 1)
