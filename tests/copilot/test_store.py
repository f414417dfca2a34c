"""The store, on every database it promises to run on."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.incident import Incident, IncidentStatus
from copilot.store import (
    AlreadyConsumedError,
    AlreadyDecidedError,
    ExpiredError,
    LeaseLostError,
    NotApprovedError,
    ReasonMissingError,
    RefusedError,
    Store,
    StoreError,
    UnknownIncidentError,
    UnknownPlanError,
    WrongDigestError,
)
from tools.types import Alert, AlertStatus, Approval, Plan, StepResult

NOW = 1_700_000_000.0


def alert(name: str, starts_at: float = NOW - 60, status: AlertStatus = "firing") -> Alert:
    return Alert(fingerprint=name, name=name, status=status, starts_at=starts_at, service="cart")


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


# --- alerts ------------------------------------------------------------------------------------


def test_a_delivery_is_written_once_however_often_it_comes(store: Store) -> None:
    first = store.alerts.accept([alert("a"), alert("b")], NOW)
    again = store.alerts.accept([alert("b"), alert("a"), alert("c"), alert("c")], NOW + 5)
    assert [row.alert.name for row in first.new] == ["a", "b"]
    assert [row.alert.name for row in again.new] == ["c"]
    assert again.repeated == 3
    assert [row.alert.name for row in store.alerts.unassigned()] == ["a", "b", "c"]


def test_the_end_of_an_alert_is_news_and_the_same_end_again_is_not(store: Store) -> None:
    store.alerts.accept([alert("a")], NOW)
    ended = store.alerts.accept([alert("a", status="resolved")], NOW)
    assert [row.alert.status for row in ended.resolved] == ["resolved"]
    assert store.alerts.accept([alert("a", status="resolved")], NOW + 1).repeated == 1


def test_an_alert_that_gives_no_start_continues_the_one_that_is_open(store: Store) -> None:
    store.alerts.accept([alert("a", starts_at=NOW)], NOW)
    assert store.alerts.accept([alert("a", starts_at=NOW + 60)], NOW + 60).repeated == 1
    ended = store.alerts.accept([alert("a", NOW + 90, "resolved")], NOW + 90)
    assert ended.resolved[0].alert.starts_at == NOW
    fired_again = store.alerts.accept([alert("a", starts_at=NOW + 120)], NOW + 120)
    assert [row.alert.starts_at for row in fired_again.new] == [NOW + 120]


def test_an_alert_without_a_start_is_new_again_once_its_incident_is_closed(store: Store) -> None:
    key = store.alerts.accept([alert("a", starts_at=NOW)], NOW).new[0].key
    opened(store)
    store.alerts.assign([key], "I1", "first of its kind", "opened", NOW)
    store.incidents.update("I1", NOW, status="recovered")
    assert len(store.alerts.accept([alert("a", starts_at=NOW + 60)], NOW + 60).new) == 1


def test_an_end_with_another_start_ends_the_alert_that_is_open(store: Store) -> None:
    store.alerts.accept([alert("a", starts_at=NOW - 60)], NOW)
    ended = store.alerts.accept([alert("a", NOW - 1, "resolved")], NOW)
    assert ended.resolved[0].alert.starts_at == NOW - 60


def test_each_decision_is_kept_with_its_reason_and_suppressed_alerts_do_not_count(
    store: Store,
) -> None:
    opened(store)
    rows = store.alerts.accept([alert("a"), alert("b"), alert("c"), alert("d")], NOW).new
    store.alerts.assign([rows[0].key], "I1", "first", "opened", NOW)
    store.alerts.assign([rows[1].key], "I1", "caused by a", "inhibited", NOW)
    store.alerts.assign([rows[2].key], None, "maintenance", "silenced", NOW)
    assert [a.name for a in store.alerts.of("I1")] == ["a"]
    assert [(r.alert.name, r.reason) for r in store.alerts.decisions("I1")] == [
        ("a", "first"),
        ("b", "caused by a"),
    ]
    assert [r.reason for r in store.alerts.decisions(None)] == ["maintenance"]
    assert [r.alert.name for r in store.alerts.unassigned()] == ["d"]


def test_one_delivery_of_many_alerts_is_all_or_nothing(store: Store) -> None:
    def breaks() -> None:
        with store.transaction():
            store.alerts.accept([alert(f"a{n}") for n in range(2000)], NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert store.alerts.unassigned() == ()


def test_concurrent_deliveries_of_the_same_alerts_write_each_once(store: Store) -> None:
    batch = [alert(f"a{n}") for n in range(50)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store.alerts.accept(batch, NOW), range(16)))
    assert sum(len(result.new) for result in results) == 50
    assert sum(result.repeated for result in results) == 15 * 50
    assert len(store.alerts.unassigned()) == 50


# --- incidents ---------------------------------------------------------------------------------


def test_incidents_are_listed_newest_first_page_by_page(store: Store) -> None:
    for number in range(5):
        opened(store, f"I{number}", NOW + number // 2)
    first = store.incidents.list(limit=2)
    rest = store.incidents.list(limit=9, before=first[-1].id)
    assert [i.id for i in (*first, *rest)] == ["I4", "I3", "I2", "I1", "I0"]
    with pytest.raises(UnknownIncidentError):
        store.incidents.list(before="nobody")


def test_an_update_changes_only_its_fields_and_is_validated(store: Store) -> None:
    opened(store)
    changed = store.incidents.update("I1", NOW + 1, status="acting", title="cart is down")
    assert (changed.status, changed.title, changed.updated_at) == (
        "acting",
        "cart is down",
        NOW + 1,
    )
    assert store.incidents.get("I1") == changed
    with pytest.raises(ValueError, match="status"):
        store.incidents.update("I1", NOW, status="sleeping")
    assert store.incidents.get("I1") == changed
    with pytest.raises(UnknownIncidentError):
        store.incidents.update("I2", NOW, title="no such")


def test_closed_incidents_are_not_active(store: Store) -> None:
    statuses: Sequence[IncidentStatus] = ("investigating", "recovered", "resolved", "handed_over")
    for number, status in enumerate(statuses):
        opened(store, status, NOW + number)
        store.incidents.update(status, NOW, status=status)
    assert [i.id for i in store.incidents.active()] == ["handed_over", "investigating"]
    assert [i.id for i in store.incidents.list(status="recovered")] == ["recovered"]
    assert store.incidents.count() == dict.fromkeys(statuses, 1)


def test_concurrent_updates_of_different_fields_are_both_kept(store: Store) -> None:
    opened(store)
    fields: list[dict[str, object]] = [
        {"title": "t"}, {"severity": "critical"}, {"services": ("a",)}, {"status": "acting"}
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda f: store.incidents.update("I1", NOW, **f), fields))
    found = store.incidents.require("I1")
    assert (found.title, found.severity, found.services, found.status) == (
        "t", "critical", ("a",), "acting"
    )  # fmt: skip


# --- runs --------------------------------------------------------------------------------------


def test_a_run_goes_to_one_worker_and_back_when_that_one_falls_silent(store: Store) -> None:
    opened(store)
    run = store.runs.accept("I1", NOW)
    claimed = store.runs.claim("w1", NOW, lease_s=60)
    assert claimed is not None
    assert (claimed.id, claimed.status, claimed.attempt) == (run.id, "running", 1)
    assert store.runs.claim("w2", NOW + 59, 60) is None
    store.runs.heartbeat(run.id, "w1", NOW + 59, 60)
    assert store.runs.claim("w2", NOW + 100, 60) is None
    taken = store.runs.claim("w2", NOW + 120, 60)
    assert taken is not None
    assert (taken.id, taken.owner, taken.attempt) == (run.id, "w2", 2)
    with pytest.raises(LeaseLostError):
        store.runs.heartbeat(run.id, "w1", NOW + 121, 60)
    with pytest.raises(LeaseLostError):
        store.runs.finish(run.id, "done", NOW + 121, owner="w1")
    store.runs.finish(run.id, "done", NOW + 122, owner="w2")
    assert store.runs.claim("w1", NOW + 999, 60) is None


def test_an_incident_never_has_two_running_runs(store: Store) -> None:
    for incident_id in ("I1", "I2"):
        opened(store, incident_id)
        for _ in range(3):
            store.runs.accept(incident_id, NOW)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: store.runs.claim(f"w{n}", NOW, 60), range(16)))
    taken = [claim for claim in claims if claim is not None]
    assert sorted(claim.incident_id for claim in taken) == ["I1", "I2"]
    assert len({claim.id for claim in taken}) == 2


def test_a_waiting_run_is_taken_up_only_after_it_was_resumed(store: Store) -> None:
    opened(store)
    run = store.runs.accept("I1", NOW)
    store.runs.claim("w", NOW, 60)
    store.runs.finish(run.id, "waiting", NOW, owner="w")
    assert store.runs.claim("w", NOW + 999, 60) is None
    assert store.runs.resume(run.id, NOW)
    assert not store.runs.resume(run.id, NOW)
    claimed = store.runs.claim("w", NOW, 60)
    assert claimed is not None
    assert claimed.id == run.id


def test_a_worker_that_leaves_hands_its_runs_back(store: Store) -> None:
    opened(store)
    run = store.runs.accept("I1", NOW)
    store.runs.claim("w1", NOW, 60)
    assert store.runs.recoverable(NOW) == ()
    assert store.runs.release_all("w1", NOW) == 1
    assert [r.id for r in store.runs.recoverable(NOW)] == [run.id]
    assert store.runs.get(run.id) == store.runs.of("I1")[0]


def test_a_run_needs_its_incident_and_a_failure_keeps_its_reason(store: Store) -> None:
    with pytest.raises(UnknownIncidentError):
        store.runs.accept("I9", NOW)
    opened(store)
    run = store.runs.accept("I1", NOW)
    store.runs.finish(run.id, "failed", NOW, error="disk full")
    assert store.runs.of("I1")[0].error == "disk full"
    with pytest.raises(StoreError, match="no run"):
        store.runs.finish("I1.99", "done", NOW)


# --- approvals ---------------------------------------------------------------------------------


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


REFUSED: dict[str, tuple[list[Callable[[Store], object]], type[RefusedError]]] = {
    "another digest": ([decide(answer(digest="b" * 64))], WrongDigestError),
    "too late": ([decide(answer(), NOW + 901)], ExpiredError),
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
    "use after the expiry": ([decide(answer()), consume(at=NOW + 901)], ExpiredError),
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


# --- outbox ------------------------------------------------------------------------------------


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


# --- the whole ---------------------------------------------------------------------------------


def test_a_transaction_keeps_an_incident_and_its_journal_row_together(store: Store) -> None:
    opened(store)

    def breaks() -> None:
        with store.transaction():
            store.incidents.update("I1", NOW, status="acting")
            store.journal.append("I1", "acting", "ann", {}, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert store.incidents.require("I1").status == "investigating"
    assert store.journal.events() == ()
    with store.transaction():
        store.incidents.update("I1", NOW, status="acting")
        store.journal.append("I1", "acting", "ann", {}, NOW)
    assert store.incidents.require("I1").status == "acting"
    assert len(store.journal.events("I1")) == 1


def test_another_thread_sees_a_transaction_only_when_it_is_over(store: Store) -> None:
    opened(store)
    seen: list[str] = []

    def look() -> None:
        seen.append(store.incidents.require("I1").status)

    with store.transaction():
        store.incidents.update("I1", NOW, status="acting")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        look()
    look()
    assert seen == ["investigating", "acting", "acting"]


def test_a_store_that_is_opened_again_has_everything(store: Store, database_url: str) -> None:
    opened(store)
    store.alerts.accept([alert("a")], NOW)
    store.runs.accept("I1", NOW)
    store.close()
    again = Store(database_url)
    again.create()
    assert again.incidents.get("I1") is not None
    assert len(again.alerts.unassigned()) == 1
    assert len(again.runs.recoverable(NOW)) == 1
    again.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "not a database URL"),
        ("mysql://h/x", "not supported"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
    ],
)
def test_a_url_that_cannot_hold_a_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        Store(url)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Store(f"sqlite:///{path}")
    store.create()
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    with pytest.raises(StoreError, match="version 99"):
        store.create()
    store.close()


def test_a_database_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'nowhere' / 'store.sqlite'}")
    with pytest.raises(StoreError, match="nowhere"):
        store.create()
    store.close()


KILLED = """
import os, sys
from copilot.store import Store
from tools.types import Alert
store = Store(sys.argv[1])
for n in range(10_000):
    batch = [Alert(fingerprint=f"{n}-{k}", name="x", starts_at=1.0) for k in range(7)]
    store.alerts.accept(batch, 2.0)
    print(n, flush=True)
"""


def test_what_was_answered_for_survives_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    store = Store(url)
    store.create()
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True, cwd=root
    )
    with child:
        assert child.stdout is not None
        answered = [int(line) for line, _ in zip(child.stdout, range(20), strict=False)]
        child.kill()
        answered += [int(line) for line in child.stdout if line.strip().isdigit()]
    kept = [row.alert.fingerprint for row in store.alerts.unassigned(limit=1_000_000)]
    store.close()
    batches = max(answered) + 1
    assert len(kept) % 7 == 0
    assert len(kept) in (batches * 7, (batches + 1) * 7)


@settings(max_examples=25, deadline=None)
@given(
    deliveries=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.sampled_from((NOW - 60, NOW - 30)),
                st.sampled_from(("firing", "resolved", "acknowledged", "no_data")),
            ),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_what_the_inbox_says_of_deliveries_adds_up(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[list[tuple[str, float, str]]]
) -> None:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('inbox') / 'store.sqlite'}")
    store.create()
    written = 0
    for delivery in deliveries:
        batch = [alert(n, at, cast("AlertStatus", status)) for n, at, status in delivery]
        accepted = store.alerts.accept(batch, NOW)
        news = len(accepted.new) + len(accepted.resolved)
        assert news + accepted.repeated == len(batch)
        again = store.alerts.accept(batch, NOW + 1)
        assert (again.new, again.resolved, again.repeated) == ((), (), len(batch))
        written += news
    kept = store.alerts.unassigned(limit=1000)
    assert len(kept) == written
    assert len({(r.alert.fingerprint, r.alert.starts_at, r.alert.status) for r in kept}) == written
    store.close()
