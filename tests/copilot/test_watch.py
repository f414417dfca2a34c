"""A fault nobody wrote a rule for is seen within a minute; quiet hours stay quiet."""

import numpy as np
import pytest

from copilot.simulator import SimulatedFault, SimulatedSource, World, scenario
from copilot.watch import Watch
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
    script = scenario(kind, 2)
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


def test_one_strange_series_alone_is_no_alarm_and_an_end_is_told() -> None:
    times = np.arange(0.0, 9000.0, INTERVAL_S)
    rng = np.random.default_rng(1)

    def noisy(metric: str, broken: bool) -> Series:
        values = 10.0 + rng.normal(0, 0.5, times.size)
        values[(times >= 6000) & (times < 6600) & broken] += 100.0
        return Series("cart", metric, times, values)

    quiet = [noisy(f"latency_p{q}", False) for q in (50, 90)]
    alone = Watch(Recorded(noisy("error_pct", True), *quiet), INTERVAL_S)
    three = [noisy(name, True) for name in ("latency_p99", "cpu_pct", "error_pct")]
    together = Watch(Recorded(*three, *quiet), INTERVAL_S)
    heard: dict[str, list[str]] = {"alone": [], "together": []}
    for name, watch in (("alone", alone), ("together", together)):
        watch.look(5900.0)
        for now in np.arange(5900.0 + INTERVAL_S, 9000.0, INTERVAL_S):
            heard[name] += [alert.status for alert in watch.look(float(now))]
    assert heard == {"alone": [], "together": ["firing", "resolved"]}


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
    much = [
        still(name, level, 3 * level + 2)
        for name, level in zip(names, (0.1, 3e7, 10.0), strict=True)
    ]
    heard = {}
    for name, series in (("little", little), ("much", much)):
        watch = Watch(Recorded(*series), INTERVAL_S)
        watch.look(5900.0)
        heard[name] = [
            alert.status
            for now in np.arange(5900.0 + INTERVAL_S, 6600.0, INTERVAL_S)
            for alert in watch.look(float(now))
        ]
    assert heard == {"little": [], "much": ["firing"]}


def test_the_state_is_bounded_by_the_number_of_series() -> None:
    times = np.arange(0.0, 6000.0, INTERVAL_S)
    source = Recorded(Series("cart", "cpu_pct", times, np.ones(times.size)))
    watch = Watch(source, INTERVAL_S)
    watch.look(3000.0)
    before = watch.state_bytes
    for now in np.arange(3000.0, 6000.0, INTERVAL_S):
        watch.look(float(now))
    assert (watch.series, watch.state_bytes) == (1, before)
