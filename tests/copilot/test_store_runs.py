"""Incidents and their runs in the store, on every database it promises to run on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from copilot.store import (
    LeaseLostError,
    Store,
    StoreError,
    UnknownIncidentError,
)
from copilot.types.incident import Incident, IncidentStatus
from tools.types import Evidence, Window

NOW = 1_700_000_000.0


def opened(store: Store, incident_id: str = "I1", at: float = NOW) -> Incident:
    incident = Incident(id=incident_id, title="cart is slow", opened_at=at, updated_at=at)
    store.incidents.open(incident)
    return incident


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
    (held,) = store.runs.held("w1")
    store.runs.postpone(held, 0.0, NOW)
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


def test_writers_that_meet_in_opposite_order_do_not_deadlock(store: Store) -> None:
    opened(store)

    def incident_first(number: int) -> None:
        with store.transaction():
            store.incidents.update("I1", NOW + number, title=f"t{number}")
            store.journal.append("I1", "noted", "a", {}, NOW)

    def journal_first(number: int) -> None:
        with store.transaction():
            store.journal.append("I1", "noted", "b", {}, NOW)
            store.incidents.update("I1", NOW + number, severity="critical")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (incident_first, journal_first)[n % 2](n), range(40)))
    assert len(store.journal.events()) == 40


def test_figures_that_are_no_numbers_and_text_that_is_no_text_survive(store: Store) -> None:
    opened(store)
    evidence = Evidence(
        id="E1",
        kind="metric",
        subject="cart",
        name="latency",
        source="prometheus",
        query="p99",
        window=Window(start=NOW - 60, end=NOW),
        figures={"z": float("inf")},
        statement="cart is slow",
    )
    store.incidents.update("I1", NOW, evidence=(evidence,))
    assert store.incidents.require("I1").evidence == (evidence,)
    store.incidents.update("I1", NOW, title="half a \ud83d pair")
    found = store.incidents.require("I1")
    assert (found.title, found.evidence) == ("half a \ufffd pair", (evidence,))


def test_an_incident_with_its_brief_lets_the_first_looks_of_others_go_first(store: Store) -> None:
    for name, priority in (("I1", 0), ("I2", 2), ("I3", 1)):
        opened(store, name)
        store.runs.accept(name, NOW, priority)
    first = store.runs.claim("w", NOW, 60)
    assert first is not None
    assert store.runs.crowded(first.id)
    store.runs.postpone(first, NOW + 1, NOW, behind=True)
    taken = [run.incident_id for _ in range(3) if (run := store.runs.claim("w", NOW + 2, 60))]
    assert taken == ["I3", "I2", "I1"]
    opened(store, "I4")
    store.runs.accept("I4", NOW, 4)
    assert not store.runs.crowded(first.id), "it has let them go first once"


def test_a_run_that_a_person_let_go_on_goes_before_first_looks(store: Store) -> None:
    opened(store, "I1")
    store.runs.accept("I1", NOW, 3)
    waits = store.runs.claim("w", NOW, 60)
    assert waits is not None
    store.runs.finish(waits.id, "waiting", NOW)
    opened(store, "I2")
    store.runs.accept("I2", NOW, 1)
    store.runs.resume(waits.id, NOW)
    claimed = store.runs.claim("w", NOW, 60)
    assert claimed is not None
    assert claimed.incident_id == "I1"
