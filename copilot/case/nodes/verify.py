"""verify: judge the plan by the same detector on fresh data; wait as long as the plan allows."""

from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.nodes.act import holder_of, remaining
from copilot.case.state import IncidentState, PlanVerification
from copilot.deps import Deps
from copilot.hands.recovery import RecoveryJudge
from tools.playbook_executor import PlaybookSubject
from tools.types import Plan, PlaybookOutcome, StepResult, VerificationOutcome

CONFIRMED_S = 60.0
"""A plan did harm when every look of this long says so: restarts and drains dip for a moment."""


class VerifyUpdate(TypedDict):
    verified: PlanVerification


def verify(state: IncidentState, runtime: Runtime[Deps]) -> VerifyUpdate:
    """Recovered, unchanged, worse, or unknown where nothing was really run or can be seen."""
    deps, incident_id, plan = runtime.context, state["incident_id"], state["plan"]
    if plan is None:
        raise ValueError("verify was reached without a plan; see routes")
    ran = [r for r in state.get("results", []) if plan.digest in r.key]
    outcome, reason = _without_looking(ran) or _watch(deps, state, plan, ran)
    now = deps.clock.now()
    changes: dict[str, object] = {"outcome": outcome}
    if outcome == "recovered":
        clocks = deps.store.incidents.require(incident_id).clocks
        changes["clocks"] = clocks.model_copy(update={"recovered": now})
    deps.store.incidents.update(incident_id, now, **changes)
    deps.note(incident_id, "verified", reason, outcome=outcome, plan=plan.id)
    _remember(deps, state, plan, outcome, ran)
    verified = PlanVerification(plan_id=plan.id, outcome=outcome, reason=reason)
    if remaining({**state, "verified": verified}) is None:
        deps.store.locks.release(holder_of(state, plan))
    return {"verified": verified}


def _without_looking(ran: Sequence[StepResult]) -> tuple[VerificationOutcome, str] | None:
    """The outcome where the world was not touched, with the reason; None if a step took effect."""
    done = [result for result in ran if result.ok]
    if any(result.dry_run for result in done):
        return "unknown", "dry run: the steps were shown, nothing was changed"
    if not done:
        problem = ran[-1].error if ran else "no step was run"
        return "unchanged", f"no step took effect: {problem}"
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
    if outcome == "unknown" or kind is None or not took_effect:
        return
    subject = PlaybookSubject.of(plan.component, deps.sources.facts(state["onset"].at))
    ended = PlaybookOutcome(
        playbook_id=plan.playbook_id,
        fault_kind=kind,
        component=subject.service,
        component_kind=subject.kind,
        recovered=outcome == "recovered",
        at=took_effect[-1].ended_at,
    )
    deps.store.outcomes.record(plan.id, ended)


def _watch(
    deps: Deps, state: IncidentState, plan: Plan, ran: Sequence[StepResult]
) -> tuple[VerificationOutcome, str]:
    """Look again until it is recovered, surely worse, or the time for it is over."""
    since = max(result.ended_at for result in ran)
    until = since + min(plan.verification.within_s, deps.limits.verify_limit_s)
    sound = since
    judge = RecoveryJudge(deps.sources, state["onset"].at, deps.limits.lookback_s)
    while True:
        now = deps.clock.now()
        judgement = judge.after(plan, since, now)
        if judgement.outcome != "worse":
            sound = now
        if judgement.outcome == "recovered" or now - sound >= CONFIRMED_S:
            return judgement.outcome, judgement.statement
        if now >= until:
            outcome: VerificationOutcome = (
                "unchanged" if judgement.outcome == "worse" else judgement.outcome
            )
            return outcome, judgement.statement
        deps.clock.sleep(deps.limits.verify_every_s)
