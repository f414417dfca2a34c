"""The inbox of the store, on every database it promises to run on."""

from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.store import (
    Store,
)
from copilot.types.incident import Incident
from tools.clusterer import DECLARED_RULE, Decision
from tools.types import Alert, AlertStatus

NOW = 1_700_000_000.0


def alert(name: str, starts_at: float = NOW - 60, status: AlertStatus = "firing") -> Alert:
    return Alert(fingerprint=name, name=name, status=status, starts_at=starts_at, service="cart")


def opened(store: Store, incident_id: str = "I1", at: float = NOW) -> Incident:
    incident = Incident(id=incident_id, title="cart is slow", opened_at=at, updated_at=at)
    store.incidents.open(incident)
    return incident


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


def test_an_alert_moves_between_incidents_that_go_on_and_closed_ones_keep_theirs(
    store: Store,
) -> None:
    for name in ("I1", "I2", "I3"):
        opened(store, name)
    rows = store.alerts.accept([alert("a"), alert("b"), alert("c")], NOW).new
    for row, where in zip(rows, ("I1", "I2", "I3"), strict=True):
        store.alerts.assign([row.key], where, "near in time", "attached", NOW)
    store.incidents.update("I3", NOW, status="recovered")
    moves = [Decision(name, "attached", "I2", "it accuses cart") for name in ("a", "b", "c", "d")]
    assert store.alert_homes.move(moves, NOW) == ("I1",)
    assert [a.name for a in store.alerts.of("I2")] == ["a", "b"]
    assert [r.reason for r in store.alerts.decisions("I2")] == ["it accuses cart", "near in time"]
    assert [a.name for a in store.alerts.of("I3")] == ["c"]


def test_an_alert_that_a_rule_inhibits_is_still_decided_anew_after_its_incident_was_merged(
    store: Store,
) -> None:
    for name in ("I1", "I2"):
        opened(store, name)
    first, muted = store.alerts.accept([alert("a"), alert("b")], NOW).new
    store.alerts.assign([first.key], "I1", "first", "opened", NOW)
    reason = f"{DECLARED_RULE} inhibits it while a fires"
    store.alerts.assign([muted.key], "I1", reason, "inhibited", NOW)
    store.alert_homes.give("I1", "I2", NOW)
    told = [(row.action, row.reason) for row in store.alerts.decisions("I2")]
    assert told == [("attached", "merged from I1"), ("inhibited", reason)]
    assert store.alerts.accept([alert("b")], NOW + 60).repeated == 1
    assert [row.alert.name for row in store.alerts.unassigned()] == ["b"]


def test_the_alert_that_opened_an_incident_stays_with_it(store: Store) -> None:
    for name in ("I1", "I2"):
        opened(store, name)
    store.alerts.assign(
        [store.alerts.accept([alert("a")], NOW).new[0].key], "I1", "first", "opened", NOW
    )
    assert store.alert_homes.move([Decision("a", "attached", "I2", "it accuses cart")], NOW) == ()
    assert [a.name for a in store.alerts.of("I1")] == ["a"]


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


def test_an_alert_without_a_start_goes_on_from_its_last_firing_of_many(store: Store) -> None:
    for round_ in range(40):
        began = NOW - 4000 + 100 * round_
        store.alerts.accept([alert("a", began)], NOW)
        store.alerts.accept([alert("a", began, "resolved")], NOW)
    store.alerts.accept([alert("a", NOW - 10)], NOW)
    assert store.alerts.accept([alert("a", NOW)], NOW).repeated == 1
    assert store.alerts.accept([alert("a", NOW - 3000, "resolved")], NOW).repeated == 1
    ended = store.alerts.accept([alert("a", NOW - 1, "resolved")], NOW).resolved
    assert [row.alert.starts_at for row in ended] == [NOW - 10]


def test_an_incident_has_ended_when_each_firing_that_counts_has_its_resolution(
    store: Store,
) -> None:
    opened(store)
    rows = store.alerts.accept([alert("a"), alert("b"), alert("c")], NOW).new
    store.alerts.assign([row.key for row in rows[:2]], "I1", "of it", "attached", NOW)
    store.alerts.assign([rows[2].key], "I1", "a mere symptom", "inhibited", NOW)
    assert not store.alerts.all_ended("I1")
    for name in ("a", "b"):
        assert not store.alerts.all_ended("I1")
        (end,) = store.alerts.accept([alert(name, status="resolved")], NOW).resolved
        store.alerts.assign([end.key], "I1", "its end", "resolved", NOW)
    assert store.alerts.all_ended("I1")
    assert not store.alerts.all_ended("I2")
