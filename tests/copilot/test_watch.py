"""A fault nobody wrote a rule for is seen within a minute; quiet hours stay quiet."""

import numpy as np
import pytest

from copilot.sources.watch import LEARNT, Watch, WatchShards
from evals.simulator import SimulatedFault, SimulatedSource, World, scenario
from tools.types import Alert, Series, Window

INTERVAL_S = 15.0


def watched(source: SimulatedSource, until: float) -> list[tuple[float, Alert]]:
    """Scan the running world every interval; each alert with the time it was raised."""
    watch = Watch(source, INTERVAL_S, learn_s=3600)
    assert watch.look(source.now()) == []
    raised = []
    while source.now() < until:
        source.sleep(INTERVAL_S)
        raised += [(source.now(), alert) for alert in watch.look(source.now())]
    return raised


@pytest.mark.parametrize("kind", ["cpu_saturation", "errors", "slow_dependency", "network_loss"])
def test_a_fault_raises_an_alert_within_a_minute(kind: SimulatedFault) -> None:
    script = scenario(kind, 2, quiet_s=2400)
    assert script.onset is not None
    source = SimulatedSource(World(script))
    source.sleep(script.onset - 30 - source.now())
    alerts = watched(source, script.onset + 120)
    assert alerts
    at, first = alerts[0]
    assert script.onset <= at <= script.onset + 60
    assert first.status == "firing"
    assert first.annotations["summary"]


def test_an_hour_without_a_fault_raises_nothing() -> None:
    source = SimulatedSource(World(scenario("healthy", 4)))
    source.sleep(1200)
    assert watched(source, source.now() + 3600) == []


class Recorded:
    """A source of one made-up set of series."""

    def __init__(self, *series: Series) -> None:
        self._series = series

    def series(self, window: Window) -> tuple[Series, ...]:
        return tuple(one.between(window) for one in self._series)

    def baseline(self, before: float) -> tuple[Series, ...]:
        return ()


def test_one_signal_raises_nothing_on_too_little_past_but_on_what_was_learned_meanwhile() -> None:
    short = [
        one.between(Window(start=5000, end=9000)) for one in (noisy("error_pct", 60.0), *QUIET)
    ]
    assert heard(Watch(Recorded(*short), INTERVAL_S), 5900.0, 6600.0) == []
    later = [Series(s.owner, s.metric, s.times + LEARNT * INTERVAL_S, s.values) for s in short]
    # The same fault, half an hour later in a life that began when the other's did.
    calm = [
        Series(s.owner, s.metric, s.times[:LEARNT] + 5000, s.values[:LEARNT])
        for s in (noisy("error_pct", 0.0), *QUIET)
    ]
    joined = [
        Series(
            a.owner,
            a.metric,
            np.concatenate([a.times, b.times]),
            np.concatenate([a.values, b.values]),
        )
        for a, b in zip(calm, later, strict=True)
    ]
    watch = Watch(Recorded(*joined), INTERVAL_S)
    assert heard(watch, 5900.0, 6600.0 + LEARNT * INTERVAL_S)[:1] == ["firing"]


def young(*rises: tuple[str, str, float], ramp: float = 0.0) -> list[Alert]:
    """What is raised of services that began at 5000 s; each rise begins at 6000 s."""
    loud = [noisy(metric, rise, service=service) for service, metric, rise in rises]
    since = Window(start=5000, end=9000)
    parts = [one.between(since) for one in (*loud, *QUIET)]
    climbing = [
        Series(one.owner, one.metric, one.times, one.values + ramp * (one.times - 5000.0))
        for one in parts
    ]
    watch = Watch(Recorded(*climbing), INTERVAL_S)
    watch.look(5600.0)
    looks = np.arange(5600.0 + INTERVAL_S, 6500.0, INTERVAL_S)
    return [alert for now in looks for alert in watch.look(float(now))]


@pytest.mark.parametrize(
    ("rises", "raised"),
    [
        pytest.param([("cart", "latency_avg", 60.0), ("shop", "error_pct", 60.0)], 1, id="callers"),
        pytest.param(
            [("cart", name, 60.0) for name in ("latency_avg", "cpu_pct", "pool_in_use")],
            1,
            id="calls and two resources of one service",
        ),
        pytest.param(
            [("cart", name, 60.0) for name in ("cpu_pct", "pool_in_use")], 0, id="felt by nobody"
        ),
        pytest.param([("cart", "latency_avg", 60.0)], 0, id="one place"),
        pytest.param(
            [(owner, "latency_avg", 60.0) for owner in ("cart", "web->cart", "shop->cart")],
            0,
            id="one place as its callers see it",
        ),
        pytest.param([("cart", "latency_avg", 1.0), ("shop", "error_pct", 1.0)], 0, id="wavering"),
    ],
)
def test_little_past_is_enough_for_what_is_far_beyond_all_of_it(
    rises: list[tuple[str, str, float]], raised: int
) -> None:
    alerts = young(*rises)
    assert [alert.status for alert in alerts] == ["firing"] * raised
    for alert in alerts:
        assert alert.starts_at == 6000.0
        assert alert.annotations["summary"].startswith("provisional, on 16 min 30 s of past")
        assert alert.annotations["provisional"] == "16 min 30 s"


def test_a_load_that_has_been_climbing_since_the_beginning_is_no_alarm() -> None:
    assert young(("cart", "latency_avg", 0.0), ramp=0.1) == []


def heard(watch: Watch, start: float, end: float) -> list[str]:
    """The states of the alerts of every look between two moments."""
    watch.look(start)
    looks = np.arange(start + INTERVAL_S, end, INTERVAL_S)
    return [alert.status for now in looks for alert in watch.look(float(now))]


def noisy(
    metric: str, rise: float, *, spikes: bool = False, service: str = "cart", seed: int = 1
) -> Series:
    """Around 10; `rise` more between 6000 and 6600 s, and with `spikes` every 20 minutes before."""
    times = np.arange(0.0, 9000.0, INTERVAL_S)
    rng = np.random.default_rng(seed)
    values = 10.0 + rng.normal(0, 0.5, times.size)
    values[(times >= 6000) & (times < 6600)] += rise
    if spikes:
        values[(times % 1200 == 600) & (times < 6000)] += rise
    return Series(service, metric, times, values)


QUIET = tuple(
    noisy("latency_avg", 0.0, service=f"s{number}", seed=number) for number in range(100, 140)
)


def test_a_little_strangeness_is_an_alarm_in_company_only_and_an_end_is_told() -> None:
    little = [noisy(name, 5.0) for name in ("error_pct", "cpu_pct", "pool_in_use")]
    assert heard(Watch(Recorded(little[0], *QUIET), INTERVAL_S), 5900.0, 9000.0) == []
    together = heard(Watch(Recorded(*little, *QUIET), INTERVAL_S), 5900.0, 9000.0)
    assert together == ["firing", "resolved"]


def test_a_single_signal_far_out_is_an_alarm() -> None:
    watch = Watch(Recorded(noisy("error_pct", 60.0), *QUIET), INTERVAL_S)
    assert heard(watch, 5900.0, 6500.0) == ["firing"]


def test_percentiles_of_one_latency_are_one_signal() -> None:
    little = [noisy(f"latency_p{q}", 5.0) for q in (75, 95, 99)]
    assert heard(Watch(Recorded(*little, *QUIET), INTERVAL_S), 5900.0, 6500.0) == []


def test_a_machine_that_is_told_again_of_each_service_on_it_is_one_signal() -> None:
    owners = ("cart", "shop", "search")

    def told(name: str) -> list[Series]:
        return [noisy(name, 5.0, service=owner) for owner in owners]

    assert heard(Watch(Recorded(*told("node_cpu_pct"), *QUIET), INTERVAL_S), 5900.0, 6500.0) == []
    apart = Watch(Recorded(*told("cpu_pct"), *QUIET), INTERVAL_S)
    assert heard(apart, 5900.0, 6500.0) == ["firing"]


def test_what_the_past_does_again_and_again_is_no_alarm() -> None:
    usual = Watch(Recorded(noisy("latency_avg", 30.0, spikes=True, seed=2), *QUIET), INTERVAL_S)
    assert heard(usual, 5900.0, 6500.0) == []
    never = Watch(Recorded(noisy("latency_avg", 30.0, seed=2), *QUIET), INTERVAL_S)
    assert heard(never, 5900.0, 6500.0) == ["firing"]


def test_one_incident_in_a_long_past_does_not_make_it_blind() -> None:
    times = np.arange(0.0, 90_000.0, 60.0)
    values = 10.0 + np.random.default_rng(3).normal(0, 0.5, times.size)
    values[(times >= 70_000) & (times < 70_600) | (times >= 88_000)] += 60.0
    watch = Watch(Recorded(Series("cart", "error_pct", times, values)), 60.0)
    assert heard(watch, 87_900.0, 88_500.0) == ["firing"]


def test_an_incident_in_a_short_past_does_not_make_it_blind_either() -> None:
    times = np.arange(0.0, 9000.0, INTERVAL_S)

    def broken_twice(number: int) -> Series:
        values = 10.0 + np.random.default_rng(number).normal(0, 0.5, times.size)
        values[((times >= 4000) & (times < 4300)) | (times >= 8000)] += 60.0
        return Series(f"s{number}", "error_pct", times, values)

    watch = Watch(Recorded(*(broken_twice(number) for number in range(20))), INTERVAL_S)
    assert heard(watch, 7900.0, 8300.0) == ["firing"]


def test_six_of_a_hundred_failing_is_no_small_move_of_a_success_share() -> None:
    times = np.arange(0.0, 6600.0, INTERVAL_S)
    values = 99.9 + np.random.default_rng(4).uniform(0, 0.1, times.size)
    values[times >= 6000] = 93.7
    watch = Watch(Recorded(Series("ENTRY", "success_pct", times, values)), INTERVAL_S)
    assert heard(watch, 5900.0, 6500.0) == ["firing"]


@pytest.mark.parametrize(
    ("traffic", "states"),
    [
        pytest.param(("requests_sum", 14.0), [], id="one call of fourteen"),
        pytest.param(("request_rate", 14.0 / INTERVAL_S), [], id="fourteen, told per second"),
        pytest.param(("requests_sum", 28.0), ["firing"], id="two calls"),
        pytest.param(("request_rate", 14.0), ["firing"], id="fifteen calls"),
        pytest.param(("bytes_rate", 0.1), ["firing"], id="calls that nobody counts"),
    ],
)
def test_one_call_that_fails_is_no_alarm(traffic: tuple[str, float], states: list[str]) -> None:
    times = np.arange(0.0, 6600.0, INTERVAL_S)
    share = Series("shop", "success_pct", times, np.where(times == 6000.0, 92.857, 100.0))
    calls = Series("shop", traffic[0], times, np.full(times.size, traffic[1]))
    assert heard(Watch(Recorded(share, calls, *QUIET), INTERVAL_S), 5900.0, 6060.0) == states


SERVICES = tuple(
    noisy(metric, 0.0, service=f"s{number}", seed=number).between(Window(start=3000, end=9000))
    for number in range(6)
    for metric in ("cpu_pct", "memory_bytes", "latency_avg")
)


def until(end: float, *owners: str, metrics: str = "") -> list[Series]:
    """All services, of which those named say nothing from `end` on, or not by these metrics."""
    return [
        one.between(Window(start=3000.0, end=end))
        if one.owner in owners and one.metric.startswith(metrics)
        else one
        for one in SERVICES
    ]


def named(owner: str, end: float = 9000.0, start: float = 3000.0) -> list[Series]:
    one = noisy("cpu_pct", 0.0, service=owner, seed=50)
    return [one.between(Window(start=start, end=end))]


def torn(owner: str) -> list[Series]:
    """It misses eight samples in twenty minutes all along, and then more."""
    (one,) = named(owner, end=6000.0)
    kept = (one.times % 1200) >= 8 * INTERVAL_S
    return [Series(one.owner, one.metric, one.times[kept], one.values[kept])]


@pytest.mark.parametrize(
    ("told", "states"),
    [
        pytest.param(until(6000.0, "s1"), ["firing"], id="one of six"),
        pytest.param(until(6000.0, "s1", "s2"), ["firing"], id="two of six are one alarm"),
        pytest.param(until(6000.0, *(f"s{n}" for n in range(6))), [], id="all at once"),
        pytest.param(until(6000.0, *(f"s{n}" for n in range(4))), [], id="most at once"),
        pytest.param(until(6000.0, "s1", metrics="latency"), [], id="nobody calls it"),
        pytest.param(until(6000.0, "s1", metrics="cpu"), [], id="one metric of it"),
        pytest.param([*SERVICES, *torn("s9")], [], id="it was patchy before"),
        pytest.param(
            [*until(6000.0, "s1"), *named("s1-new", start=5970.0)], [], id="renamed in a rollout"
        ),
        pytest.param(
            [*until(6000.0, "s1"), *named("billing", start=5970.0)], ["firing"], id="another is new"
        ),
        pytest.param(
            [*SERVICES, *named("cart@v1", end=6000.0), *named("cart@v2")],
            [],
            id="one version is scaled down",
        ),
        pytest.param(
            [*SERVICES, *named("cart@v1", end=6000.0), *named("shop@v2")], ["firing"], id="the last"
        ),
        pytest.param([*SERVICES, *named("node:a", end=6000.0)], [], id="a machine taken away"),
    ],
)
def test_silence_is_an_alarm_where_others_speak_on(told: list[Series], states: list[str]) -> None:
    assert heard(Watch(Recorded(*told), INTERVAL_S), 5900.0, 6180.0) == states


def dark(back: dict[str, float]) -> list[Series]:
    """Nothing is heard of anybody from 6000 on, and of each again when `back` says."""
    kept = [(one, (one.times < 6000) | (one.times >= back[one.owner])) for one in SERVICES]
    return [Series(one.owner, one.metric, one.times[here], one.values[here]) for one, here in kept]


@pytest.mark.parametrize(
    ("returns", "told"),
    [
        pytest.param(1e9, ["s1"], id="one of six does not come back"),
        pytest.param(6300.0 + 3 * INTERVAL_S, [], id="one comes back a little later"),
    ],
)
def test_after_a_total_outage_who_stays_silent_is_told(returns: float, told: list[str]) -> None:
    watch = Watch(
        Recorded(*dark({f"s{n}": 6300.0 for n in range(6)} | {"s1": returns})), INTERVAL_S
    )
    looks = np.arange(5900.0, 6500.0, INTERVAL_S)
    alerts = [alert for now in looks for alert in watch.look(float(now))]
    silent = [one for one in alerts if "nothing heard" in one.annotations["summary"]]
    assert [one.service for one in silent] == told
    assert all("没有任何数据" in one.annotations["summary_zh"] for one in silent)


def test_what_fell_silent_before_the_start_is_not_told_at_each_restart() -> None:
    assert heard(Watch(Recorded(*until(6000.0, "s1")), INTERVAL_S), 6300.0, 6500.0) == []


def test_silence_ends_when_it_is_heard_again_and_after_an_hour_of_it() -> None:
    again = [*SERVICES, *named("cart", end=6000.0), *named("cart", start=7000.0)]
    joined = Series(
        "cart",
        "cpu_pct",
        np.concatenate([one.times for one in again[-2:]]),
        np.concatenate([one.values for one in again[-2:]]),
    )
    watch = Watch(Recorded(*SERVICES, joined), INTERVAL_S)
    assert heard(watch, 5900.0, 7600.0) == ["firing", "resolved"]
    watch = Watch(Recorded(*until(5000.0, "s1")), INTERVAL_S)
    assert heard(watch, 4900.0, 8200.0) == ["firing"]
    assert heard(watch, 8200.0, 9000.0) == ["resolved"]


@pytest.mark.parametrize("versions", [("cart@v1",), tuple(f"old@v{n}" for n in range(12))])
def test_versions_that_were_removed_long_ago_hide_no_silence(versions: tuple[str, ...]) -> None:
    removed = [one for owner in versions for one in named(owner, end=5000.0)]
    last = named("cart@v2", end=8900.0)
    watch = Watch(Recorded(*SERVICES, *removed, *last), INTERVAL_S)
    assert heard(watch, 8880.0, 9000.0) == ["firing"]


def test_a_version_that_replaces_another_is_looked_at_in_the_same_shard() -> None:
    rolled = [*named("cart@v1", end=6000.0), *named("cart@v2", start=5985.0)]
    others = [one for n in range(30) for one in named(f"o{n}")]
    watch = WatchShards(
        Recorded(*others, *rolled), INTERVAL_S, 86_400.0, 4, lambda: frozenset(range(4))
    )
    looks = np.arange(5900.0, 6300.0, INTERVAL_S)
    assert [alert for now in looks for alert in watch.look(float(now))] == []


def test_what_hardly_ever_moves_may_move_a_little() -> None:
    times = np.arange(0.0, 6600.0, INTERVAL_S)
    late = times >= 6000

    def still(metric: str, level: float, step: float) -> Series:
        return Series("cart", metric, times, np.full(times.size, level) + step * late)

    names = ("descriptors_used_pct", "memory_bytes", "latency_p99")
    little = [
        still(name, level, step)
        for name, level, step in zip(names, (0.105, 3e7, 10.0), (0.01, 2e6, 0.5), strict=True)
    ]
    little.append(still("lock_wait_avg_ms", 0.07, 0.08))
    little.append(still("queue_oldest_seconds", 0.001, 0.003))
    much = [
        still(name, level, 3 * level + 2)
        for name, level in zip(names, (0.1, 3e7, 10.0), strict=True)
    ]
    assert heard(Watch(Recorded(*little), INTERVAL_S), 5900.0, 6600.0) == []
    assert heard(Watch(Recorded(*much), INTERVAL_S), 5900.0, 6600.0) == ["firing"]


def test_the_state_is_bounded_by_the_number_of_series() -> None:
    times = np.arange(0.0, 6000.0, INTERVAL_S)
    source = Recorded(Series("cart", "cpu_pct", times, np.ones(times.size)))
    watch = Watch(source, INTERVAL_S)
    watch.look(3000.0)
    before = watch.state_bytes
    for now in np.arange(3000.0, 6000.0, INTERVAL_S):
        watch.look(float(now))
    assert (watch.series, watch.state_bytes) == (1, before)


def test_a_fault_in_the_wake_of_another_is_an_alarm_of_its_own() -> None:
    broken = []
    for name in ("error_rate", "cpu_pct", "pool_in_use", "latency_avg"):
        one = noisy(name, 60.0)
        again = (one.times >= 6735) & (one.times < 7000)
        broken.append(Series(one.owner, name, one.times, one.values + np.where(again, 60.0, 0.0)))
    watch = Watch(Recorded(*broken, *QUIET), INTERVAL_S)
    assert heard(watch, 5900.0, 7000.0) == ["firing", "firing"]


def test_a_few_calls_that_fail_burn_the_budget_of_a_past_in_which_more_failed_once() -> None:
    times = np.arange(0.0, 9000.0, INTERVAL_S)
    values = np.full(times.size, 100.0)
    values[(times >= 3000) & (times < 3300)] = 50.0
    values[times >= 6000] = 90.0
    shop = Series("shop", "success_pct", times, values)
    watch = Watch(Recorded(shop, *QUIET), INTERVAL_S)
    watch.look(5900.0)
    looks = np.arange(5900.0 + INTERVAL_S, 6200.0, INTERVAL_S)
    (alert,) = [one for now in looks for one in watch.look(float(now))]
    assert "an objective of 0.996 allows" in alert.annotations["summary"]
