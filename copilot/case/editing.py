"""A person changes the values of a plan that waits: another plan, with a digest of its own."""

from collections.abc import Mapping

from pydantic import Field

from copilot.deps import Deps
from copilot.store import ApprovalRequest, NoRightError, PolicyRefusedError, UnknownPlanError
from tools.playbook_executor import fill, one_person
from tools.types import Approval, FrozenModel, Plan, Playbook, Scalar, Timestamp

EDITED = "edited"
"""Kind of the journal's rows that say who changed which plan into which."""


class Edit(FrozenModel):
    """To which plan, to which content of it, which values, by whom, and why."""

    plan_id: str = Field(min_length=1)
    digest: str = Field(min_length=1)
    parameters: dict[str, Scalar] = Field(min_length=1, max_length=12)
    editor: str = Field(min_length=1)
    reason: str = ""


class NothingChangedError(PolicyRefusedError):
    """The values are those of the plan already."""


def edit(deps: Deps, wanted: Edit, now: Timestamp) -> ApprovalRequest:
    """Withdraw a waiting plan and lay a new one with the edited values before people.

    Raises `ParameterError` for a value the playbook does not allow, else a `PolicyRefusedError`.
    """
    if not deps.policy.may_reject(wanted.editor):
        raise NoRightError(f"{wanted.editor!r} may not edit plans; see COPILOT_APPROVERS")
    asked = deps.store.approvals.get(wanted.plan_id)
    if asked is None:
        raise UnknownPlanError(f"no approval was asked for a plan {wanted.plan_id!r}")
    changed = _filled(deps, asked.plan, wanted.parameters, now)
    said = _difference(asked.plan.parameters, changed.parameters)
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
    playbook: Playbook | None = next(
        (one for one in deps.playbooks if one.id == plan.playbook_id), None
    )
    if playbook is None:
        raise UnknownPlanError(f"playbook {plan.playbook_id!r} is no longer in the catalogue")
    changed = fill(
        playbook,
        {**plan.parameters, **values},
        plan.incident_id,
        plan.component,
        plan.evidence,
        now,
        deps.limits.plan_ttl_s,
        deps.stands_for,
        plan.verification.stays,
    )
    if changed.parameters == plan.parameters:
        raise NothingChangedError(f"plan {plan.id!r} has these values already")
    return changed


def _difference(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {before.get(name)!r} -> {value!r}"
        for name, value in after.items()
        if before.get(name) != value
    )
