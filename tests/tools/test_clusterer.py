"""The clusterer reads like a timetable: what came when, and what was decided of it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.clusterer import (
    Clusterer,
    ClustererConfig,
    Decision,
    Inhibition,
    Matcher,
    Silence,
    fingerprint,
)
from tools.types import Alert, AlertStatus, Edge, Severity, Topology

SHOP = Topology(
    edges=tuple(
        Edge(caller=caller, callee=callee)
        for caller, callee in (
            ("web", "checkout"),
            ("web", "search"),
            ("checkout", "payment"),
            ("checkout", "stock"),
        )
    )
)


def alert(
    name: str,
    service: str,
    at: float,
    severity: Severity = "warning",
    status: AlertStatus = "firing",
    ends_at: float | None = None,
    **labels: str,
) -> Alert:
    carried = {"alertname": name, "service": service, **labels}
    return Alert(
        fingerprint=fingerprint(carried),
        name=name,
        status=status,
        severity=severity,
        service=service,
        starts_at=at,
        ends_at=ends_at,
        labels=carried,
    )


def ended(firing: Alert, at: float) -> Alert:
    return firing.model_copy(update={"status": "resolved", "ends_at": at})


def feed(clusterer: Clusterer, *alerts: Alert) -> list[Decision]:
    """One by one, each at its own time."""
    return [clusterer.update([each], each.starts_at)[0] for each in alerts]


def actions(decisions: list[Decision]) -> list[str]:
    return [decision.action for decision in decisions]


def test_fingerprints_are_those_of_alertmanager() -> None:
    # As Alertmanager 0.25 answers on /api/v2/alerts for these labels.
    assert fingerprint({"alertname": "InstanceDown", "instance": "db:9100"}) == "9fa769459c4cb24c"


def test_the_first_alert_opens_at_once_and_the_same_firing_is_deduplicated() -> None:
    clusterer = Clusterer(SHOP)
    slow = alert("LatencyHigh", "web", 100.0)
    first, again = feed(clusterer, slow, slow)
    assert (first.action, again.action) == ("opened", "deduplicated")
    assert first.group_id == again.group_id != ""


def test_a_symptom_above_a_burning_cause_is_inhibited_but_listed() -> None:
    clusterer = Clusterer(SHOP)
    cause = alert("PodCpuHigh", "payment", 100.0, "critical")
    symptom = alert("LatencyHigh", "web", 160.0)
    opened, inhibited = feed(clusterer, cause, symptom)
    assert (opened.action, inhibited.action) == ("opened", "inhibited")
    assert inhibited.group_id == opened.group_id
    assert "payment" in inhibited.reason


def test_a_graver_symptom_is_news_even_above_a_burning_cause() -> None:
    clusterer = Clusterer(SHOP)
    cause = alert("PodCpuHigh", "payment", 100.0, "warning")
    symptom = alert("ErrorBudgetBurn", "web", 160.0, "critical")
    assert actions(feed(clusterer, cause, symptom)) == ["opened", "attached"]
    assert clusterer.groups()[0].severity == "critical"


def test_two_incidents_that_overlap_in_one_cluster_are_split_by_their_roots() -> None:
    clusterer = Clusterer(SHOP)
    first = clusterer.update(
        [
            alert("LatencyHigh", "payment", 0.0, cluster="eu"),
            alert("PodCpuHigh", "payment", 0.0, cluster="eu"),
            alert("LatencyHigh", "checkout", 1.0, cluster="eu"),
        ],
        now=1.0,
    )
    second = clusterer.update(
        [
            alert("LatencyHigh", "search", 100.0, cluster="eu"),
            alert("PodMemoryHigh", "search", 100.0, cluster="eu"),
        ],
        now=100.0,
    )
    late = clusterer.update([alert("QueueGrows", "stock", 130.0, cluster="eu")], now=130.0)
    assert {decision.group_id for decision in first} != {decision.group_id for decision in second}
    assert len({decision.group_id for decision in (*first, *second)}) == 2
    assert late[0].action == "attached"


def test_the_rules_arm_does_not_split_what_overlaps_in_one_cluster() -> None:
    clusterer = Clusterer(SHOP, ClustererConfig(arm="rules"))
    decisions = feed(
        clusterer,
        alert("LatencyHigh", "payment", 0.0, cluster="eu"),
        alert("PodCpuHigh", "search", 100.0, cluster="eu"),
        alert("PodMemoryHigh", "search", 101.0, cluster="eu"),
    )
    assert len({decision.group_id for decision in decisions}) == 1


def test_an_alert_that_came_a_moment_before_its_root_was_known_moves_over() -> None:
    clusterer = Clusterer(SHOP)
    feed(clusterer, alert("PodCpuHigh", "payment", 0.0), alert("LatencyHigh", "payment", 0.0))
    early = feed(clusterer, alert("LatencyHigh", "web", 100.0))[0]
    root = clusterer.update(
        [alert("LatencyHigh", "search", 101.0), alert("PodCpuHigh", "search", 101.0)], 101.0
    )
    moved = clusterer.corrections()
    assert [(each.fingerprint, each.group_id) for each in moved] == [
        (early.fingerprint, root[0].group_id)
    ]
    assert early.group_id != root[0].group_id
    assert early.fingerprint not in clusterer.group(early.group_id).fingerprints
    assert early.fingerprint in clusterer.group(root[0].group_id).fingerprints
    assert clusterer.corrections() == []


def test_clusters_do_not_mix() -> None:
    clusterer = Clusterer()
    decisions = feed(
        clusterer,
        alert("Down", "db", 0.0, cluster="eu"),
        alert("Down", "db", 1.0, cluster="us"),
        alert("Slow", "db", 2.0, cluster="eu"),
    )
    eu, us, eu_again = (decision.group_id for decision in decisions)
    assert eu == eu_again != us


def test_an_alert_that_does_not_say_its_cluster_may_join_any() -> None:
    clusterer = Clusterer()
    decisions = feed(
        clusterer, alert("Down", "db", 0.0, cluster="eu"), alert("ProbeFailed", "db", 5.0)
    )
    assert decisions[0].group_id == decisions[1].group_id


def test_alerts_on_one_node_are_related_and_elsewhere_are_not() -> None:
    clusterer = Clusterer()
    first, same, other = feed(
        clusterer,
        alert("DiskFull", "db", 0.0, node="n1"),
        alert("Evicted", "mail", 400.0, node="n1"),
        alert("Evicted", "mail2", 980.0, node="n2"),
    )
    assert same.group_id == first.group_id != other.group_id
    assert "node=n1" in same.reason


def test_a_late_alert_joins_the_group_of_its_time() -> None:
    clusterer = Clusterer()
    opened = feed(clusterer, alert("Down", "db", 1000.0))[0]
    late = clusterer.update([alert("Slow", "db", 940.0)], now=1200.0)[0]
    assert late.group_id == opened.group_id
    assert clusterer.group(opened.group_id).started_at == 940.0


def test_nothing_attaches_to_a_closed_group() -> None:
    clusterer = Clusterer()
    opened = feed(clusterer, alert("Down", "db", 0.0))[0]
    clusterer.close(opened.group_id, now=10.0)
    again = clusterer.update([alert("Down", "db", 0.0)], now=20.0)[0]
    other = feed(clusterer, alert("Slow", "db", 30.0))[0]
    assert (again.action, again.group_id) == ("deduplicated", "")
    assert other.action == "opened"
    assert other.group_id != opened.group_id


def test_a_new_firing_after_the_incident_was_closed_opens_another() -> None:
    clusterer = Clusterer()
    down = alert("Down", "db", 0.0)
    opened = feed(clusterer, down)[0]
    clusterer.update([ended(down, 50.0)], now=50.0)
    clusterer.close(opened.group_id, now=60.0)
    again = feed(clusterer, alert("Down", "db", 500.0))[0]
    assert again.action == "opened"
    assert again.group_id != opened.group_id


def test_an_alert_that_fires_again_soon_after_its_incident_ended_reopens_it() -> None:
    clusterer = Clusterer()
    down = alert("Down", "db", 0.0)
    opened = feed(clusterer, down)[0]
    clusterer.update([ended(down, 50.0)], now=50.0)
    clusterer.close(opened.group_id, now=50.0)
    again = feed(clusterer, alert("Down", "db", 100.0))[0]
    assert (again.action, again.group_id) == ("reopened", opened.group_id)
    assert again.reason == "it fires again 50 s after it ended"


def test_an_alert_that_comes_and_goes_is_told_then_held_then_told_when_it_settled() -> None:
    clusterer = Clusterer()
    seen = []
    for minute in range(6):
        up = alert("Flaky", "db", 60.0 * minute)
        seen += clusterer.update([up], up.starts_at)
        clusterer.update([ended(up, up.starts_at + 20)], now=up.starts_at + 20)
    assert actions(seen)[:2] == ["opened", "deduplicated"]
    assert set(actions(seen)[4:]) == {"flapping"}
    settled = feed(clusterer, alert("Flaky", "db", 6 * 3600.0))[0]
    assert settled.action == "opened"


def test_a_missed_resolution_does_not_end_the_new_firing() -> None:
    clusterer = Clusterer()
    old, new = alert("Down", "db", 0.0), alert("Down", "db", 100.0)
    feed(clusterer, old, new)
    clusterer.update([ended(old, 120.0)], now=120.0)
    assert clusterer.update([new], now=130.0)[0].action == "deduplicated"


def test_a_silenced_alert_opens_nothing_until_the_silence_ends() -> None:
    quiet = Silence(
        id="s1",
        matchers=(Matcher(label="service", value="db"),),
        starts_at=0.0,
        ends_at=100.0,
        comment="migration",
    )
    clusterer = Clusterer(silences=[quiet])
    down = alert("Down", "db", 50.0)
    silenced, told = clusterer.update([down], 50.0)[0], clusterer.update([down], 150.0)[0]
    assert (silenced.action, silenced.group_id) == ("silenced", "")
    assert "migration" in silenced.reason
    assert told.action == "opened"


def test_a_declared_inhibition_needs_equal_labels_and_a_firing_source() -> None:
    rule = Inhibition(
        source=(Matcher(label="alertname", value="NodeDown"),),
        target=(Matcher(label="severity", operator="=~", value="warning|info"),),
        equal=("node",),
    )
    clusterer = Clusterer(inhibitions=[rule])
    down = alert("NodeDown", "kubelet", 0.0, "critical", node="n1")
    here, there = (
        alert("PodSlow", "cart", 5.0, node="n1"),
        alert("PodSlow", "cart", 6.0, node="n2"),
    )
    source, inhibited, free = feed(clusterer, down, here, there)
    assert inhibited.action == "inhibited"
    assert inhibited.group_id == source.group_id
    assert free.action != "inhibited"
    clusterer.update([ended(down, 20.0)], now=20.0)
    assert clusterer.update([here], now=30.0)[0].action != "inhibited"


def test_the_summary_says_who_was_first_how_many_and_the_blast_radius() -> None:
    clusterer = Clusterer(SHOP)
    clusterer.update(
        [
            alert("PodCpuHigh", "payment", 0.0, "critical"),
            alert("LatencyHigh", "payment", 2.0),
            alert("LatencyHigh", "checkout", 3.0),
        ],
        now=3.0,
    )
    group = clusterer.groups()[0]
    assert group.title == "PodCpuHigh on payment and 1 more service"
    assert group.first_service == "payment"
    assert group.blast_radius == ("payment", "checkout", "web")
    assert "3 alerts of 3 kinds in 3 s" in group.summary
    assert set(group.reasons) == set(group.fingerprints)


def test_text_of_alerts_is_shown_without_control_characters_and_capped() -> None:
    clusterer = Clusterer()
    feed(clusterer, alert("Down\x1b[31m\u202e" + "x" * 5000, "db\r\n", 0.0))
    title = clusterer.groups()[0].title
    assert title.isprintable()
    assert len(title) < 300


def test_a_storm_of_events_ends_with_its_pace_and_the_next_is_another_group() -> None:
    clusterer = Clusterer()
    times = [i * 0.1 for i in range(200)] + [40.0 + i * 0.1 for i in range(200)]
    events = [alert("ScanDetected", "gate", at, ends_at=at) for at in times]
    decisions = feed(clusterer, *events)
    assert len({decision.group_id for decision in decisions[:200]}) == 1
    assert len({decision.group_id for decision in decisions[200:]}) == 1
    assert decisions[0].group_id != decisions[-1].group_id


def test_restored_state_goes_on_where_it_stopped() -> None:
    stored = [(alert("Down", "db", 0.0), "INC-7"), (alert("Slow", "web", 10.0), "INC-8")]
    clusterer = Clusterer(SHOP)
    clusterer.restore(stored, closed=["INC-8"])
    again = clusterer.update([alert("Down", "db", 0.0)], now=20.0)[0]
    joined = clusterer.update([alert("DiskFull", "db", 25.0)], now=25.0)[0]
    fresh = clusterer.update([alert("ErrorsHigh", "web", 400.0)], now=400.0)[0]
    assert (again.action, again.group_id) == ("deduplicated", "INC-7")
    assert joined.group_id == "INC-7"
    assert fresh.group_id != "INC-8"


def test_a_group_restored_from_ended_alerts_can_be_read() -> None:
    clusterer = Clusterer()
    clusterer.restore([(ended(alert("Down", "db", 0.0), 50.0), "INC-1")])
    assert clusterer.group("INC-1").services == ("db",)


def test_group_ids_come_from_the_caller() -> None:
    numbers = itertools.count(41)
    clusterer = Clusterer(new_id=lambda: f"incident-{next(numbers)}")
    assert feed(clusterer, alert("Down", "db", 0.0))[0].group_id == "incident-41"


def test_an_unknown_group_is_a_key_error_and_closing_it_is_not() -> None:
    clusterer = Clusterer()
    clusterer.close("nobody", now=0.0)
    with pytest.raises(KeyError, match="nobody"):
        clusterer.group("nobody")


def test_memory_of_groups_and_alerts_is_bounded() -> None:
    config = ClustererConfig(keep_groups=5, keep_alerts=10)
    clusterer = Clusterer(config=config)
    ids = [
        feed(clusterer, alert(f"Down{i}", f"db{i}", i * 10_000.0, ends_at=i * 10_000.0))[0].group_id
        for i in range(40)
    ]
    known = []
    for group_id in ids:
        try:
            known.append(clusterer.group(group_id).id)
        except KeyError:
            continue
    assert known == ids[-len(known) :]
    assert len(known) <= 5


services = st.sampled_from(["web", "checkout", "payment", "stock", "search", "elsewhere", ""])
streams = st.lists(
    st.builds(
        alert,
        name=st.sampled_from(["PodCpuHigh", "LatencyHigh", "Down"]),
        service=services,
        at=st.floats(0, 20_000, allow_nan=False),
        severity=st.sampled_from(["critical", "warning", "info"]),
        status=st.sampled_from(["firing", "firing", "firing", "resolved"]),
        cluster=st.sampled_from(["eu", "us", ""]),
    ),
    max_size=40,
)


@settings(max_examples=50, deadline=None)
@given(streams, st.integers(1, 9))
def test_every_alert_gets_one_decision_with_a_reason_and_nothing_is_lost(
    alerts: list[Alert], size: int
) -> None:
    clusterer = Clusterer(SHOP)
    decisions, now = [], 0.0
    for start in range(0, len(alerts), size):
        batch = alerts[start : start + size]
        now = max(now, *(each.starts_at for each in batch))
        decisions += clusterer.update(batch, now)
    assert [d.fingerprint for d in decisions] == [a.fingerprint for a in alerts]
    assert all(d.reason and 0.0 <= d.rank <= 1.0 for d in decisions)
    moved = {d.fingerprint for d in clusterer.corrections()}
    for decision in decisions:
        if decision.action in {"opened", "attached"} and decision.fingerprint not in moved:
            assert decision.fingerprint in clusterer.group(decision.group_id).fingerprints
    opened = [d.group_id for d in decisions if d.action == "opened"]
    assert len(opened) == len(set(opened))


@settings(max_examples=30, deadline=None)
@given(streams)
def test_the_same_stream_gives_the_same_decisions(alerts: list[Alert]) -> None:
    ordered = sorted(alerts, key=lambda each: each.starts_at)
    assert feed(Clusterer(SHOP), *ordered) == feed(Clusterer(SHOP), *ordered)


@settings(max_examples=30, deadline=None)
@given(streams, st.floats(-1e6, 1e9))
def test_only_differences_of_time_matter(alerts: list[Alert], shift: float) -> None:
    # Whole seconds: floating point must not decide a tie that the shift moves.
    ordered = sorted(alerts, key=lambda each: each.starts_at)
    whole = [a.model_copy(update={"starts_at": float(int(a.starts_at))}) for a in ordered]
    moved = [a.model_copy(update={"starts_at": a.starts_at + float(int(shift))}) for a in whole]
    here = [(d.action, d.group_id) for d in feed(Clusterer(SHOP), *whole)]
    assert here == [(d.action, d.group_id) for d in feed(Clusterer(SHOP), *moved)]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6))
def test_fingerprints_do_not_depend_on_the_order_of_labels(labels: dict[str, str]) -> None:
    reordered = dict(reversed(labels.items()))
    assert fingerprint(labels) == fingerprint(reordered)
    assert len(fingerprint(labels)) == 16


def test_an_empty_batch_is_nothing() -> None:
    assert Clusterer().update([], now=0.0) == []


def test_a_new_group_does_not_take_the_id_of_a_restored_one() -> None:
    clusterer = Clusterer()
    clusterer.restore([(alert("Down", "db", 0.0), "G1")])

    (decision,) = feed(clusterer, alert("Down", "web", 1e6))

    assert (decision.action, decision.group_id) == ("opened", "G2")
