"""Approvals and the outbox of the store, on every database it promises to run on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from copilot.case.nodes.plan import allowed
from copilot.store import (
    AlreadyConsumedError,
    AlreadyDecidedError,
    ApprovalExpiredError,
    ApprovalRequest,
    ApprovalStatus,
    NotApprovedError,
    PolicyRefusedError,
    ReasonMissingError,
    Store,
    StoreError,
    UnknownPlanError,
    WrongDigestError,
)
from copilot.types.incident import Incident
from tools.types import Approval, Plan, StepResult

NOW = 1_700_000_000.0


def opened(store: Store, incident_id: str = "I1", at: float = NOW) -> Incident:
    incident = Incident(id=incident_id, title="cart is slow", opened_at=at, updated_at=at)
    store.incidents.open(incident)
    return incident


def plan(plan_id: str = "P1", incident_id: str = "I1", digest: str = "a" * 64) -> Plan:
    return Plan(
        id=plan_id,
        incident_id=incident_id,
        playbook_id="restart",
        title="Restart cart",
        risk="B",
        component="cart",
        steps=(),
        created_at=NOW,
        expires_at=NOW + 900,
        digest=digest,
    )


def answer(decision: str = "approve", digest: str = "a" * 64, reason: str = "") -> Approval:
    return Approval.model_validate(
        {
            "plan_id": "P1",
            "digest": digest,
            "decision": decision,
            "approver": "ann",
            "reason": reason,
            "decided_at": NOW,
        }
    )


RAN = StepResult(key=f"I1:{'a' * 64}:0", ok=True, started_at=NOW, ended_at=NOW)


@pytest.mark.parametrize(
    ("statuses", "results", "taken_up"),
    [
        pytest.param(("approved",), (), True, id="a yes nobody acted on"),
        pytest.param(("consumed",), (), True, id="a step was begun, the run does not know of it"),
        pytest.param(("consumed",), (RAN,), False, id="the run knows of its step"),
        pytest.param(("rejected",), (), False, id="a no"),
        pytest.param(("approved", "rejected"), (), False, id="an older one"),
        pytest.param((), (), False, id="nobody was asked"),
    ],
)
def test_a_run_takes_up_its_last_plan_where_it_lost_what_it_knew(
    statuses: tuple[ApprovalStatus, ...], results: tuple[StepResult, ...], taken_up: bool
) -> None:
    asked = [
        ApprovalRequest(plan=plan(), run_id="I1.1", status=one, requested_at=NOW, changed_at=NOW)
        for one in statuses
    ]
    assert allowed(asked, results) == (plan() if taken_up else None)


def test_a_plan_is_approved_once_and_used_by_one_run(store: Store) -> None:
    opened(store)
    store.approvals.request(plan(), "I1.1", NOW)
    assert [r.plan.id for r in store.approvals.pending("I1")] == ["P1"]
    decided = store.approvals.decide(answer(), NOW)
    assert decided.status == "approved"
    assert store.approvals.pending() == ()
    used = store.approvals.consume("P1", "a" * 64, "I1.1", NOW)
    assert used.status == "consumed"
    assert store.approvals.consume("P1", "a" * 64, "I1.1", NOW + 9999) == used
    with pytest.raises(AlreadyConsumedError, match=r"I1\.1"):
        store.approvals.consume("P1", "a" * 64, "I1.2", NOW)


def decide(approval: Approval, at: float = NOW) -> Callable[[Store], object]:
    return lambda store: store.approvals.decide(approval, at)


def consume(digest: str = "a" * 64, at: float = NOW) -> Callable[[Store], object]:
    return lambda store: store.approvals.consume("P1", digest, "I1.1", at)


REFUSED: dict[str, tuple[list[Callable[[Store], object]], type[PolicyRefusedError]]] = {
    "another digest": ([decide(answer(digest="b" * 64))], WrongDigestError),
    "too late": ([decide(answer(), NOW + 901)], ApprovalExpiredError),
    "a second answer": (
        [decide(answer()), decide(answer("reject", reason="no"))],
        AlreadyDecidedError,
    ),
    "a rejection without a reason": ([decide(answer("reject", reason="  "))], ReasonMissingError),
    "after it was replaced": (
        [lambda store: store.approvals.supersede("I1", NOW), decide(answer())],
        AlreadyDecidedError,
    ),
    "use of what nobody approved": ([consume()], NotApprovedError),
    "use of what was rejected": (
        [decide(answer("reject", reason="not at noon")), consume()],
        NotApprovedError,
    ),
    "use of another digest": ([decide(answer()), consume("b" * 64)], WrongDigestError),
    "use after the expiry": ([decide(answer()), consume(at=NOW + 901)], ApprovalExpiredError),
    "use after it was replaced": (
        [decide(answer()), lambda store: store.approvals.supersede("I1", NOW), consume()],
        NotApprovedError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_or_a_use_is_refused(store: Store, case: str) -> None:
    *before, last = REFUSED[case][0]
    opened(store)
    store.approvals.request(plan(), "I1.1", NOW)
    for step in before:
        step(store)
    known = store.approvals.get("P1")
    with pytest.raises(REFUSED[case][1]):
        last(store)
    assert store.approvals.get("P1") == known


def test_a_plan_nobody_asked_about_cannot_be_answered(store: Store) -> None:
    with pytest.raises(UnknownPlanError, match="P1"):
        store.approvals.decide(answer(), NOW)


def test_asking_again_for_the_same_plan_changes_nothing_and_for_another_content_is_refused(
    store: Store,
) -> None:
    opened(store)
    store.approvals.request(plan(), "I1.1", NOW)
    decided = store.approvals.decide(answer(), NOW)
    assert store.approvals.request(plan(), "I1.1", NOW + 5) == decided
    with pytest.raises(WrongDigestError):
        store.approvals.request(plan(digest="b" * 64), "I1.1", NOW)


def test_of_many_answers_at_once_one_counts(store: Store) -> None:
    opened(store)
    store.approvals.request(plan(), "I1.1", NOW)

    def try_once(number: int) -> bool:
        said = answer("approve") if number % 2 else answer("reject", reason="no")
        try:
            store.approvals.decide(said, NOW)
        except AlreadyDecidedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_once, range(16))) == 1


def test_no_answer_in_time_is_no(store: Store) -> None:
    opened(store)
    store.approvals.request(plan(), "I1.1", NOW)
    assert store.approvals.expire(NOW + 900) == ()
    assert [r.plan.id for r in store.approvals.expire(NOW + 901)] == ["P1"]
    assert store.approvals.expire(NOW + 902) == ()
    found = store.approvals.get("P1")
    assert found is not None
    assert found.approval is not None
    assert (found.status, found.approval.approver) == ("rejected", "nobody")


def test_a_finished_step_is_never_begun_again(store: Store) -> None:
    done = StepResult(key="I1:d:0", ok=True, output="restarted", started_at=NOW, ended_at=NOW + 3)
    assert store.outbox.begin("I1:d:0", "step", {"n": 1}, NOW) is None
    assert [intent.key for intent in store.outbox.unfinished()] == ["I1:d:0"]
    assert store.outbox.begin("I1:d:0", "step", {"n": 1}, NOW + 1) is None
    assert store.outbox.finish("I1:d:0", done, NOW + 3) == done
    assert store.outbox.begin("I1:d:0", "step", {"n": 1}, NOW + 9) == done
    assert store.outbox.unfinished() == ()
    late = done.model_copy(update={"output": "restarted again"})
    assert store.outbox.finish("I1:d:0", late, NOW + 9) == done


def test_a_key_stands_for_one_side_effect(store: Store) -> None:
    store.outbox.begin("k", "step", {"n": 1}, NOW)
    with pytest.raises(StoreError, match="something else"):
        store.outbox.begin("k", "step", {"n": 2}, NOW)
    result = StepResult(key="j", ok=True, started_at=NOW, ended_at=NOW)
    with pytest.raises(StoreError, match="never begun"):
        store.outbox.finish("j", result, NOW)


def test_a_risky_plan_waits_for_a_second_person(store: Store) -> None:
    opened(store)
    store.approvals.request(plan(), "R1", NOW)
    assert store.approvals.decide(answer(), NOW, needed=2).status == "pending"
    with pytest.raises(AlreadyDecidedError, match="needs another person"):
        store.approvals.decide(answer(), NOW, needed=2)
    bob = answer().model_copy(update={"approver": "bob"})
    second = store.approvals.decide(bob, NOW, needed=2)
    assert second.status == "approved"
    assert [one.approver for one in second.given] == ["ann", "bob"]


@pytest.mark.parametrize("again", ["Anna", "\u0430nna", "\uff41\uff4e\uff4e\uff41", "anna "])
def test_one_person_of_two_spellings_is_not_two(store: Store, again: str) -> None:
    opened(store)
    store.approvals.request(plan(), "R1", NOW)
    anna, spelt = (answer().model_copy(update={"approver": name}) for name in ("anna", again))
    store.approvals.decide(anna, NOW, needed=2)
    with pytest.raises(AlreadyDecidedError, match="needs another person"):
        store.approvals.decide(spelt, NOW, needed=2)


def test_one_rejection_decides_whoever_approved_before(store: Store) -> None:
    opened(store)
    store.approvals.request(plan(), "R1", NOW)
    store.approvals.decide(answer(), NOW, needed=2)
    no = answer("reject", reason="not now").model_copy(update={"approver": "bob"})
    assert store.approvals.decide(no, NOW, needed=2).status == "rejected"
