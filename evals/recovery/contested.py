"""Approvals asked of the store by those who must not have them, and by several at once."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from copilot.store import (
    AlreadyConsumedError,
    AlreadyDecidedError,
    ApprovalExpiredError,
    NotApprovedError,
    PolicyRefusedError,
    ReasonMissingError,
    Store,
    UnknownPlanError,
    WrongDigestError,
)
from copilot.types.incident import Incident
from evals.recovery.attack import NOW, Attack, Recorder
from evals.recovery.forged import FACTS, approval, scale_out
from evals.recovery.hostile import filled
from tools.playbook_executor import ApprovalError, Policy, run_step
from tools.types import Approval, Plan

LATE = NOW + 10_000.0
RACERS = 4

StoreAttempt = Callable[[Store], object]


def _approved(store: Store) -> Store:
    store.approvals.decide(approval(scale_out()), NOW + 10)
    return store


ON_THE_STORE: dict[str, tuple[StoreAttempt, type[PolicyRefusedError]]] = {
    "executed before anybody answered": (
        lambda store: store.approvals.consume(scale_out().id, scale_out().digest, "run-1", NOW),
        NotApprovedError,
    ),
    "executed after a rejection": (
        lambda store: (
            store.approvals.decide(approval(scale_out(), decision="reject", reason="no"), NOW),
            store.approvals.consume(scale_out().id, scale_out().digest, "run-1", NOW),
        ),
        NotApprovedError,
    ),
    "executed with another digest": (
        lambda store: _approved(store).approvals.consume(
            scale_out().id, scale_out("inc-2").digest, "run-1", NOW
        ),
        WrongDigestError,
    ),
    "executed long after": (
        lambda store: _approved(store).approvals.consume(
            scale_out().id, scale_out().digest, "run-1", LATE
        ),
        ApprovalExpiredError,
    ),
    "replayed by another run": (
        lambda store: (
            _approved(store).approvals.consume(
                scale_out().id, scale_out().digest, "run-1", NOW + 20
            ),
            store.approvals.consume(scale_out().id, scale_out().digest, "run-2", NOW + 20),
        ),
        AlreadyConsumedError,
    ),
    "executed after it was withdrawn": (
        lambda store: (
            _approved(store).approvals.supersede(scale_out().incident_id, NOW + 15),
            store.approvals.consume(scale_out().id, scale_out().digest, "run-1", NOW + 20),
        ),
        NotApprovedError,
    ),
    "a plan nobody was asked about": (
        lambda store: store.approvals.consume("restart-000000000000", "", "run-1", NOW),
        UnknownPlanError,
    ),
    "approved with the digest of another incident": (
        lambda store: store.approvals.decide(
            approval(scale_out(), digest=scale_out("inc-2").digest), NOW
        ),
        WrongDigestError,
    ),
    "approved too late": (
        lambda store: store.approvals.decide(approval(scale_out()), LATE),
        ApprovalExpiredError,
    ),
    "approved after a rejection": (
        lambda store: [
            store.approvals.decide(one, NOW)
            for one in (
                approval(scale_out(), decision="reject", reason="no"),
                approval(scale_out(), approver="bob"),
            )
        ],
        AlreadyDecidedError,
    ),
    "one person as two": (
        lambda store: [
            store.approvals.decide(approval(scale_out()), NOW, needed=2) for _ in range(2)
        ],
        AlreadyDecidedError,
    ),
    "rejected without a reason": (
        lambda store: store.approvals.decide(approval(scale_out(), decision="reject"), NOW),
        ReasonMissingError,
    ),
    "another plan under the same name": (
        lambda store: store.approvals.request(
            scale_out().model_copy(update={"digest": scale_out("inc-2").digest}), "run-2", NOW
        ),
        WrongDigestError,
    ),
}


def _without_the_right() -> dict[str, tuple[Plan, list[Approval], Policy]]:
    good, disruptive = scale_out(), filled("clean-disk", {"service": "cart", "days": 8})
    return {
        "approver without the right": (
            good,
            [approval(good)],
            Policy(approvers=frozenset({"bob"})),
        ),
        "nobody has the right": (good, [approval(good)], Policy(approvers=frozenset())),
        "right of another spelling": (good, [approval(good)], Policy(approvers=frozenset({"Ann"}))),
        "class C by one person": (disruptive, [approval(disruptive)], Policy()),
        "class C by one person twice": (disruptive, [approval(disruptive)] * 2, Policy()),
        "class C by one person in two spellings": (
            disruptive,
            [approval(disruptive), approval(disruptive, approver=" ANN ")],
            Policy(),
        ),
        "class C, the second says no": (
            disruptive,
            [
                approval(disruptive),
                approval(disruptive, approver="bob", decision="reject", reason="no"),
            ],
            Policy(),
        ),
    }


def contested_attacks() -> Iterator[Attack]:
    """One for each row of both tables, and the race."""
    for name, (ask, refusal) in ON_THE_STORE.items():
        yield Attack(name, _asked(ask), refusal)
    for name, (plan, given, policy) in _without_the_right().items():
        yield Attack(name, _step(plan, given, policy), ApprovalError)
    yield Attack("several executors at once", _race, AlreadyConsumedError)


def _asked(ask: StoreAttempt) -> Callable[[Recorder], object]:
    return lambda _: _with_store(ask)


def _step(plan: Plan, given: list[Approval], policy: Policy) -> Callable[[Recorder], object]:
    return lambda runner: run_step(plan, 0, given, runner, NOW + 20, facts=FACTS, policy=policy)


def _race(runner: Recorder) -> None:
    """Exactly one of several gets the approval; a second one that got it would reach the runner."""
    won = _with_store(_together)
    if not isinstance(won, list) or len(won) != 1:
        runner.ran.append(f"executors that got the approval: {won!r}")
    raise AlreadyConsumedError(f"all but {won!r} were refused")


def _together(store: Store) -> list[str]:
    line, runs = Barrier(RACERS), [f"run-{number}" for number in range(RACERS)]
    _approved(store)

    def consumed(run: str) -> bool:
        line.wait()
        try:
            store.approvals.consume(scale_out().id, scale_out().digest, run, NOW + 20)
        except AlreadyConsumedError:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        return [run for run, got in zip(runs, pool.map(consumed, runs), strict=True) if got]


def _with_store(ask: StoreAttempt) -> object:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'store.sqlite'}")
        store.create()
        try:
            for plan in (scale_out(), scale_out("inc-2")):
                incident = Incident(id=plan.incident_id, title="t", opened_at=NOW, updated_at=NOW)
                store.incidents.open(incident)
                store.approvals.request(plan, "run-1", NOW)
            return ask(store)
        finally:
            store.close()
