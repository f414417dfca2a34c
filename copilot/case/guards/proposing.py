"""Before a plan is laid before a person: the cause, the people, the catalogue and the target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from copilot.case.guards.cause import (
    no_impact_objection,
    no_subject_objection,
    weak_cause_objection,
)
from copilot.case.guards.objection import Objection, worded
from copilot.case.guards.running import RunCase, incident_over, subsided
from copilot.deps import Deps
from copilot.hands.recovery import RecoveryJudge
from copilot.store import ApprovalRequest
from copilot.types.incident import OURS
from tools.log_retriever import sanitize
from tools.playbook_executor import ParameterError, ProposalContext, choose, fill
from tools.topology_walker.certainty import first_look
from tools.topology_walker.graph import components
from tools.types import (
    Alert,
    Choice,
    Evidence,
    EvidenceKind,
    Fact,
    Owner,
    Plan,
    Ranking,
    Text,
    Timestamp,
    Topology,
)

Consultation = Callable[[Mapping[str, Fact]], ProposalContext | None]
"""Asks a model which playbook it would take, given the facts."""


@dataclass
class PlanCase:
    """One located incident; what would be chosen and filled in is worked out when first asked.

    `run_id` is the run whose plans count as tried; `consult` is None where no model is asked.
    """

    deps: Deps
    incident_id: str
    run_id: str
    ranking: Ranking
    evidence: Sequence[Evidence]
    onset: Timestamp
    consult: Consultation | None = None

    @cached_property
    def ever(self) -> Sequence[ApprovalRequest]:
        """Every plan of the incident that people were asked about."""
        return self.deps.store.approvals.of(self.incident_id)

    @property
    def asked(self) -> Sequence[ApprovalRequest]:
        """Those of this run."""
        return [request for request in self.ever if request.run_id == self.run_id]

    @cached_property
    def alerts(self) -> Sequence[Alert]:
        """The alerts of the incident, resolved ones too."""
        return self.deps.store.alerts.of(self.incident_id)

    @cached_property
    def topology(self) -> Topology:
        """Who calls whom."""
        return self.deps.sources.topology()

    @cached_property
    def facts(self) -> Mapping[str, Fact]:
        """What is known of the components, under keys `<fact>:<component>`."""
        return self.deps.sources.facts(self.onset, self.deps.clock.now())

    @cached_property
    def choice(self) -> Choice:
        """What the catalogue offers for the first candidate, or why it offers nothing."""
        deps, facts = self.deps, self.facts
        return choose(
            deps.playbooks,
            self.ranking,
            facts,
            deps.store.outcomes.all(),
            arm=deps.arm,
            consulted=self.consult(facts) if self.consult is not None else None,
            excluded=_tried(self.asked) | _rejected(self.ever),
            now=deps.clock.now(),
            unrunnable=deps.unrunnable,
        )

    @cached_property
    def plan(self) -> Plan:
        """The chosen playbook, filled in; raises `ParameterError` for a value it does not allow."""
        playbook = next(one for one in self.deps.playbooks if one.id == self.choice.playbook_id)
        return fill(
            playbook,
            self.choice.parameters,
            self.incident_id,
            self.choice.component,
            self.choice.evidence,
            self.deps.clock.now(),
            self.deps.limits.plan_ttl_s,
            self.deps.stands_for,
            playbook.stays(self.ranking.candidates[0].fault_kind),
            self.choice.another,
        )


def _tried(asked: Sequence[ApprovalRequest]) -> dict[str, str]:
    """What people were asked about; one that they put another in place of was not tried."""
    tried = (one.plan.playbook_id for one in asked if one.status != "superseded")
    return dict.fromkeys(tried, "already tried in this incident")


def _rejected(ever: Sequence[ApprovalRequest]) -> dict[str, str]:
    """What people did not want, and why: it holds for every later look at the incident."""
    return {
        one.plan.playbook_id: f"{answer.approver} rejected it: {sanitize(answer.reason, 120)}"
        for one in ever
        if one.status == "rejected" and (answer := one.approval) and answer.approver != "nobody"
    }


def ended(case: PlanCase) -> Objection | None:
    """The incident has ended."""
    return incident_over(case.deps.store, case.incident_id)


def given_up(case: PlanCase) -> Objection | None:
    """Nobody answered, all is stopped, or several plans did not help."""
    if any(r.approval is not None and r.approval.approver == "nobody" for r in case.asked):
        return _told(
            "nobody answered before the plan expired: somebody has to take this incident",
            "计划过期前无人应答:需要有人接手此事件",
        )
    if case.asked and case.deps.store.halt.get() is not None:
        return _told(
            "all executions are stopped: a person works on it until somebody resumes them",
            "所有执行均已停止:在恢复之前由人工处理",
        )
    if len(case.asked) >= case.deps.limits.plans:
        return _told(
            "several plans did not help: a person has to look at what they changed",
            "多个方案无效:需要人工检查它们改变了什么",
        )
    return None


def weak_cause(case: PlanCase) -> Objection | None:
    """The cause says no more than its alerts, a change or a busy processor."""
    if case.ranking.abstained:
        return None
    return weak_cause_objection(case.ranking, case.evidence)


def uncertain(case: PlanCase) -> Objection | None:
    """The cause is neither proven nor likely: what would decide comes before any step."""
    ranking = case.ranking
    if not ranking.abstained:
        return None
    first = ranking.candidates[0].component if ranking.candidates else ""
    look = ranking.look if ranking.certainty == "ambiguous" else None
    if look is None:
        look = first_look(ranking.candidates[0]) if first else CHECK_FIRST
    en, zh = (f"the cause {first} is", f"原因 {first} ") if first else ("the cause is", "原因")
    why = ranking.why or Text(en="the evidence does not decide", zh="证据不足以判定")
    return worded(
        f"{en} not sure enough to act on: {why.en}", f"{zh}尚不足以采取行动:{why.zh}", look
    )


CHECK_FIRST = Text(
    en="Look at the alerting services: their own metrics, errors and last changes.",
    zh="先查看正在告警的服务:其自身的指标、错误与最近变更。",
)


def no_impact(case: PlanCase) -> Objection | None:
    """Nobody is seen to suffer from the cause, and it is none that is met before."""
    # What the copilot's own watch raised says that a series is strange, not that users suffer.
    ruled = any(alert.source != OURS for alert in case.alerts)
    return no_impact_objection(case.ranking, case.evidence, case.topology, ruled=ruled)


def no_subject(case: PlanCase) -> Objection | None:
    """The cause is nothing that a step could act on."""
    if not case.ranking.candidates:
        return None
    known = {key.rpartition(":")[2] for key in case.facts} | set(components(case.topology))
    measured = (Owner.parse(one.subject) for one in case.evidence if one.kind not in UNMEASURED)
    known |= {name for owner in measured for name in (owner.service, owner.caller) if name}
    return no_subject_objection(case.ranking.candidates[0].component, known, case.alerts)


UNMEASURED: frozenset[EvidenceKind] = frozenset({"alert", "change", "note"})
"""What names a component without having seen anything of it."""


def nothing_offered(case: PlanCase) -> Objection | None:
    """The catalogue has no playbook for this cause that may be proposed now."""
    choice = case.choice
    if choice.abstained:
        return worded(choice.reason, choice.reason_zh or choice.reason, choice.check)
    try:
        _ = case.plan
    except ParameterError as error:
        return worded(str(error), f"预案参数无效:{error}", choice.check)
    return None


def worked_on(case: PlanCase) -> Objection | None:
    """Another incident has a plan for the same target already: one fault is often more than one.

    Of two that wait for people, the one that asked first goes on.
    """
    active = case.deps.store.incidents.active()
    lock, now = case.plan.lock, case.deps.clock.now()
    mine = [one.plan.created_at for one in case.asked if one.plan.lock == lock]
    place = (min(mine, default=now), case.incident_id)
    for one in active:
        if one.id == case.incident_id or one.plan is None or one.plan.lock != lock:
            continue
        first = one.status == "awaiting_approval" and (one.plan.created_at, one.id) < place
        if first or one.status == "acting":
            return _told(
                f"{lock} is worked on in {one.id} already: see what comes of its plan",
                f"{lock} 已在 {one.id} 中处理:请先查看其方案的结果",
            )
    return None


def announced(case: PlanCase) -> Objection | None:
    """Somebody said beforehand that the component would misbehave, and is at work on it."""
    service = Owner.parse(case.plan.component).service
    why = case.deps.announced.work_on(service, case.deps.clock.now())
    if not why:
        return None
    return _told(
        f"work on {service} is announced ({why}): ask who does it before anything is run",
        f"{service} 的维护已预告({why}):在执行任何操作前先询问负责人",
    )


def over(case: PlanCase) -> Objection | None:
    """What the plan would be for is over by itself."""
    deps = case.deps
    judge = RecoveryJudge(deps.sources, case.onset, deps.limits.lookback_s)
    no = subsided(RunCase(deps.store, case.plan, deps.clock.now(), first=True, judge=judge))
    return no and Objection(no.reason, case.choice.check)


def _told(en: str, zh: str) -> Objection:
    """An objection that is itself what a person has to do."""
    said = worded(en, zh)
    return Objection(said.reason, said.reason)


BEFORE_PROPOSING: tuple[Callable[[PlanCase], Objection | None], ...] = (
    ended,
    given_up,
    weak_cause,
    uncertain,
    no_impact,
    no_subject,
    nothing_offered,
    worked_on,
    announced,
    over,
)
"""In this order: the later ones look at the plan, which is there once the catalogue offers one."""


def objection_to_proposing(case: PlanCase) -> Objection | None:
    """Return the first reason to propose nothing; without one `case.plan` is the plan."""
    return next((no for guard in BEFORE_PROPOSING if (no := guard(case)) is not None), None)
