"""Noise is learned from the stream itself: rates, schedules, how strange groups usually are."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.clusterer import Clusterer, Decision, NoiseModel, fingerprint
from tools.types import Alert

HOUR, DAY = 3600.0, 86400.0
FAMILY = ("prod", "DiskSlow")


def alert(name: str, service: str, at: float, cluster: str = "prod") -> Alert:
    labels = {"alertname": name, "service": service, "cluster": cluster}
    return Alert(
        fingerprint=fingerprint(labels),
        name=name,
        service=service,
        starts_at=at,
        ends_at=at,
        labels=labels,
    )


def noisy_days(clusterer: Clusterer, days: int) -> list[Decision]:
    """One minor alert of one of ten services every 20 minutes."""
    decisions = []
    for step in range(int(days * DAY / 1200)):
        at = step * 1200.0
        decisions += clusterer.update([alert("LatencyHigh", f"s{step % 10}", at)], at)
    return decisions


def test_what_fires_all_day_surprises_less_than_what_never_fired() -> None:
    model = NoiseModel()
    for hour in range(72):
        model.observe("often", FAMILY, hour * HOUR + (hour % 7) * 60)
    now = 72 * HOUR + 900
    often = model.surprise("often", FAMILY, now)
    assert often < model.surprise("new", FAMILY, now) < model.surprise("new", ("prod", "X"), now)


def test_a_nightly_alert_on_time_is_no_surprise_and_off_time_it_is() -> None:
    model = NoiseModel()
    for night in range(8):
        model.observe("backup", FAMILY, night * DAY)
    assert model.surprise("backup", FAMILY, 8 * DAY + 60) < 0.5
    assert model.surprise("backup", FAMILY, 8 * DAY + 11 * HOUR) > 1.0


def test_repeats_within_a_minute_are_one_episode() -> None:
    model = NoiseModel()
    for second in range(30):
        model.observe("storm", FAMILY, float(second))
    assert model.habits["storm"].episodes == 1.0


def test_an_alert_is_chronic_only_after_hours_and_surges_above_its_own_peak() -> None:
    model = NoiseModel()
    for minute in range(0, 12 * 60, 2):
        assert not model.observe("chatty", FAMILY, minute * 60.0)
        if minute < 5 * 60:
            assert not model.chronic("chatty", FAMILY, minute * 60.0)
    now = 12 * HOUR
    assert model.chronic("chatty", FAMILY, now)
    assert any(model.observe("chatty", FAMILY, now + second / 10) for second in range(300))


def test_the_history_of_an_alert_says_how_often_it_was_part_of_an_incident() -> None:
    model = NoiseModel()
    for day in range(3):
        model.observe("crier", FAMILY, day * DAY)
        model.observe("prophet", FAMILY, day * DAY)
        model.learn_real("prophet")
    assert model.history("crier", 2 * DAY).endswith("0 of them in told incidents")
    assert model.history("prophet", 2 * DAY).endswith("3 of them in told incidents")


def test_what_was_learned_survives_a_dump() -> None:
    model = NoiseModel()
    for hour in range(30):
        model.observe("often", FAMILY, hour * HOUR)
        model.learn_group(("prod",), float(hour), hour * HOUR)
    again = NoiseModel.load(model.dump())
    now = 31 * HOUR
    assert again.surprise("often", FAMILY, now) == model.surprise("often", FAMILY, now)
    assert again.return_rate(("prod",), 5.0, now) == model.return_rate(("prod",), 5.0, now)


def test_memory_of_habits_is_bounded() -> None:
    model = NoiseModel(keep=100)
    for number in range(5000):
        model.observe(f"f{number}", ("prod", f"N{number}"), number * 10.0)
    assert len(model.habits) <= 100
    assert len(model.families) <= 110


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 30 * DAY), max_size=40), st.floats(0, 60 * DAY))
def test_surprise_is_positive_and_finite(times: list[float], later: float) -> None:
    model = NoiseModel()
    for at in sorted(times):
        model.observe("f", FAMILY, at)
    now = max(times, default=0.0) + later
    assert 0.0 < model.surprise("f", FAMILY, now) < 50.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 150), max_size=40), st.floats(0, 99), st.floats(0, 50))
def test_a_stranger_group_never_comes_more_often(
    seen: list[float], strangeness: float, more: float
) -> None:
    model = NoiseModel()
    for position, each in enumerate(seen):
        model.learn_group(("prod",), each, position * HOUR)
    now = 41 * HOUR
    rates = [model.return_rate(("prod",), x, now) for x in (strangeness, strangeness + more)]
    assert rates[0] >= rates[1] > 0


def test_daily_noise_is_held_with_a_reason_and_a_real_incident_is_told_at_once() -> None:
    clusterer = Clusterer()
    decisions = noisy_days(clusterer, days=3)
    last_day = decisions[-72:]
    held = [decision for decision in last_day if decision.action == "noise"]
    assert len(held) > 50
    assert all("times a day" in decision.reason or "again" in decision.reason for decision in held)
    at = 3 * DAY + 30.0
    batch = [alert(name, f"s{i}", at) for i in range(4) for name in ("Errors", "Saturated")]
    told = clusterer.update(batch, at)
    assert told[0].action == "opened"
    assert told[0].rank > max(decision.rank for decision in last_day)


def test_a_held_group_is_told_once_it_grows_strange_and_keeps_its_first_alerts() -> None:
    clusterer = Clusterer()
    noisy_days(clusterer, days=3)
    at = 3 * DAY + 30.0
    first = clusterer.update([alert("LatencyHigh", "s3", at)], at)[0]
    batch = [alert("Errors", f"s{i}", at + 20) for i in range(6)]
    then = clusterer.update(batch, at + 20)
    assert first.action == "noise"
    assert [decision.action for decision in then].count("opened") == 1
    assert then[0].group_id == first.group_id
    assert first.fingerprint in clusterer.group(first.group_id).fingerprints


def test_a_quiet_scope_is_not_drowned_by_a_noisy_one() -> None:
    clusterer = Clusterer()
    noisy_days(clusterer, days=3)
    at = 3 * DAY + 30.0
    quiet = clusterer.update([alert("LatencyHigh", "s1", at, cluster="other")], at)[0]
    assert quiet.action == "opened"


def test_an_alert_name_that_the_scope_hardly_knows_is_never_held() -> None:
    clusterer = Clusterer()
    noisy_days(clusterer, days=3)
    at = 3 * DAY + 30.0
    told = clusterer.update([alert("QuorumLost", "s1", at)], at)[0]
    assert told.action == "opened"
    assert "QuorumLost" in told.reason or "times a day" in told.reason


def test_the_first_hour_holds_nothing_back() -> None:
    clusterer = Clusterer()
    decisions = []
    for step in range(11):
        at = step * 300.0
        decisions += clusterer.update([alert("LatencyHigh", f"s{step}", at)], at)
    assert all(decision.action == "opened" for decision in decisions)


def test_a_grave_alert_is_not_held_before_hours_of_watching() -> None:
    clusterer = Clusterer()
    decisions = []
    for step in range(23):
        at = step * 1200.0
        grave = alert("LatencyHigh", f"s{step}", at).model_copy(update={"severity": "critical"})
        decisions += clusterer.update([grave], at)
        clusterer.close(decisions[-1].group_id, at + 600.0)
    assert {decision.action for decision in decisions} == {"opened"}


def test_learned_noise_may_be_handed_to_the_next_clusterer() -> None:
    before = Clusterer()
    noisy_days(before, days=3)
    after = Clusterer(noise=NoiseModel.load(before.noise.dump()))
    at = 3 * DAY + 1200.0
    assert after.update([alert("LatencyHigh", "s2", at)], at)[0].action == "noise"
