"""What the episodes of one arm are worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from evals.recovery.episode import ExecutedPlan, RecoveryEpisode
from tools.types import Owner, Plan, Timestamp

LIMIT_MIN = 10.0
"""The last clock of 1-5-10."""


@dataclass(frozen=True, slots=True)
class RecoveryScore:
    """One arm's figures; shares are NaN where there was nothing to count."""

    located: float
    right_playbook: float
    wrong_actions: int
    recovered: float
    recovered_in_time: float
    minutes: tuple[float, float]  # median and 90 % quantile
    abstained_rightly: float
    rolled_back_rightly: float
    rolled_back_wrongly: int


def score(lived: Sequence[RecoveryEpisode]) -> RecoveryScore:
    """Count: a case is located if the first candidate is a true cause when people first approve."""
    faults = [one for one in lived if one.case.sort == "fault"]
    quiet = [one for one in lived if one.case.kind is None]
    found = [one for one in faults if is_located(one)]
    passed = [minutes for one in faults if (minutes := minutes_to_recover(one)) is not None]
    botched = [one for one in lived if one.case.sort == "mishandled" and one.executed]
    quantiles = np.quantile(passed, (0.5, 0.9)) if passed else (np.nan, np.nan)
    return RecoveryScore(
        located=_share(faults, is_located),
        right_playbook=_share(
            found, lambda one: bool(one.approved) and _right(one, one.approved[0])
        ),
        wrong_actions=sum(wrong_actions(one) for one in lived),
        recovered=len(passed) / len(faults) if faults else np.nan,
        recovered_in_time=_share(faults, _in_time),
        minutes=(float(quantiles[0]), float(quantiles[1])),
        abstained_rightly=_share(quiet, lambda one: not one.approved),
        rolled_back_rightly=_share(botched, lambda one: undone(one.executed[0])),
        rolled_back_wrongly=sum(plan.rolled_back for one in faults for plan in one.executed),
    )


def is_located(lived: RecoveryEpisode) -> bool:
    """Whether the leading candidate is the component at fault, or the dependency that fails it."""
    return any(_about(name) & set(lived.case.causes) for name in lived.ranked)


def wrong_actions(lived: RecoveryEpisode) -> int:
    """Executed plans that are not the cure of this fault at this component."""
    return sum(not _right(lived, done.plan) for done in lived.executed)


def minutes_to_recover(lived: RecoveryEpisode) -> float | None:
    """Simulated minutes from the onset to the verdict `recovered` on the right plan, if it came."""
    for done in lived.executed:
        if done.verdict == "recovered" and _right(lived, done.plan):
            return (done.judged_at - lived.case.begins) / 60.0
    return None


def undone(done: ExecutedPlan) -> bool:
    """Judged to do harm, and rolled back to the last step."""
    return done.verdict == "worse" and done.rolled_back


def row(lived: RecoveryEpisode, arm: str) -> dict[str, JsonValue]:
    """One case for the JSON."""
    return {
        "id": lived.case.id,
        "arm": arm,
        "sort": lived.case.sort,
        "kind": lived.case.kind,
        "system": lived.case.script.system,
        "clocks": dict(clocks(lived)),
        "cause": list(lived.case.causes),
        "located": list(lived.ranked),
        "right": lived.case.right_playbook,
        "approved": [plan.playbook_id for plan in lived.approved],
        "executed": [f"{one.plan.playbook_id}: {one.verdict}" for one in lived.executed],
        "rolled_back": any(one.rolled_back for one in lived.executed),
        "minutes_to_recover": minutes_to_recover(lived),
    }


def clocks(lived: RecoveryEpisode) -> dict[str, float | None]:
    """Simulated seconds from the onset to each of the three clocks; None: never, or wrongly."""
    minutes = minutes_to_recover(lived)
    return {
        "detected": _first(lived, [one.clocks.detected for one in lived.incidents]),
        "located": _first(lived, [one.clocks.located for one in lived.incidents])
        if is_located(lived)
        else None,
        "recovered": None if minutes is None else minutes * 60.0,
    }


def _first(lived: RecoveryEpisode, moments: Sequence[Timestamp | None]) -> float | None:
    after = [at - lived.case.begins for at in moments if at is not None]
    return min((one for one in after if one >= 0.0), default=None)


def _right(lived: RecoveryEpisode, plan: Plan) -> bool:
    at_cause = bool(_about(plan.component) & {*lived.case.causes, *lived.case.nodes})
    return at_cause and plan.playbook_id == lived.case.right_playbook


def _about(component: str) -> set[str]:
    """The services a component's name speaks of: an edge names two."""
    owner = Owner.parse(component)
    return {name for name in (component, owner.service, owner.caller) if name}


def _in_time(lived: RecoveryEpisode) -> bool:
    minutes = minutes_to_recover(lived)
    return minutes is not None and minutes <= LIMIT_MIN


def _share(lived: Sequence[RecoveryEpisode], holds: Callable[[RecoveryEpisode], bool]) -> float:
    return sum(map(holds, lived)) / len(lived) if lived else float("nan")
