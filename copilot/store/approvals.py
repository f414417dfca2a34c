"""Approvals: a person's answer to one digest, taken once, by compare-and-set.

Who may decide: docs/decisions/rights.md.
"""

from typing import Literal

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, RowMapping, select, update

from copilot.store.canonical import document
from copilot.store.database import Database
from copilot.store.tables import approvals
from copilot.types.errors import OperatorError
from tools.playbook_executor import one_person
from tools.types import Approval, FrozenModel, Plan, Timestamp

ApprovalStatus = Literal[
    "pending",  # nobody answered yet; no answer is no
    "approved",
    "rejected",
    "consumed",  # approved, and the executor began: it cannot be used by another run
    "superseded",  # the plan was replaced before anybody answered
]


class PolicyRefusedError(OperatorError):
    """Policy says no. The message tells a person why."""


class UnknownPlanError(PolicyRefusedError):
    """No approval was ever asked for this plan."""


class WrongDigestError(PolicyRefusedError):
    """What was approved or is to be run is not the plan that was shown."""


class ApprovalExpiredError(PolicyRefusedError):
    """The plan was too old to decide on or to run."""


class AlreadyDecidedError(PolicyRefusedError):
    """Somebody answered before, or the plan was replaced."""


class ReasonMissingError(PolicyRefusedError):
    """A rejection says why."""


class NoRightError(PolicyRefusedError):
    """This person may not approve."""


class NotApprovedError(PolicyRefusedError):
    """Nobody approved the plan that is to be run."""


class AlreadyConsumedError(PolicyRefusedError):
    """Another run used this approval."""


_GIVEN = TypeAdapter(tuple[Approval, ...])


class ApprovalRequest(FrozenModel):
    """A plan laid before a person, and what became of it."""

    plan: Plan
    run_id: str
    status: ApprovalStatus
    requested_at: Timestamp
    changed_at: Timestamp
    given: tuple[Approval, ...] = ()  # the answers so far; a risky plan needs more than one
    consumed_by: str = ""

    @property
    def approval(self) -> Approval | None:
        """The last answer."""
        return self.given[-1] if self.given else None


class Approvals:
    """Who allowed what: deny by default, one answer per plan, one use per answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, plan: Plan, run_id: str, now: Timestamp) -> ApprovalRequest:
        """Lay a plan before a person; asking again with the same digest changes nothing.

        One that was withdrawn unused is asked anew: an incident that goes on may need it again.
        """
        row = {
            "plan_id": plan.id,
            "incident_id": plan.incident_id,
            "run_id": run_id,
            "digest": plan.digest,
            "status": "pending",
            "requested_at": now,
            "changed_at": now,
            "expires_at": plan.expires_at,
            "plan": document(plan),
        }
        with self._database.write() as connection:
            connection.execute(self._database.insert(approvals).on_conflict_do_nothing(), [row])
            found = _known(connection, plan.id)
            _check_digest(found.plan, plan.digest)
            if found.status != "superseded":
                return found
            connection.execute(
                update(approvals)
                .where(approvals.c.plan_id == plan.id, approvals.c.status == "superseded")
                .values({**row, "given": ""})
            )
            return _known(connection, plan.id)

    def get(self, plan_id: str) -> ApprovalRequest | None:
        """The request for a plan, decided or not."""
        with self._database.read() as connection:
            return _read(connection, plan_id)

    def pending(self, incident_id: str | None = None) -> tuple[ApprovalRequest, ...]:
        """What waits for a person, oldest first; expired ones too, since nobody answered them."""
        where: ColumnElement[bool] = approvals.c.status == "pending"
        if incident_id is not None:
            where = where & (approvals.c.incident_id == incident_id)
        query = select(approvals).where(where).order_by(approvals.c.requested_at)
        with self._database.read() as connection:
            return tuple(_request(row._mapping) for row in connection.execute(query))

    def of(self, incident_id: str) -> tuple[ApprovalRequest, ...]:
        """Every plan ever laid before a person for this incident, oldest first."""
        where = approvals.c.incident_id == incident_id
        query = select(approvals).where(where).order_by(approvals.c.requested_at)
        with self._database.read() as connection:
            return tuple(_request(row._mapping) for row in connection.execute(query))

    def expire(self, now: Timestamp) -> tuple[ApprovalRequest, ...]:
        """No answer is no: reject what nobody answered in time; returns what expired just now."""
        expired = []
        with self._database.write() as connection:
            late = (approvals.c.status == "pending") & (approvals.c.expires_at < now)
            for row in connection.execute(select(approvals).where(late).with_for_update()).all():
                found = _request(row._mapping)
                approval = Approval(
                    plan_id=found.plan.id,
                    digest=found.plan.digest,
                    decision="reject",
                    approver="nobody",
                    reason="no answer before the plan expired",
                    decided_at=now,
                )
                connection.execute(
                    update(approvals)
                    .where(approvals.c.plan_id == found.plan.id)
                    .values(
                        status="rejected", changed_at=now, given=_written((*found.given, approval))
                    )
                )
                expired.append(found)
        return tuple(expired)

    def decide(self, approval: Approval, now: Timestamp, needed: int = 1) -> ApprovalRequest:
        """Record an answer; raises a `PolicyRefusedError` that says why it does not count.

        One rejection decides. A plan is approved when `needed` different people approved it;
        until then it stays pending.
        """
        with self._database.write() as connection:
            found = _known(connection, approval.plan_id)
            _check_digest(found.plan, approval.digest)
            _check_open(found, approval, now)
            given = (*found.given, approval)
            statement = (
                update(approvals)
                .where(
                    approvals.c.plan_id == approval.plan_id,
                    approvals.c.status == "pending",
                    approvals.c.given == _written(found.given),
                )
                .values(
                    status=_status_after(approval, len(given), needed),
                    changed_at=now,
                    given=_written(given),
                )
            )
            if connection.execute(statement).rowcount != 1:
                raise AlreadyDecidedError(f"plan {approval.plan_id!r} was decided meanwhile")
            return _known(connection, approval.plan_id)

    def replace(self, withdrawn: Approval, plan: Plan, now: Timestamp) -> ApprovalRequest:
        """Lay another plan before people in place of one that waits; `withdrawn` says why."""
        with self._database.write() as connection:
            found = _known(connection, withdrawn.plan_id)
            _check_digest(found.plan, withdrawn.digest)
            if found.status != "pending":
                raise AlreadyDecidedError(f"plan {found.plan.id!r} is {found.status} already")
            if now > found.plan.expires_at:
                raise ApprovalExpiredError(
                    f"plan {found.plan.id!r} expired; nothing of it can be edited"
                )
            given = _written((*found.given, withdrawn))
            connection.execute(
                update(approvals)
                .where(approvals.c.plan_id == found.plan.id)
                .values(status="superseded", changed_at=now, given=given)
            )
            return self.request(plan, found.run_id, now)

    def consume(self, plan_id: str, digest: str, run_id: str, now: Timestamp) -> ApprovalRequest:
        """Use an approval, once: the same run may ask again after a crash, no other run may."""
        with self._database.write() as connection:
            found = _known(connection, plan_id)
            _check_digest(found.plan, digest)
            if found.status == "consumed" and found.consumed_by == run_id:
                return found
            _check_usable(found, now)
            unused = (approvals.c.plan_id == plan_id) & (approvals.c.status == "approved")
            statement = (
                update(approvals)
                .where(unused)
                .values(status="consumed", changed_at=now, consumed_by=run_id)
            )
            if connection.execute(statement).rowcount != 1:
                raise AlreadyConsumedError(f"the approval of plan {plan_id!r} was used meanwhile")
            return _known(connection, plan_id)

    def supersede(self, incident_id: str, now: Timestamp) -> int:
        """Withdraw what was asked and not used of an incident; returns how many plans it were."""
        unused = approvals.c.status.in_(("pending", "approved"))
        statement = (
            update(approvals)
            .where(approvals.c.incident_id == incident_id, unused)
            .values(status="superseded", changed_at=now)
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount


def _status_after(approval: Approval, given: int, needed: int) -> ApprovalStatus:
    if approval.decision == "reject":
        return "rejected"
    return "approved" if given >= needed else "pending"


def _written(given: tuple[Approval, ...]) -> str:
    return f"[{','.join(map(document, given))}]" if given else ""


def _check_digest(plan: Plan, digest: str) -> None:
    if plan.digest != digest:
        raise WrongDigestError(
            f"digest {digest!r} is not that of plan {plan.id!r} ({plan.digest}); "
            "look at the plan again before you decide"
        )


def _check_open(found: ApprovalRequest, approval: Approval, now: Timestamp) -> None:
    plan = found.plan
    if found.status == "superseded":
        raise AlreadyDecidedError(f"plan {plan.id!r} was replaced; decide on the current one")
    if found.status != "pending":
        by = found.approval.approver if found.approval else "somebody"
        raise AlreadyDecidedError(f"plan {plan.id!r} was {found.status} before, by {by!r}")
    if now > plan.expires_at:
        raise ApprovalExpiredError(f"plan {plan.id!r} expired {now - plan.expires_at:.0f} s ago")
    if one_person(approval.approver) in {one_person(one.approver) for one in found.given}:
        raise AlreadyDecidedError(
            f"{approval.approver!r} approved plan {plan.id!r} already; it needs another person"
        )
    if approval.decision == "reject" and not approval.reason.strip():
        raise ReasonMissingError(f"say why plan {plan.id!r} is rejected: `reason` is empty")


def _check_usable(found: ApprovalRequest, now: Timestamp) -> None:
    plan = found.plan
    if found.status == "consumed":
        raise AlreadyConsumedError(
            f"the approval of plan {plan.id!r} was used by run {found.consumed_by!r}"
        )
    if found.status != "approved":
        raise NotApprovedError(f"plan {plan.id!r} is {found.status}; nobody approved it")
    if now > plan.expires_at:
        raise ApprovalExpiredError(f"the approval of plan {plan.id!r} expired")


def _known(connection: Connection, plan_id: str) -> ApprovalRequest:
    found = _read(connection, plan_id, lock=True)
    if found is None:
        raise UnknownPlanError(f"no approval was asked for a plan {plan_id!r}")
    return found


def _read(connection: Connection, plan_id: str, *, lock: bool = False) -> ApprovalRequest | None:
    query = select(approvals).where(approvals.c.plan_id == plan_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _request(row._mapping)


def _request(row: RowMapping) -> ApprovalRequest:
    return ApprovalRequest(
        plan=Plan.model_validate_json(row["plan"]),
        run_id=row["run_id"],
        status=row["status"],
        requested_at=row["requested_at"],
        changed_at=row["changed_at"],
        given=_GIVEN.validate_json(row["given"] or "[]"),
        consumed_by=row["consumed_by"],
    )
