"""verify: judge the plan by the same detector on fresh data, as long as the plan allows."""

from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.nodes.act import holder_of, remaining
from copilot.case.state import IncidentState, PlanVerification
from copilot.case.waiting import DueLaterError
from copilot.deps import Deps
from copilot.hands.recovery import RecoveryJudge
from tools.playbook_executor import PlaybookSubject, undoes
from tools.types import Plan, PlaybookOutcome, StepResult, VerificationOutcome

CONFIRMED_S = 60.0
"""A plan did harm when every look of this long says so: restarts and drains dip for a moment."""


class VerifyUpdate(TypedDict):
    verified: PlanVerification


def verify(state: IncidentState, runtime: Runtime[Deps]) -> VerifyUpdate:
    """Recovered, unchanged, worse, or unknown where nothing was really run or can be seen.

    One look a pass; until they decide, the next one is due a while later.
    """
    deps, incident_id, plan = runtime.context, state["incident_id"], state["plan"]
    if plan is None:
        raise ValueError("verify was reached without a plan; see routes")
    before, wait = state.get("verified"), deps.limits.verify_every_s
    # A clock that was set back does not put the next look off.
    if before is not None and not before.over and 0 < before.next_at - deps.clock.now() <= wait:
        raise DueLaterError(before.next_at)
    ran = [r for r in state.get("results", []) if plan.digest in r.key]
    verified = _without_looking(plan, ran) or _look(deps, state, plan, ran)
    if not verified.over:
        if verified.outcome == "recovering" and (before is None or before.outcome != "recovering"):
            deps.store.incidents.update(incident_id, deps.clock.now(), outcome="recovering")
            deps.note(incident_id, "verified", verified.reason, outcome="recovering", plan=plan.id)
        return {"verified": verified}
    outcome, reason, now = verified.outcome, verified.reason, deps.clock.now()
    changes: dict[str, object] = {"outcome": outcome}
    if outcome == "recovered":
        clocks = deps.store.incidents.require(incident_id).clocks
        changes["clocks"] = clocks.model_copy(update={"recovered": now})
    deps.store.incidents.update(incident_id, now, **changes)
    deps.note(incident_id, "verified", reason, outcome=outcome, plan=plan.id)
    _remember(deps, state, plan, outcome, ran)
    if remaining({**state, "verified": verified}) is None:
        deps.store.locks.release(holder_of(state, plan))
    return {"verified": verified}


def _without_looking(plan: Plan, ran: Sequence[StepResult]) -> PlanVerification | None:
    """The outcome where the world was not touched, with the reason; None if a step took effect."""
    done = [result for result in ran if result.ok]
    if any(result.dry_run for result in done):
        reason = "dry run: the steps were shown, nothing was changed"
        return PlanVerification(plan_id=plan.id, outcome="unknown", reason=reason)
    if not done:
        problem = f"no step took effect: {ran[-1].error if ran else 'no step was run'}"
        return PlanVerification(plan_id=plan.id, outcome="unchanged", reason=problem)
    return None


def _remember(
    deps: Deps,
    state: IncidentState,
    plan: Plan,
    outcome: VerificationOutcome,
    ran: Sequence[StepResult],
) -> None:
    """How the plan ended, for the choices to come; what was not judged teaches nothing."""
    took_effect = [result for result in ran if result.ok and not result.dry_run]
    ranking = state["ranking"]
    kind = ranking.candidates[0].fault_kind if ranking.candidates else None
    if outcome in ("unknown", "recovering") or kind is None or not took_effect:
        return
    subject = PlaybookSubject.of(plan.component, deps.sources.facts(state["onset"].at))
    ended = PlaybookOutcome(
        playbook_id=plan.playbook_id,
        fault_kind=kind,
        component=subject.service,
        component_kind=subject.kind,
        recovered=outcome == "recovered" and not undoes(plan, ran),
        at=took_effect[-1].ended_at,
    )
    deps.store.outcomes.record(plan.id, ended)


def _look(
    deps: Deps, state: IncidentState, plan: Plan, ran: Sequence[StepResult]
) -> PlanVerification:
    """Judge once: recovered, surely worse, the time for it is over, or to be looked at again.

    What is recovering when its time is up is waited for on, and said to be on its way: until twice
    the time of the playbook, for which the plan may hold its target (`longest_s`).
    """
    since, now = max(result.ended_at for result in ran), deps.clock.now()
    until = since + min(plan.verification.within_s, deps.limits.verify_limit_s)
    before = state.get("verified")
    known = before is not None and before.plan_id == plan.id and not before.over
    sound = before.sound if before is not None and known else since
    mending = before.mending if before is not None and known else 0.0
    judge = RecoveryJudge(deps.sources, state["onset"].at, deps.limits.lookback_s)
    judgement = judge.after(plan, since, now)
    outcome, said = judgement.outcome, judgement.statement
    on_its_way = outcome == "recovering" and now >= until
    if on_its_way:
        until = since + 2 * plan.verification.within_s
        mending = min(now, until)
    if outcome != "worse":
        sound = now
    if outcome == "recovered" or now - sound >= CONFIRMED_S:
        return PlanVerification(plan_id=plan.id, outcome=outcome, reason=said)
    # What turns at the very end is looked at until that is sure. A clock that was set back must
    # not keep it open: then the time for it is over, too. A target whose clock is a little ahead
    # ended its step in our future; a look later it is past.
    timely = now < until or outcome == "worse" or now - mending <= CONFIRMED_S
    if not timely or now < since - deps.limits.verify_every_s:
        ended: VerificationOutcome = "unchanged" if outcome == "worse" else outcome
        return PlanVerification(plan_id=plan.id, outcome=ended, reason=said)
    return PlanVerification(
        plan_id=plan.id,
        outcome="recovering" if on_its_way else "unknown",
        reason=said,
        over=False,
        next_at=now + deps.limits.verify_every_s,
        sound=sound,
        mending=mending,
    )
