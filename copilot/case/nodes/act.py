"""act: run one approved step. Written down before, recorded after, never run twice.

A step that began before and has no result is only repeated where that does no harm (`repeatable`);
otherwise a person says whether it ran.
"""

from typing import NamedTuple, TypedDict

from langgraph.runtime import Runtime

from copilot.case.following import JobWatch, job_runner
from copilot.case.guards import RunCase, incident_over, refuse_running
from copilot.case.state import IncidentState
from copilot.case.terms import runner_for
from copilot.case.waiting import DueLaterError, ask_whether_it_ran
from copilot.deps import Deps
from copilot.hands.recovery import RecoveryJudge
from copilot.store import PolicyRefusedError as NotAllowedError
from copilot.store import StoreError
from tools.playbook_executor import (
    StepRefusedError,
    pause_s,
    repeatable,
    run_step,
    step_key,
    undoes,
)
from tools.types import Plan, PlanStep, StepResult, Timestamp


class ActUpdate(TypedDict):
    results: list[StepResult]


class DueStep(NamedTuple):
    """The next step of a plan: its place in the steps, or in the roll-back steps."""

    step: int
    rollback: bool


def act(state: IncidentState, runtime: Runtime[Deps]) -> ActUpdate:
    """One pass, one step. A refusal is a failed step with its reason; it ends the plan."""
    deps, incident_id = runtime.context, state["incident_id"]
    plan, due = state["plan"], remaining(state)
    if plan is None or due is None:
        raise ValueError("act was reached without a plan that has a step left; see routes")
    key = step_key(plan, due.step, rollback=due.rollback)
    step = (plan.rollback if due.rollback else plan.steps)[due.step]
    if incident_over(deps.store, incident_id) is None:
        deps.store.incidents.update(incident_id, deps.clock.now(), status="acting")
    recorded = _run(state, deps, plan, due, step, key)
    results = [*state.get("results", []), recorded]
    deps.store.incidents.update(incident_id, deps.clock.now(), results=tuple(results))
    said = recorded.error or recorded.output or "done"
    deps.note(incident_id, "acted", said, step=step.title, key=key, ok=str(recorded.ok))
    return {"results": results}


def remaining(state: IncidentState) -> DueStep | None:
    """Return the next step: of the plan until one fails, then of its roll-back where that is due.

    It is due where the plan did harm, and where the plan says so and a later step failed.
    """
    plan, verified = state.get("plan"), state.get("verified")
    if plan is None:
        return None
    results = state.get("results", [])
    ran = {result.key: result.ok for result in results}
    harmed = verified is not None and verified.plan_id == plan.id and verified.outcome == "worse"
    back = harmed or undoes(plan, results)
    steps = plan.rollback if back else plan.steps
    for index in range(len(steps)):
        ok = ran.get(step_key(plan, index, rollback=back))
        if ok is None:
            return DueStep(index, back)
        if not ok:
            return None
    return None


def _run(
    state: IncidentState, deps: Deps, plan: Plan, due: DueStep, step: PlanStep, key: str
) -> StepResult:
    """The step's result: the recorded one, or that of running it now, or why it was refused.

    A refusal of the approval is not written to the outbox: the row belongs to whoever holds it.
    """
    outbox, now, holder = deps.store.outbox, deps.clock.now(), holder_of(state, plan)
    watch = _job(deps, state["incident_id"], step, key)
    intent = outbox.get(key)
    if intent is not None and intent.result is not None:
        return intent.result
    ended = deps.unwritten.pop(key, None)
    if ended is not None:
        return _finish(deps, ended)
    request = deps.store.approvals.get(plan.id)
    ours = request is not None and request.consumed_by == state["run_id"]
    if intent is not None and ours:
        if watch is not None and watch.known(intent):
            return _followed(deps, watch)
        if not (repeatable(step) if watch is None else watch.may_start_again()):
            raise ask_whether_it_ran(deps, state, plan, step, intent)
    try:
        _check_guards(state, deps, plan, due, begun=intent is not None)
        deps.store.locks.take(plan.lock, holder, now, longest_s(plan))
        deps.store.approvals.consume(plan.id, plan.digest, state["run_id"], now)
    except NotAllowedError as refusal:
        deps.store.locks.release(holder)
        return _refused(key, refusal, now)
    done = outbox.begin(key, "step", {"plan": plan.id, "digest": plan.digest}, now)
    if done is not None:
        return done
    over = (now if intent is None else intent.started_at) + pause_s(step)
    if now < over and runner_for(deps, deps.store.incidents.get(state["incident_id"])).touches(
        step
    ):
        raise DueLaterError(over)
    result = _attempt(state, deps, plan, due)
    if watch is None or watch.started(result) is not None:
        return _finish(deps, result)
    raise DueLaterError(now + watch.every_s)


def _job(deps: Deps, incident_id: str, step: PlanStep, key: str) -> JobWatch | None:
    """The job that the step starts, if it starts one; the journal hears of its progress."""
    job = job_runner(runner_for(deps, deps.store.incidents.get(incident_id)), step)
    if job is None:
        return None

    def note(told: str) -> None:
        deps.note(incident_id, "followed", told, step=step.title, key=key)

    return JobWatch(deps.store, deps.clock, job, step, key, note)


def _followed(deps: Deps, watch: JobWatch) -> StepResult:
    """The result of a job that has ended; one that goes on is looked at again later."""
    begun = deps.store.outbox.get(watch.key)
    assert begun is not None
    result = watch.look(begun)
    if result is None:
        raise DueLaterError(deps.clock.now() + watch.every_s)
    return _finish(deps, result)


def _finish(deps: Deps, result: StepResult) -> StepResult:
    """Write the result down; where the store does not take it, it is kept for the next try."""
    try:
        return deps.store.outbox.finish(result.key, result, deps.clock.now())
    except StoreError:
        deps.unwritten[result.key] = result
        raise


def _check_guards(
    state: IncidentState, deps: Deps, plan: Plan, due: DueStep, *, begun: bool
) -> None:
    first = due.step == 0 and not due.rollback and not begun
    judge = RecoveryJudge(deps.sources, state["onset"].at, deps.limits.lookback_s)
    refuse_running(RunCase(deps.store, plan, deps.clock.now(), first, judge))


def holder_of(state: IncidentState, plan: Plan) -> str:
    """Who holds the plan's target: a second run of the same plan is another holder."""
    return f"{plan.id} of {state['run_id']}"


def longest_s(plan: Plan) -> float:
    """Return the most seconds a plan may hold its target, roll-back and verification included.

    The last two minutes are those in which the end of a recovery may still turn out to be worse.
    """
    steps = sum(step.timeout_s for step in (*plan.steps, *plan.rollback))
    return steps + 2 * plan.verification.within_s + 120.0


def _attempt(state: IncidentState, deps: Deps, plan: Plan, due: DueStep) -> StepResult:
    now = deps.clock.now()
    incident = deps.store.incidents.require(state["incident_id"])
    try:
        return run_step(
            plan,
            due.step,
            state.get("approvals", []),
            runner_for(deps, incident),
            now,
            facts=lambda: deps.sources.facts(state["onset"].at, deps.clock.now()),
            results=state.get("results", []),
            rollback=due.rollback,
            policy=deps.policy,
        )
    except StepRefusedError as refusal:
        return _refused(step_key(plan, due.step, rollback=due.rollback), refusal, now)


def _refused(key: str, refusal: Exception, now: Timestamp) -> StepResult:
    return StepResult(key=key, ok=False, error=f"refused: {refusal}", started_at=now, ended_at=now)
