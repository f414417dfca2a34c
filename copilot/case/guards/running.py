"""Before a step runs: its incident goes on, nothing is stopped, the target is not cooling down,
and it still burns. Whoever approves a plan is told the same before the answer counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from copilot.case.guards.objection import Objection, worded
from copilot.hands.recovery import RecoveryJudge
from copilot.store import PolicyRefusedError, Store
from copilot.types.incident import CLOSED
from tools.types import Owner, Plan, Timestamp


@dataclass(frozen=True, slots=True)
class RunCase:
    """A plan whose next step is due. `first`: none of it ran yet, and it is no roll-back.

    `judge` is None where nobody measures, as for a plan that a person fills in by hand.
    """

    store: Store
    plan: Plan
    now: Timestamp
    first: bool
    judge: RecoveryJudge | None = None


class ObjectionError(PolicyRefusedError):
    """A guard objects to running a step."""


def incident_over(store: Store, incident_id: str) -> Objection | None:
    """The incident has ended; nothing is to be done for it any more."""
    incident = store.incidents.get(incident_id)
    if incident is None or incident.status not in CLOSED:
        return None
    return worded(
        f"nothing is left to do: the incident is {incident.status}",
        f"无需再做任何操作:该事件已是 {incident.status}",
    )


def ended(case: RunCase) -> Objection | None:
    """The incident ended before anything was run; what has begun is brought to its end."""
    return incident_over(case.store, case.plan.incident_id) if case.first else None


def halted(case: RunCase) -> Objection | None:
    """Somebody stopped all executions."""
    halt = case.store.halt.get()
    if halt is None:
        return None
    return worded(
        f"{halt.by!r} stopped all executions: {halt.reason}",
        f"{halt.by!r} 已停止所有执行:{halt.reason}",
    )


def cooling_down(case: RunCase) -> Objection | None:
    """The same was done to the same component a moment ago; its effect is not seen yet."""
    if not case.first:
        return None
    service = Owner.parse(case.plan.component).service
    for past in case.store.outcomes.all():
        age = case.now - past.at
        same = (past.playbook_id, past.component) == (case.plan.playbook_id, service)
        if same and 0 <= age < case.plan.cooldown_s:
            name, rest = case.plan.playbook_id, f"{case.plan.cooldown_s:.0f} s"
            return worded(
                f"{name} ran on {service} {age:.0f} s ago; its cool-down is {rest}",
                f"{name} 在 {age:.0f} s 前已对 {service} 执行,冷却时间为 {rest}",
            )
    return None


def subsided(case: RunCase) -> Objection | None:
    """People take minutes to answer: what the plan was for may be over by itself."""
    if case.judge is None or not case.first:
        return None
    judgement = case.judge.subsided(case.plan, case.now)
    if judgement is None:
        return None
    return worded(
        f"it is over by itself: {judgement.statement}",
        f"故障已自行恢复:{judgement.statement_zh or judgement.statement}",
    )


BEFORE_RUNNING: tuple[Callable[[RunCase], Objection | None], ...] = (
    ended,
    halted,
    cooling_down,
    subsided,
)


def refuse_running(case: RunCase) -> None:
    """Raise `ObjectionError` with the first reason not to run the due step."""
    no = next((no for guard in BEFORE_RUNNING if (no := guard(case)) is not None), None)
    if no is not None:
        raise ObjectionError(no.reason.en)
