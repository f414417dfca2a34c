"""Why a run is laid down in the middle: something is due later, or only a person can go on.

A node raises; the worker writes the run back to the store and takes another one. The node is run
again from its first line when its time has come, or when somebody has said what was asked.
"""

from copilot.case.briefing import publish
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.store import OutboxEntry
from copilot.types.incident import UnsettledStep
from copilot.types.time_format import date_time
from prompts import LANGUAGES
from tools.types import Plan, PlanStep, StepAction, Text, Timestamp


class DueLaterError(Exception):
    """The node has nothing to do before `at`, in the engine's time.

    `behind`: people know of the incident, so that those they do not know of yet go first.
    """

    def __init__(self, at: Timestamp, *, behind: bool = False) -> None:
        super().__init__(f"nothing to do before {at:.0f}")
        self.at, self.behind = at, behind


class PersonNeededError(Exception):
    """A person has to say something before the run goes on; the incident says what."""


_LOOK: dict[StepAction, Text] = {
    "http": Text(
        en="the target's own log for this Idempotency-Key, and whether the call took effect",
        zh="在目标系统的日志中查找此 Idempotency-Key，并确认调用是否生效",
    ),
    "command": Text(
        en="whether the program still runs, what it logged, and what it was to change (it was "
        "killed with the copilot, perhaps half way)",
        zh="该程序是否仍在运行、其日志以及应改变的内容（它随 copilot 一起终止，可能只做了一半）",
    ),
    "kubernetes": Text(
        en="the object's events, its replicas, revision or `unschedulable`, and its annotation "
        "incident-copilot/last-step",
        zh="该对象的事件、副本数、版本或 unschedulable，以及注解 incident-copilot/last-step",
    ),
    "manual": Text(en="ask who was told to do it", zh="询问被要求执行的人"),
}
_LOOK_ELSE = Text(
    en="whether its target is as the step would leave it", zh="其目标是否已处于步骤完成后的状态"
)


def ask_whether_it_ran(
    deps: Deps, state: IncidentState, plan: Plan, step: PlanStep, begun: OutboxEntry
) -> PersonNeededError:
    """Hand a step that began and whose end nobody saw to a person; returns what `act` raises."""
    incident_id, now = state["incident_id"], deps.clock.now()
    known = deps.store.incidents.require(incident_id)
    stopped = PersonNeededError(f"whether step {begun.key!r} ran is for a person to say")
    if known.unsettled is not None and known.unsettled.key == begun.key:
        return stopped
    asked = UnsettledStep(
        key=begun.key,
        title=step.title,
        title_zh=step.title_zh or step.title,
        action=step.action,
        target=step.target or plan.component,
        began_at=begun.started_at,
        look_at=_LOOK.get(step.action, _LOOK_ELSE),
    )
    publish(deps, state, advice={one: advice(asked, incident_id, one == "zh") for one in LANGUAGES})
    with deps.store.transaction():
        deps.store.incidents.update(incident_id, now, status="handed_over", unsettled=asked)
        reason = "it began and its end was not seen: it is not repeated, a person says if it ran"
        deps.note(incident_id, "unsettled", reason, step=step.title, key=begun.key)
    return stopped


def advice(asked: UnsettledStep, incident_id: str, chinese: bool) -> str:
    """What a person should look at and then say, in one sentence."""
    began, answer = date_time(asked.began_at), f"copilot step {incident_id} --ran / --not-ran"
    if chinese:
        return (
            f"步骤“{asked.title_zh}”({asked.target})于 {began} 开始,结果未知,不会自动重复。"
            f"请查看:{asked.look_at.zh};然后说明:`{answer}`"
        )
    return (
        f"step “{asked.title}” ({asked.target}) began at {began} and its end was not seen; it is "
        f"not repeated. Look at: {asked.look_at.en}; then say `{answer}`"
    )
