"""Run exactly one step of a plan, if what was approved is what would run, now, here."""

import math
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal, Protocol

from tools.playbook_executor.errors import (
    ApprovalError,
    DigestError,
    PlanExpiredError,
    PreconditionError,
    StepError,
)
from tools.playbook_executor.fill import digest, plan_id
from tools.playbook_executor.subject import PlaybookSubject, broken
from tools.playbook_executor.vocabulary import ArgumentsError, arguments, reads
from tools.types import (
    Approval,
    Fact,
    FrozenModel,
    Owner,
    Plan,
    PlanStep,
    RiskClass,
    StepResult,
    Timestamp,
)

Facts = Mapping[str, Fact] | Callable[[], Mapping[str, Fact]]

_CLOCK_SLACK_S = 5.0


class StepRunner(Protocol):
    """Runs one approved step on the world, a simulation, or paper."""

    def run(self, step: PlanStep, key: str) -> StepResult: ...


AUTOMATON = "policy"
"""The name that an approval by the policy itself carries; no person may bear it."""


Wish = Literal["approve", "reject"]


class ApprovalScope(FrozenModel):
    """The plans one may approve: of these classes, on services or in namespaces that fit a pattern.

    Patterns are those of a shell; without any, everywhere.

    >>> ApprovalScope(services=("shop-*",)).covers("A", {"shop-till"}, set())
    True
    >>> ApprovalScope(services=("shop-*",)).covers("A", {"shop-till", "bank"}, set())
    False
    """

    risks: frozenset[RiskClass] = frozenset({"A", "B", "C"})
    services: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()

    def covers(self, risk: RiskClass, services: Set[str], namespaces: Set[str]) -> bool:
        """Whether a plan is inside: all it touches fits, by its service or by its namespace."""
        if risk not in self.risks:
            return False
        if not (self.services or self.namespaces):
            return True
        return _all_fit(services, self.services) or _all_fit(namespaces, self.namespaces)


def _all_fit(names: Set[str], patterns: Sequence[str]) -> bool:
    """Whether there are names, and each fits a pattern: what is not known is not inside."""
    return bool(names) and all(any(fnmatchcase(n, one) for one in patterns) for n in names)


class Policy(FrozenModel):
    """Who may approve, and how many it takes.

    `accounts` says whether a person may, by a name that is theirs alone; None: there are no
    accounts, and the lists decide. `approvers` None leaves the right to the caller, who has checked
    it; an empty set lets nobody. `responders` may reject and not approve. With `automatic`, a plan
    of class A, which only reads, is approved by the policy. With `four_eyes`, whoever changed a
    plan does not approve it.
    """

    accounts: Callable[[str, Wish, Plan | None], bool | None] | None = None

    approvers: frozenset[str] | None = None
    responders: frozenset[str] = frozenset()
    needed: dict[RiskClass, int] = {"A": 1, "B": 1, "C": 2}
    automatic: bool = False
    four_eyes: bool = False

    def may_approve(self, person: str, plan: Plan | None = None) -> bool:
        """Whether this person's yes counts: to this plan, or to any."""
        known = self.accounts(person, "approve", plan) if self.accounts else None
        if known is not None:
            return known
        return self.approvers is None or person in self.approvers

    def may_reject(self, person: str) -> bool:
        """Whether this person's no counts: an approver's or a responder's."""
        known = self.accounts(person, "reject", None) if self.accounts else None
        return self.may_approve(person) or person in self.responders if known is None else known

    def approves(self, risk: RiskClass) -> bool:
        """Whether the policy itself says yes to plans of this class."""
        return self.automatic and risk == "A"


@cache
def _lookalikes() -> dict[int, str]:
    text = files("tools.playbook_executor").joinpath("confusables.toml").read_text("utf-8")
    told = {ord(one): plain for plain, all_ in tomllib.loads(text).items() for one in all_}
    return told | {ord("0"): "o", ord("1"): "l", ord("|"): "l", ord("m"): "rn"}


def one_person(name: str) -> str:
    """What names of one person have in common, however they are written: for comparing only.

    NFKC, case folding, look-alike letters as Latin ones, nothing invisible, one blank between
    words. Source: Unicode UTS #39, section 4, and its data in `confusables.toml`.

    >>> one_person("Anna") == one_person("\u0430nn\u0430 ") != one_person("Bob")
    True
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cc", "Cn"))
    folded = unicodedata.normalize("NFKC", seen).translate(_lookalikes())
    return " ".join(folded.split())


def touched_services(plan: Plan) -> frozenset[str]:
    """Services that a plan touches: its component's, and those its steps name.

    A node is nobody's service: it stands under a name that no service has.
    """
    owner = Owner.parse(plan.component)
    named = [plan.component if owner.kind == "node" else owner.service]
    for one in (*plan.steps, *plan.rollback):
        said = one.arguments
        if "service" in said:
            named.append(str(said["service"]))
        elif one.action == "kubernetes":
            kind = "" if said.get("kind") == "deployment" else f"{said.get('kind')}:"
            named.append(f"{kind}{said.get('name')}")
    return frozenset(named)


def step_key(plan: Plan, index: int, *, rollback: bool = False) -> str:
    """`incident:digest:step`: the idempotency key of one step; a roll-back step has an `r`."""
    return f"{plan.incident_id}:{plan.digest}:{'r' if rollback else ''}{index}"


def undoes(plan: Plan, results: Iterable[StepResult]) -> bool:
    """Whether a step failed after one that changed something, and the plan says to roll back then.

    Where nothing was changed there is nothing to undo: setting a value back would undo what a
    person did before.
    """
    ok = {result.key: result.ok for result in results}
    ran = [(step, ok[key]) for step in plan.steps if (key := step_key(plan, step.index)) in ok]
    changed = any(done and not reads(step) for step, done in ran)
    return plan.on_failure == "roll_back" and changed and not all(done for _, done in ran)


def check_approval(
    plan: Plan, approval: Approval | Sequence[Approval], now: Timestamp, policy: Policy
) -> None:
    """Raise a `RefusedError` unless these approvals allow this very plan to run now."""
    if digest(plan) != plan.digest or plan.id != plan_id(plan, plan.digest):
        raise DigestError(f"plan {plan.id!r} was changed after its digest was made")
    if not math.isfinite(now):
        raise PlanExpiredError(f"the clock says {now!r}")
    if now > plan.expires_at:
        raise PlanExpiredError(f"plan {plan.id!r} expired {now - plan.expires_at:.0f} s ago")
    given = (approval,) if isinstance(approval, Approval) else tuple(approval)
    for one in given:
        _check_one(plan, one, now, policy)
    approvers = {one_person(one.approver) for one in given}
    needed = policy.needed.get(plan.risk, 2)
    if len(approvers) < max(1, needed):
        problem = f"class {plan.risk} needs {needed} different approvers, got {len(approvers)}"
        raise ApprovalError(problem)


def _check_one(plan: Plan, approval: Approval, now: Timestamp, policy: Policy) -> None:
    if approval.plan_id != plan.id:
        raise ApprovalError(f"the approval is for plan {approval.plan_id!r}, not {plan.id!r}")
    if approval.digest != plan.digest:
        raise DigestError(f"digest {approval.digest[:12]!r} was approved, not {plan.digest[:12]!r}")
    if approval.decision != "approve":
        raise ApprovalError(f"{approval.approver!r} rejected the plan: {approval.reason!r}")
    if not approval.approver.strip():
        raise ApprovalError("the approval names no approver")
    by_itself = one_person(approval.approver) == one_person(AUTOMATON)
    if not (
        policy.approves(plan.risk) if by_itself else policy.may_approve(approval.approver, plan)
    ):
        raise ApprovalError(f"{approval.approver!r} has no right to approve this plan")
    decided = approval.decided_at
    # Made, then approved, then run: with the expiry above, this bounds the clock on both sides.
    early = decided < plan.created_at - _CLOCK_SLACK_S
    if not math.isfinite(decided) or early or decided > now + _CLOCK_SLACK_S:
        raise PlanExpiredError(
            f"the approval's time {decided!r} does not fit the plan and the clock"
        )


def run_step(
    plan: Plan,
    index: int,
    approval: Approval | Sequence[Approval],
    runner: StepRunner,
    now: Timestamp,
    *,
    facts: Facts | None = None,
    results: Sequence[StepResult] | None = None,
    rollback: bool = False,
    policy: Policy | None = None,
) -> StepResult:
    """Run step `index` of an approved plan through the runner, or refuse with a `RefusedError`.

    The preconditions are checked before the first step, on `facts` (keys `<fact>:<component>`, or
    a function that looks them up now): later steps see a world the earlier ones have changed.
    `results`, if given, are those of the plan so far: a step that has one is not run again, and
    the steps before it must have succeeded. `rollback` runs the step of that index of the plan's
    rollback, which was approved with it.
    """
    check_approval(plan, approval, now, policy or Policy())
    steps = plan.rollback if rollback else plan.steps
    if not 0 <= index < len(steps):
        raise StepError(f"there is no step {index!r}: the plan has {len(steps)}")
    if results is not None:
        _check_order(plan, index, results, rollback)
    if index == 0 and not rollback:
        _check_preconditions(plan, facts)
    step = steps[index]
    try:
        arguments(step)
    except ArgumentsError as error:
        raise StepError(str(error)) from error
    return runner.run(step, step_key(plan, index, rollback=rollback))


def _check_order(plan: Plan, index: int, results: Sequence[StepResult], rollback: bool) -> None:
    ran = {result.key: result.ok for result in results}
    if step_key(plan, index, rollback=rollback) in ran:
        raise StepError(f"step {index} was run before")
    for earlier in range(index):
        if not ran.get(step_key(plan, earlier, rollback=rollback), False):
            raise StepError(f"step {index} waits for step {earlier}, which has not succeeded")


def _check_preconditions(plan: Plan, facts: Facts | None) -> None:
    known = facts() if callable(facts) else (facts or {})
    subject = PlaybookSubject.of(plan.component, known)
    for condition in plan.preconditions:
        problem = broken(condition, subject.facts)
        if problem:
            raise PreconditionError(f"precondition of {plan.component!r}: {problem}")
