"""What people say of a run that cannot go on by itself: yes or no to its plan, whether a step ran,
and: try it again.
"""

from collections.abc import Callable

from pydantic import Field

from copilot.case.editing import check_four_eyes
from copilot.case.guards import RunCase, refuse_running
from copilot.deps import Deps
from copilot.store import ApprovalRequest, NoRightError, PolicyRefusedError
from copilot.types.incident import CLOSED, Incident, PlanTerms
from tools.playbook_executor import AUTOMATON, Policy, one_person
from tools.types import Approval, FrozenModel, Plan, StepResult, Timestamp

RESERVED = frozenset({AUTOMATON, "nobody", "copilot"})
"""Names the journal uses for what no person did."""


class StepAnswer(FrozenModel):
    """Whether a step whose end nobody saw ran, by whom it is said, and how they know."""

    incident_id: str
    ran: bool
    by: str = Field(min_length=1)
    reason: str = ""
    key: str = ""  # empty: the one that is asked about


class RetryWish(FrozenModel):
    """That an incident whose run was set aside be worked on again, by whom and why."""

    incident_id: str
    by: str = Field(min_length=1)
    reason: str = ""


def check_right(policy: Policy, who: str, wish: str = "approve", plan: Plan | None = None) -> None:
    """Raise `NoRightError` unless this person may do so, with this plan; what is no approval takes
    no more right than a rejection.
    """
    if one_person(who) in map(one_person, RESERVED):
        raise NoRightError(f"{who!r} is a name of the copilot's own; answer under yours")
    if policy.may_approve(who, plan) if wish == "approve" else policy.may_reject(who):
        return
    this = " this plan" if policy.may_approve(who) else ""
    raise NoRightError(
        f"{who!r} may not {wish}{this}; see `copilot users list`, or COPILOT_APPROVERS and "
        "COPILOT_RESPONDERS where nobody has an account"
    )


def decide(
    deps: Deps, approval: Approval, terms: Callable[[Plan], PlanTerms], now: Timestamp
) -> ApprovalRequest:
    """Record an answer to a plan and queue its run again; raises `PolicyRefusedError`.

    Where a guard objects to running it now, a yes does not count and the plan goes on waiting.
    """
    approval = deps.store.redactor.model(approval)
    asked = deps.store.approvals.get(approval.plan_id)
    plan = asked.plan if asked else None
    check_right(deps.policy, approval.approver, approval.decision, plan)
    check_four_eyes(deps, approval)
    if asked is not None and approval.decision == "approve":
        refuse_running(RunCase(deps.store, asked.plan, now, first=True))
    with deps.store.transaction():
        needed = deps.policy.needed[asked.plan.risk] if asked else 1
        request = deps.store.approvals.decide(approval, now, needed)
        agreed = terms(request.plan)
        dry = ", dry run" if agreed.dry_run else ""
        detail = {
            "plan": approval.plan_id,
            "digest": approval.digest,
            "reason": approval.reason
            or f"approved as shown ({agreed.approvals.given} of {needed}{dry})",
        }
        kind = "approved" if approval.decision == "approve" else "rejected"
        incident_id = request.plan.incident_id
        deps.store.journal.append(incident_id, kind, approval.approver, {**detail}, now)
        if request.status != "pending":
            deps.store.runs.resume(request.run_id, now)
    return request


def expire(deps: Deps, now: Timestamp) -> int:
    """Take no answer for a no, where a plan is too old by now; returns how many those were."""
    expired = deps.store.approvals.expire(now)
    for request in expired:
        reason = "nobody answered before the plan expired; no answer is no"
        detail = {"plan": request.plan.id, "reason": reason}
        deps.store.journal.append(request.plan.incident_id, "expired", "copilot", {**detail}, now)
        deps.store.runs.resume(request.run_id, now)
    return len(expired)


def settle(deps: Deps, answer: StepAnswer, now: Timestamp) -> Incident:
    """Take a person's word on a step that began: it ran, or it did not and is due once more.

    A result that was written meanwhile stands. Raises `PolicyRefusedError` where nothing is asked.
    """
    answer = deps.store.redactor.model(answer)
    check_right(deps.policy, answer.by)
    with deps.store.transaction():
        incident = deps.store.incidents.require(answer.incident_id)
        asked = incident.unsettled
        begun = deps.store.outbox.get(asked.key) if asked else None
        if asked is None or begun is None or answer.key not in ("", asked.key):
            raise PolicyRefusedError(
                f"no step of incident {answer.incident_id!r} waits to be told whether it ran"
            )
        said = "it ran" if answer.ran else "it did not run"
        if begun.result is None and answer.ran:
            result = StepResult(
                key=asked.key,
                ok=True,
                output=f"{answer.by}: {said}. {answer.reason}".rstrip(". "),
                started_at=begun.started_at,
                ended_at=max(now, begun.started_at),
            )
            deps.store.outbox.finish(asked.key, result, now)
        elif begun.result is None:
            deps.store.outbox.forget(asked.key)
        detail = {"reason": answer.reason or said, "answer": said, "step": asked.title}
        deps.store.journal.append(
            incident.id, "settled", answer.by, {**detail, "key": asked.key}, now
        )
        status = incident.status if incident.status in CLOSED else "acting"
        for run in deps.store.runs.of(incident.id):
            deps.store.runs.resume(run.id, now)
        return deps.store.incidents.update(incident.id, now, unsettled=None, status=status)


def retry(deps: Deps, wish: RetryWish, now: Timestamp) -> Incident:
    """Let the run of a failed incident go on where it stood; raises `PolicyRefusedError`."""
    wish = deps.store.redactor.model(wish)
    check_right(deps.policy, wish.by, "reject")
    with deps.store.transaction():
        incident = deps.store.incidents.require(wish.incident_id)
        runs = deps.store.runs.of(incident.id)
        if incident.status != "failed" or not runs:
            raise PolicyRefusedError(
                f"incident {incident.id!r} is {incident.status}: only a failed one is tried again"
            )
        deps.store.runs.resume(runs[-1].id, now, "failed")
        detail = {"reason": wish.reason or "a person wants it tried again", "run": runs[-1].id}
        deps.store.journal.append(incident.id, "retried", wish.by, {**detail}, now)
        return deps.store.incidents.update(incident.id, now, status="investigating")
