"""plan: choose a playbook of the catalogue and fill it; or abstain and say what to check."""

from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import publish
from copilot.case.guards import Objection, PlanCase, incident_over, objection_to_proposing
from copilot.case.reasoning.proposing import propose
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.store import ApprovalRequest
from prompts import LANGUAGES
from tools.playbook_executor import AUTOMATON, step_key
from tools.types import Approval, Plan, StepResult


class PlanUpdate(TypedDict):
    plan: Plan | None


def plan(state: IncidentState, runtime: Runtime[Deps]) -> PlanUpdate:
    """Lay the next plan before a person, with its digest; an asked one is not asked twice."""
    deps, incident_id = runtime.context, state["incident_id"]
    if _over(deps, incident_id):
        return {"plan": None}
    case = PlanCase(
        deps,
        incident_id,
        state["run_id"],
        state["ranking"],
        state["evidence"],
        state["onset"].at,
        lambda facts: propose(deps, state, facts),
    )
    waiting = next((one.plan for one in case.asked if one.status == "pending"), None)
    if waiting is not None:
        return _ask(deps, state, waiting, "asked before and not answered yet")
    if (known := allowed(case.asked, state.get("results", ()))) is not None:
        return _ask(deps, state, known, "asked before and allowed")
    no = objection_to_proposing(case)
    if no is not None:
        return _hand_over(deps, state, no)
    return _ask(deps, state, case.plan, case.choice.reason)


def allowed(asked: Sequence[ApprovalRequest], results: Sequence[StepResult]) -> Plan | None:
    """The last plan of this run that has its yes, where the run knows of no step of it.

    A power cut took what it knew; what was done already stands in the outbox.
    """
    last = asked[-1] if asked else None
    if last is None or last.status not in ("approved", "consumed"):
        return None
    return None if step_key(last.plan, 0) in {one.key for one in results} else last.plan


def _ask(deps: Deps, state: IncidentState, filled: Plan, reason: str) -> PlanUpdate:
    incident_id, now = state["incident_id"], deps.clock.now()
    publish(deps, state, plan=filled)
    with deps.store.transaction():
        # Looked up again: the facts of a plan may take a while.
        if _over(deps, incident_id):
            return {"plan": None}
        deps.store.approvals.request(filled, state["run_id"], now)
        deps.store.incidents.update(incident_id, now, plan=filled, status="awaiting_approval")
        deps.note(incident_id, "planned", reason, plan=filled.id, digest=filled.digest)
        if deps.policy.approves(filled.risk):
            _approve_by_policy(deps, filled)
    return {"plan": filled}


def _over(deps: Deps, incident_id: str) -> bool:
    """Whether the incident ended meanwhile, which is noted."""
    over = incident_over(deps.store, incident_id)
    if over is not None:
        deps.note(incident_id, "abstained", over.reason.en, reason_zh=over.reason.zh)
    return over is not None


def _approve_by_policy(deps: Deps, filled: Plan) -> None:
    """A plan that only reads waits for nobody where the operator says so."""
    now, reason = deps.clock.now(), "class A: it changes nothing, and auto-approval is on"
    approval = Approval(
        plan_id=filled.id,
        digest=filled.digest,
        decision="approve",
        approver=AUTOMATON,
        reason=reason,
        decided_at=now,
    )
    deps.store.approvals.decide(approval, now)
    detail = {"plan": filled.id, "digest": filled.digest, "reason": reason}
    deps.store.journal.append(filled.incident_id, "approved", AUTOMATON, {**detail}, now)


def _hand_over(deps: Deps, state: IncidentState, no: Objection) -> PlanUpdate:
    incident_id = state["incident_id"]
    texts = {one: getattr(no.check, one) if no.check else "" for one in LANGUAGES}
    publish(deps, state, advice=texts)
    deps.store.incidents.update(incident_id, deps.clock.now(), plan=None, status="handed_over")
    deps.note(incident_id, "abstained", no.reason.en, reason_zh=no.reason.zh)
    return {"plan": None}
