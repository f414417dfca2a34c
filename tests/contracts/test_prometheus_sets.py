"""The sets that ship, asked of a real Prometheus that scraped what each of them is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.merged import MergedMetrics
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from copilot.sources.prometheus.plan import MOST_ASKED
from copilot.sources.received import DataPoint, ReceivedTelemetry
from copilot.testing import servers
from tests.contracts import expositions
from tests.contracts.clocks import Standing
from tests.contracts.expositions import END, EVERY_S, FRAGMENTS, RESET, START
from tools.types import Edge, Series, Window


@dataclass
class Asked:
    """A source over everything that is in the table, and what one look at it found."""

    client: PrometheusClient
    source: PrometheusSource
    series: dict[str, Series]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    if not (servers.PROMETHEUS and servers.PROMTOOL):
        pytest.skip("prometheus and promtool are not installed (apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus") / "sets"
    with servers.prometheus(folder, past=expositions.openmetrics()) as url:
        api = JsonApi("Prometheus", ApiEndpoint(url))
        client = PrometheusClient(api)
        source = PrometheusSource(client, queries(), Standing(END))
        found = source.series(Window(start=START, end=END))
        assert not source.problems()
        yield Asked(client, source, {one.name: one for one in found})
        api.close()


TOLD = {
    f"{case}: {name}": (name, value)
    for case, fragment in FRAGMENTS.items()
    for name, value in fragment.told.items()
}


@pytest.mark.parametrize(("name", "value"), TOLD.values(), ids=TOLD)
def test_a_set_reads_its_signals_in_our_units_across_a_reset(
    asked: Asked, name: str, value: float
) -> None:
    one = asked.series[name]
    assert one.values[-1] == pytest.approx(value, rel=0.001)
    restarted = (one.times > START + EVERY_S * (RESET - 4)) & np.isfinite(one.values)
    assert one.values[restarted].max() <= 1.35 * abs(value) + 1e-9 or "left_s" in name


def test_every_set_that_ships_has_a_fragment() -> None:
    shipped = {query.set for query in queries()}
    assert shipped - {fragment.set for fragment in FRAGMENTS.values()} == {"scrapes"}


def test_what_one_look_asks_is_bounded(asked: Asked) -> None:
    plan = asked.source.plan()
    assert plan.left_out == 0
    assert len(plan.asked) <= MOST_ASKED


def test_proxies_and_callers_make_one_graph(asked: Asked) -> None:
    edges = asked.source.topology().edges
    assert {("till", "stock"), ("kiosk", "tickets"), ("letters", "stamps")} <= {
        (one.caller, one.callee) for one in edges
    }
    assert Edge(caller="edge", callee="lens", source="metrics") in edges


def test_the_doctor_says_which_sets_were_found_and_who_has_no_requests(asked: Asked) -> None:
    look, sets, requests = asked.source.checks()
    assert "queries a look, every 15 s" in look.found
    for fragment in FRAGMENTS.values():
        assert re.search(rf"{re.escape(fragment.set)} [1-9]", sets.found)
    assert requests.state == "ok"
    assert "cart" in requests.advice
    assert "cart" not in asked.source.checks(["cart"])[2].advice


def test_the_doctor_does_not_call_a_server_well_that_knows_of_no_request(asked: Asked) -> None:
    process = tuple(query for query in queries() if query.set in ("process", "JVM", "MySQL"))
    source = PrometheusSource(asked.client, process, Standing(END))
    _, _, requests = source.checks()
    assert (requests.state, "blog" in requests.found) == ("missing", True)
    assert "COPILOT_PROMETHEUS_QUERIES" in requests.advice
    elsewhere = ReceivedTelemetry(Standing(END))
    both = MergedMetrics(source, elsewhere)
    assert both.checks()[2].state == "missing"
    elsewhere.take_points([DataPoint(END - 5, "tram", "request_rate", "/s", "", 3.0, way="sum")])
    assert both.checks()[2].found == "measured of 1 service: tram"
