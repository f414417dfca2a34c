"""A person changes a plan that waits, or takes the other way that stands beside it: another plan,
with a digest of its own.
"""

from collections.abc import Mapping

from pydantic import Field

from copilot.deps import Deps
from copilot.store import ApprovalRequest, NoRightError, PolicyRefusedError, UnknownPlanError
from tools.playbook_executor import fill, one_person
from tools.types import AnotherWay, Approval, FrozenModel, Plan, Playbook, Scalar, Text, Timestamp

EDITED = "edited"
"""Kind of the journal's rows that say who changed which plan into which."""


class Edit(FrozenModel):
    """To which plan, to which content of it, which values, by whom, and why.

    `playbook_id` takes the other way of the plan; empty: only values are changed.
    """

    plan_id: str = Field(min_length=1)
    digest: str = Field(min_length=1)
    parameters: dict[str, Scalar] = Field(default_factory=dict, max_length=12)
    playbook_id: str = ""
    editor: str = Field(min_length=1)
    reason: str = ""


class NothingChangedError(PolicyRefusedError):
    """The values are those of the plan already."""


class NoSuchWayError(PolicyRefusedError):
    """The plan has no such other way, or it could not be run here any longer."""


def edit(deps: Deps, wanted: Edit, now: Timestamp) -> ApprovalRequest:
    """Withdraw a waiting plan and lay a new one with the edited values before people.

    Raises `ParameterError` for a value the playbook does not allow, else a `PolicyRefusedError`.
    """
    if not deps.policy.may_reject(wanted.editor):
        raise NoRightError(f"{wanted.editor!r} may not edit plans; see COPILOT_APPROVERS")
    asked = deps.store.approvals.get(wanted.plan_id)
    if asked is None:
        raise UnknownPlanError(f"no approval was asked for a plan {wanted.plan_id!r}")
    if wanted.playbook_id in ("", asked.plan.playbook_id):
        changed = _filled(deps, asked.plan, wanted.parameters, now)
        said = _difference(asked.plan.parameters, changed.parameters)
    else:
        changed = _other_way(deps, asked.plan, wanted, now)
        said = f"{asked.plan.playbook_id} -> {changed.playbook_id}"
    withdrawn = Approval(
        plan_id=asked.plan.id,
        digest=wanted.digest,
        decision="reject",
        approver=wanted.editor,
        reason=f"edited into {changed.id}: {said}",
        decided_at=now,
    )
    reason = f"{said}; {wanted.reason}" if wanted.reason.strip() else said
    detail = {
        "reason": reason,
        "replaces": asked.plan.id,
        "plan": changed.id,
        "digest": changed.digest,
    }
    with deps.store.transaction():
        request = deps.store.approvals.replace(withdrawn, changed, now)
        incident_id = asked.plan.incident_id
        deps.store.incidents.update(incident_id, now, plan=changed)
        deps.store.journal.append(incident_id, EDITED, wanted.editor, {**detail}, now)
        deps.store.runs.resume(asked.run_id, now)
    return request


def check_four_eyes(deps: Deps, approval: Approval) -> None:
    """Raise if the policy wants four eyes and the approver has edited this plan."""
    asked = deps.store.approvals.get(approval.plan_id)
    if asked is None or approval.decision != "approve" or not deps.policy.four_eyes:
        return
    for row in deps.store.journal.events(asked.plan.incident_id, limit=10_000):
        mine = row.kind == EDITED and row.detail.get("plan") == approval.plan_id
        if mine and one_person(row.by) == one_person(approval.approver):
            raise NoRightError(
                f"{approval.approver!r} edited plan {approval.plan_id!r}; with four_eyes somebody "
                "else has to approve it"
            )


def _filled(deps: Deps, plan: Plan, values: Mapping[str, Scalar], now: Timestamp) -> Plan:
    changed = _made(deps, plan, plan.playbook_id, {**plan.parameters, **values}, now)
    if changed.parameters == plan.parameters:
        raise NothingChangedError(f"plan {plan.id!r} has these values already")
    return changed


def _other_way(deps: Deps, plan: Plan, wanted: Edit, now: Timestamp) -> Plan:
    """The plan of what was shown beside this one, which then stands beside it."""
    way, book = plan.another, wanted.playbook_id
    if way is None or way.playbook_id != book:
        shown = f"what is shown beside it is {way.playbook_id!r}" if way else "none is shown"
        raise NoSuchWayError(f"plan {plan.id!r} has no other way {book!r}: {shown}")
    if book in deps.unrunnable:
        raise NoSuchWayError(f"{book!r} cannot be run here: {deps.unrunnable[book]}")
    first = AnotherWay(
        playbook_id=plan.playbook_id,
        title=Text(en=plan.title, zh=plan.title_zh or plan.title),
        risk=plan.risk,
        parameters=plan.parameters,
        why=Text(en="a person took the other way", zh="有人选择了另一种做法"),
    )
    values = {**way.parameters, **wanted.parameters}
    return _made(deps, plan.model_copy(update={"another": first}), book, values, now)


def _made(deps: Deps, plan: Plan, book: str, values: Mapping[str, object], now: Timestamp) -> Plan:
    """The plan of a playbook for the incident and component of `plan`."""
    playbook: Playbook | None = next((one for one in deps.playbooks if one.id == book), None)
    if playbook is None:
        raise UnknownPlanError(f"playbook {book!r} is no longer in the catalogue")
    causes = deps.store.incidents.require(plan.incident_id).ranking.candidates
    stays = playbook.stays(causes[0].fault_kind if causes else None)
    return fill(
        playbook,
        values,
        plan.incident_id,
        plan.component,
        plan.evidence,
        now,
        deps.limits.plan_ttl_s,
        deps.stands_for,
        plan.verification.stays if book == plan.playbook_id else stays,
        plan.another,
    )


def _difference(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {before.get(name)!r} -> {value!r}"
        for name, value in after.items()
        if before.get(name) != value
    )
