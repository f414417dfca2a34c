"""What every source of metrics promises, held against the fakes and the real one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from copilot.ports import MetricSource
from copilot.sources.merged import MergedMetrics
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.sources.received import DataPoint, ReceivedTelemetry
from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import RECORDINGS
from evals.simulator import SimulatedSource, World, scenario
from tests.contracts import shop
from tests.contracts.clocks import Standing
from tools.types import Series, Window

NOW = 1_767_225_600.0


@dataclass(frozen=True)
class Case:
    """A source, where its clock stands, and a window of which it knows something."""

    source: MetricSource
    now: float
    known: Window


def simulated() -> Case:
    source = SimulatedSource(World(scenario("errors", 1)))
    source.sleep(1800)
    return Case(source, source.now(), Window(start=source.now() - 900, end=source.now()))


def recorded() -> Case:
    folder = next(path.parent for path in sorted(RECORDINGS.rglob("incident.json")))
    source = RecordedBundle(folder)
    now = source.window.end - 60.0
    return Case(RecordedBundle(folder, now), now, Window(start=source.window.start, end=now))


def prometheus(client: PrometheusClient) -> Case:
    source = PrometheusSource(client, queries(), Standing(shop.at(200)), history_s=1800)
    return Case(source, shop.at(200), Window(start=shop.at(140), end=shop.at(200)))


def told() -> list[DataPoint]:
    return [
        DataPoint(NOW - 900 + 10.0 * n, "cart", "cpu_utilization", "", pod, 0.1 + 0.01 * (n % 3))
        for n in range(100)
        for pod in ("a", "b")
    ]


def received() -> Case:
    source = ReceivedTelemetry(Standing(NOW))
    source.take_points(told())
    return Case(source, NOW, Window(start=NOW - 300, end=NOW))


def beside() -> Case:
    other = ReceivedTelemetry(Standing(NOW))
    other.take_points(replace(one, service="web") for one in told())
    return Case(MergedMetrics(other, received().source), NOW, Window(start=NOW - 300, end=NOW))


@pytest.fixture(params=["simulated", "recorded", "prometheus", "received", "beside"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "prometheus":
        yield prometheus(request.getfixturevalue("shop_client"))
    else:
        made = {
            "simulated": simulated,
            "recorded": recorded,
            "received": received,
            "beside": beside,
        }
        yield made[request.param]()


def by_name(found: Iterator[Series] | tuple[Series, ...] | list[Series]) -> dict[str, Series]:
    return {one.name: one for one in found}


def test_series_have_one_name_each_and_points_in_order_inside_the_window(case: Case) -> None:
    found = case.source.series(case.known)
    assert found
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.owner
        assert one.metric
        assert one.times.shape == one.values.shape
        assert one.times.size > 0
        assert (np.diff(one.times) > 0).all()
        assert case.known.start <= one.times[0] <= one.times[-1] <= case.known.end


def test_nothing_later_than_the_clock_is_told(case: Case) -> None:
    beyond = Window(start=case.known.start, end=case.now + 3600)
    assert max(one.times[-1] for one in case.source.series(beyond)) <= case.now


def test_a_window_in_the_future_has_no_points(case: Case) -> None:
    found = case.source.series(Window(start=case.now + 60, end=case.now + 600))
    assert sum(one.times.size for one in found) == 0


def test_the_baseline_ends_before_the_moment_asked_for(case: Case) -> None:
    before = case.known.start
    found = case.source.baseline(before)
    assert found
    assert max(one.times[-1] for one in found) < before


def test_a_moment_has_the_same_value_in_whatever_window_it_is_asked_for(case: Case) -> None:
    whole = by_name(list(case.source.series(case.known)))
    middle = 0.5 * (case.known.start + case.known.end)
    later = Window(start=middle, end=case.known.end)
    for name, part in by_name(list(case.source.series(later))).items():
        again = whole[name].between(later)
        common, one, other = np.intersect1d(part.times, again.times, return_indices=True)
        assert common.size == part.times.size
        np.testing.assert_allclose(part.values[one], again.values[other], equal_nan=True)
