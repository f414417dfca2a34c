"""Verification: recovered, unchanged, worse or unknown, from fresh series against normal ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.playbook_executor import verify
from tools.types import Anomaly, Judgement, MetricCheck, Series, Verification

ONSET, ACTED, NOW = 1000.0, 1300.0, 1500.0
STEP = 10.0
NOISE = np.array([100.0, 101.0, 102.0, 103.0, 104.0] * 10)


def anomaly(owner: str = "cart", metric: str = "latency_ms", direction: str = "up") -> Anomaly:
    return Anomaly.model_validate(
        {
            "owner": owner,
            "metric": metric,
            "onset": ONSET,
            "end": None,
            "direction": direction,
            "kind": "level_shift",
            "score": 0.001,
            "observed": 400.0,
            "low": 90.0,
            "high": 110.0,
            "reason": "",
        }
    )


def series(
    after: float,
    owner: str = "cart",
    metric: str = "latency_ms",
    during: float = 400.0,
    normal: float = 100.0,
    until: float = NOW,
) -> Series:
    """Normal with a little noise, then the incident, then what it is like after the act."""
    times = np.arange(0.0, until + 1, STEP)
    levels = np.where(times < ONSET, normal, np.where(times <= ACTED, during, after))
    noise = 0.01 * normal * np.sin(times)
    return Series(owner, metric, times, levels + noise)


def judge(
    shown: list[Series],
    anomalies: list[Anomaly] | None = None,
    verification: Verification | None = None,
    now: float = NOW,
) -> Judgement:
    return verify(
        [anomaly()] if anomalies is None else anomalies,
        [],
        shown,
        verification or Verification(),
        component="cart",
        since=ACTED,
        now=now,
    )


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        pytest.param(100.0, "recovered", id="back to normal"),
        pytest.param(125.0, "recovered", id="a tenth of the deviation left"),
        pytest.param(60.0, "recovered", id="better than normal"),
        pytest.param(400.0, "unchanged", id="as before the act"),
        pytest.param(200.0, "unchanged", id="better, not normal"),
        pytest.param(500.0, "unchanged", id="a little worse"),
        pytest.param(900.0, "worse", id="much worse"),
    ],
)
def test_the_outcome_of_one_series(after: float, outcome: str) -> None:
    assert judge([series(after)]).outcome == outcome


@pytest.mark.parametrize(
    ("after", "outcome"), [(99.0, "recovered"), (60.0, "unchanged"), (20.0, "worse")]
)
def test_a_drop_is_judged_downwards(after: float, outcome: str) -> None:
    shown = series(after, metric="success_pct", during=60.0, normal=100.0)
    assert judge([shown], [anomaly(metric="success_pct", direction="down")]).outcome == outcome


def test_it_is_too_early_before_the_holding_time_is_over() -> None:
    judgement = judge([series(100.0)], now=ACTED + 59.0)
    assert judgement.outcome == "unknown"
    assert "1 s more" in judgement.statement


def test_only_points_after_the_act_count() -> None:
    judgement = judge([series(100.0, until=ACTED)], now=ACTED + 60.0)
    assert judgement.outcome == "unchanged"


def test_without_fresh_points_nothing_is_known() -> None:
    judgement = judge([series(100.0, until=ACTED)])
    assert judgement.outcome == "unknown"
    assert "1 have no fresh points" in judgement.statement


def test_slow_sampling_is_judged_by_the_newest_point_after_the_act() -> None:
    fine = series(100.0)
    slow = Series(fine.owner, fine.metric, fine.times[4::10], fine.values[4::10])
    judgement = judge([slow], now=slow.times[-1] + 70.0)
    assert judgement.outcome == "recovered"


def test_a_series_that_fell_silent_after_the_act_is_not_held_against_it() -> None:
    silent = series(400.0, metric="calls_latency_ms", until=ACTED + 20.0)
    healed = [series(100.0, metric=f"latency_{n}_ms") for n in range(3)]
    found = [anomaly(metric=one.metric) for one in (silent, *healed)]
    assert judge([silent, *healed], found).outcome == "recovered"


def test_without_anything_to_watch_nothing_is_known() -> None:
    assert judge([series(100.0)], []).outcome == "unknown"


def test_four_fifths_of_the_watched_series_are_enough() -> None:
    names = ["a_ms", "b_ms", "c_ms", "d_ms", "e_ms"]
    anomalies = [anomaly(metric=name) for name in names]
    one_still = [series(400.0 if name == "e_ms" else 100.0, metric=name) for name in names]
    two_still = [series(400.0 if name > "c_ms" else 100.0, metric=name) for name in names]
    assert judge(one_still, anomalies).outcome == "recovered"
    assert judge(two_still, anomalies).outcome == "unchanged"


@pytest.mark.parametrize(("after", "outcome"), [(0.0, "recovered"), (37.0, "unchanged")])
def test_it_is_not_over_while_more_calls_fail_than_before(after: float, outcome: str) -> None:
    names = [f"a{n}_ms" for n in range(9)]
    anomalies = [anomaly(metric="error_pct"), *(anomaly(metric=name) for name in names)]
    shown = [series(100.0, metric=name) for name in names]
    errors = series(after, "cart", "error_pct", during=2.0, normal=0.0)
    assert judge([errors, *shown], anomalies).outcome == outcome


def test_what_only_says_what_is_asked_of_us_is_not_a_symptom() -> None:
    anomalies = [anomaly(), anomaly(metric="http_request_rate"), anomaly(metric="error_rate")]
    shown = [
        series(100.0),
        series(400.0, metric="http_request_rate"),
        series(100.0, metric="error_rate"),
    ]
    verification = Verification(ignore=("request_rate",))
    judgement = judge(shown, anomalies, verification)
    assert judgement.outcome == "recovered"
    assert judgement.figures["watched"] == 2


def test_the_watch_is_on_the_component_its_edges_and_the_front_door() -> None:
    owners = ("cart", "cart@v2", "web->cart", "cart->db", "ENTRY", "search")
    anomalies = [anomaly(owner) for owner in owners]
    shown = [series(400.0 if owner == "search" else 100.0, owner) for owner in owners]
    near = judge(shown, anomalies, Verification(watch=("component", "entry")))
    own = judge(shown, anomalies, Verification(watch=("component",)))
    assert (near.outcome, near.figures["watched"]) == ("recovered", 5)
    assert own.figures["watched"] == 4


def test_what_was_taken_out_of_service_may_stay_dead_while_its_callers_are_well() -> None:
    found = [
        anomaly(metric="instances_up", direction="down"),
        anomaly("gateway->cart", "error_pct"),
        anomaly("gateway", "error_pct"),
    ]
    moved = Verification(watch=("others", "entry"))
    still_dead = [
        series(0.0, metric="instances_up", during=0.0, normal=2.0),
        series(60.0, "gateway->cart", "error_pct", during=60.0),
    ]
    well = series(0.1, "gateway", "error_pct", during=60.0, normal=0.1)
    ill = series(60.0, "gateway", "error_pct", during=60.0, normal=0.1)
    assert judge([*still_dead, well], found, moved).outcome == "recovered"
    assert judge([*still_dead, ill], found, moved).outcome != "recovered"


def test_a_failed_check_is_no_recovery() -> None:
    check = MetricCheck(owner="cart", metric="disk_pct", comparison="<", value=85.0)
    verification = Verification(checks=(check,))
    disk = series(95.0, metric="disk_pct", during=95.0, normal=50.0)
    failed = judge([series(100.0), disk], verification=verification)
    assert failed.outcome == "unchanged"
    assert "check failed: cart|disk_pct < 85" in failed.statement
    freed = series(60.0, metric="disk_pct", during=95.0, normal=50.0)
    assert judge([series(100.0), freed], verification=verification).outcome == "recovered"
    assert judge([series(100.0)], verification=verification).outcome == "unchanged"


def test_the_expected_band_stands_in_for_a_missing_past() -> None:
    times = np.arange(ONSET, NOW, STEP)
    fresh = Series("cart", "latency_ms", times, np.where(times <= ACTED, 400.0, 105.0))
    assert judge([fresh]).outcome == "recovered"


def test_a_baseline_of_another_day_is_normal_too() -> None:
    baseline = Series("cart", "latency_ms", np.arange(50.0), NOISE)
    times = np.arange(ONSET, NOW, STEP)
    fresh = Series("cart", "latency_ms", times, np.where(times <= ACTED, 400.0, 102.0))
    judgement = verify(
        [anomaly()],
        [baseline],
        [fresh],
        Verification(),
        component="cart",
        since=ACTED,
        now=NOW,
    )
    assert judgement.outcome == "recovered"
    assert "400 -> 102 (normal 102)" in judgement.statement


def backlog(
    per_minute: float, metric: str = "queue_depth", start: float = 400.0, noise: float = 3.0
) -> Series:
    """A hundred or so as a rule, `start` in the incident, then so many more a minute."""
    flat = series(start, metric=metric, during=start)
    passed = np.maximum(flat.times - ACTED, 0.0) / 60.0
    wild = noise * np.random.default_rng(5).standard_normal(len(flat.times))
    return Series("cart", metric, flat.times, flat.values + per_minute * passed + wild)


TRENDS = {
    "a backlog that drains": ([backlog(-30.0)], "recovering"),
    "one that is at its old level": ([backlog(0.0)], "unchanged"),
    "one that only jumps about": ([backlog(0.0, noise=60.0)], "unchanged"),
    "one that grows": ([backlog(20.0)], "unchanged"),
    "one that would drain for hours": ([backlog(-1.5)], "unchanged"),
    "one that drains, and another series that stays": (
        [backlog(-30.0), series(400.0, metric="latency_ms")],
        "unchanged",
    ),
    "one that drains, and another that is normal": (
        [backlog(-30.0), series(100.0, metric="latency_ms")],
        "recovering",
    ),
    "one that drains while more calls fail": (
        [backlog(-30.0), series(30.0, metric="error_pct", during=2.0, normal=0.0)],
        "worse",
    ),
    "one that fell at once and stays half way": (
        [series(250.0, metric="queue_depth")],
        "unchanged",
    ),
}


@pytest.mark.parametrize(("shown", "outcome"), TRENDS.values(), ids=TRENDS)
def test_a_trend_back_to_normal_is_a_recovery_under_way(shown: list[Series], outcome: str) -> None:
    found = [anomaly(metric=one.metric) for one in shown]
    assert judge(shown, found).outcome == outcome


def test_a_recovery_under_way_says_when_it_is_done() -> None:
    judgement = judge([backlog(-30.0)], [anomaly(metric="queue_depth")])
    done = ACTED + (400.0 - 125.0) / 30.0 * 60.0  # a tenth of the deviation may be left
    assert judgement.done_at == pytest.approx(done, abs=60.0)
    assert judgement.statement.startswith(
        "recovering, done in about 6 min if it goes on so: 0 of 1"
    )
    assert "约 6 分钟后完成" in judgement.statement_zh


def test_what_falls_short_of_normal_comes_back_upwards() -> None:
    shown = backlog(4.0, metric="success_pct", start=60.0, noise=0.3)
    found = [anomaly(metric="success_pct", direction="down")]
    assert judge([shown], found).outcome == "recovering"


def test_a_reading_that_the_cure_leaves_is_left_out_but_not_at_the_front_door() -> None:
    names = [("cart", "latency_ms"), ("ENTRY", "latency_ms"), ("cart", "queue_depth")]
    found = [anomaly(owner, metric) for owner, metric in names]
    shown = [
        series(400.0),
        series(100.0, "ENTRY"),
        series(100.0, metric="queue_depth"),
    ]
    judgement = judge(shown, found, Verification(stays=("latency",)))
    assert (judgement.outcome, judgement.figures["watched"]) == ("recovered", 2)
    felt = judge([series(400.0, "ENTRY"), *shown[::2]], found, Verification(stays=("latency",)))
    assert felt.outcome == "unchanged"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60),
    st.sampled_from(["up", "down", "none"]),
    st.floats(0, 600),
)
def test_any_series_is_judged_and_the_order_of_series_does_not_matter(
    values: list[float], direction: str, hold_s: float
) -> None:
    times = np.array([NOW - STEP * back for back in reversed(range(len(values)))])
    one = Series("cart", "latency_ms", times, np.array(values))
    other = series(100.0, metric="other_ms")
    anomalies = [anomaly(direction=direction), anomaly(metric="other_ms")]
    verification = Verification(hold_s=hold_s)
    first = judge([one, other], anomalies, verification)
    assert first == judge([other, one], anomalies[::-1], verification)
    assert first.statement
    assert first.statement_zh
