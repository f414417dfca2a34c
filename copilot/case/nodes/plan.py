"""plan: choose a playbook of the catalogue and fill it; or abstain and say what to check."""

from collections.abc import Sequence
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.case.briefing import publish
from copilot.case.guards import no_impact_objection, weak_cause_objection
from copilot.case.reasoning.proposing import propose
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.hands.recovery import RecoveryJudge
from copilot.store import ApprovalRequest
from copilot.types.incident import CLOSED, OURS
from prompts import LANGUAGES
from tools.log_retriever import sanitize
from tools.playbook_executor import AUTOMATON, ParameterError, choose, fill
from tools.types import Approval, Choice, Owner, Plan, Text

NOBODY = Text(
    en="nobody answered before the plan expired: somebody has to take this incident",
    zh="计划过期前无人应答:需要有人接手此事件",
)
ENOUGH = Text(
    en="several plans did not help: a person has to look at what they changed",
    zh="多个方案无效:需要人工检查它们改变了什么",
)


STOPPED = Text(
    en="all executions are stopped: a person works on it until somebody resumes them",
    zh="所有执行均已停止:在恢复之前由人工处理",
)


class PlanUpdate(TypedDict):
    plan: Plan | None


def plan(state: IncidentState, runtime: Runtime[Deps]) -> PlanUpdate:
    """Lay the next plan before a person, with its digest; an asked one is not asked twice."""
    deps, incident_id = runtime.context, state["incident_id"]
    status = deps.store.incidents.require(incident_id).status
    if status in CLOSED:
        deps.note(incident_id, "abstained", f"nothing is left to do: it was {status} meanwhile")
        return {"plan": None}
    ever = deps.store.approvals.of(incident_id)
    asked = [request for request in ever if request.run_id == state["run_id"]]
    waiting = next((r.plan for r in asked if r.status == "pending"), None)
    if waiting is not None:
        return _ask(deps, state, waiting, "asked before and not answered yet")
    given_up = _given_up(deps, asked)
    if given_up is not None:
        return _hand_over(deps, state, given_up.en, given_up)
    doubt = weak_cause_objection(state["ranking"], state["evidence"])
    if doubt is None and not _accused(deps, state):
        doubt = no_impact_objection(state["ranking"], state["evidence"])
    if doubt is not None and not state["ranking"].abstained:
        return _hand_over(deps, state, doubt.reason, doubt.check)
    facts = deps.sources.facts(state["onset"].at)
    choice = choose(
        deps.playbooks,
        state["ranking"],
        facts,
        deps.store.outcomes.all(),
        arm=deps.arm,
        consulted=propose(deps, state, facts),
        excluded=_tried(asked) | _rejected(ever),
        now=deps.clock.now(),
        unrunnable=deps.unrunnable,
    )
    if choice.abstained:
        return _hand_over(deps, state, choice.reason, choice.check)
    try:
        filled = _filled(deps, state, choice)
    except ParameterError as error:
        return _hand_over(deps, state, str(error), choice.check)
    other = _worked_on(deps, incident_id, filled) or _maintenance_reason(deps, filled)
    if other is not None:
        return _hand_over(deps, state, other.en, other)
    judge = RecoveryJudge(deps.sources, state["onset"].at, deps.limits.lookback_s)
    over = judge.subsided(filled, deps.clock.now())
    if over:
        return _hand_over(deps, state, over, choice.check)
    return _ask(deps, state, filled, choice.reason)


def _worked_on(deps: Deps, incident_id: str, filled: Plan) -> Text | None:
    """Who has a plan for the same target already: one fault is often more than one incident."""
    active = deps.store.incidents.active()
    mine = next((one.opened_at for one in active if one.id == incident_id), 0.0)
    for one in active:
        before = (one.opened_at, one.id) < (mine, incident_id)
        busy = one.status in ("awaiting_approval", "acting")
        if before and busy and one.plan is not None and one.plan.lock == filled.lock:
            return Text(
                en=f"{filled.lock} is worked on in {one.id} already: see what comes of its plan",
                zh=f"{filled.lock} 已在 {one.id} 中处理:请先查看其方案的结果",
            )
    return None


def _maintenance_reason(deps: Deps, filled: Plan) -> Text | None:
    """Somebody said beforehand that the component would misbehave, and is at work on it."""
    service = Owner.parse(filled.component).service
    why = deps.announced.work_on(service, deps.clock.now())
    if not why:
        return None
    return Text(
        en=f"work on {service} is announced ({why}): ask who does it before anything is run",
        zh=f"{service} 的维护已预告({why}):在执行任何操作前先询问负责人",
    )


def _accused(deps: Deps, state: IncidentState) -> bool:
    """Whether a rule that somebody wrote, and not only our own watch, is about the component."""
    alerts = deps.store.alerts.of(state["incident_id"])
    told = {alert.service for alert in alerts if alert.source != OURS}
    only_ours = {alert.service for alert in alerts} - told
    accused = set(state["group"].services) - only_ours
    return any(one.component in accused for one in state["ranking"].candidates[:1])


def _tried(asked: Sequence[ApprovalRequest]) -> dict[str, str]:
    return {one.plan.playbook_id: "already tried in this incident" for one in asked}


def _rejected(ever: Sequence[ApprovalRequest]) -> dict[str, str]:
    """What people did not want, and why: it holds for every later look at the incident."""
    return {
        one.plan.playbook_id: f"{answer.approver} rejected it: {sanitize(answer.reason, 120)}"
        for one in ever
        if one.status == "rejected" and (answer := one.approval) and answer.approver != "nobody"
    }


def _given_up(deps: Deps, asked: Sequence[ApprovalRequest]) -> Text | None:
    """Why no further plan is proposed, if so."""
    if any(r.approval is not None and r.approval.approver == "nobody" for r in asked):
        return NOBODY
    if asked and deps.store.halt.get() is not None:
        return STOPPED
    return ENOUGH if len(asked) >= deps.limits.plans else None


def _filled(deps: Deps, state: IncidentState, choice: Choice) -> Plan:
    playbook = next(p for p in deps.playbooks if p.id == choice.playbook_id)
    return fill(
        playbook,
        choice.parameters,
        state["incident_id"],
        choice.component,
        choice.evidence,
        deps.clock.now(),
        deps.limits.plan_ttl_s,
    )


def _ask(deps: Deps, state: IncidentState, filled: Plan, reason: str) -> PlanUpdate:
    incident_id, now = state["incident_id"], deps.clock.now()
    publish(deps, state, plan=filled)
    with deps.store.transaction():
        deps.store.approvals.request(filled, state["run_id"], now)
        deps.store.incidents.update(incident_id, now, plan=filled, status="awaiting_approval")
        deps.note(incident_id, "planned", reason, plan=filled.id, digest=filled.digest)
        if deps.policy.approves(filled.risk):
            _approve_by_policy(deps, filled)
    return {"plan": filled}


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


def _hand_over(deps: Deps, state: IncidentState, reason: str, advice: Text | None) -> PlanUpdate:
    incident_id = state["incident_id"]
    texts = {one: getattr(advice, one) if advice else "" for one in LANGUAGES}
    publish(deps, state, advice=texts)
    deps.store.incidents.update(incident_id, deps.clock.now(), plan=None, status="handed_over")
    deps.note(incident_id, "abstained", reason)
    return {"plan": None}
