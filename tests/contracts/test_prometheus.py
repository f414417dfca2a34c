"""Prometheus, the real one: gaps, restarts, shares, edges, bounds, and text that gives orders."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copilot.ports import SourceError
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import (
    PrometheusClient,
    PrometheusSource,
    Query,
    QueryMatcher,
    queries,
)
from copilot.sources.prometheus.matchers import quoted
from tests.contracts import shop
from tests.contracts.clocks import Standing
from tools.types import Edge, Series, Topology, Window

HOUR = Window(start=shop.START, end=shop.END)


@pytest.fixture(scope="module")
def client(shop_client: PrometheusClient) -> PrometheusClient:
    return shop_client


@pytest.fixture(scope="module")
def source(client: PrometheusClient) -> PrometheusSource:
    return PrometheusSource(client, queries(), Standing(shop.END))


@pytest.fixture(scope="module")
def hour(source: PrometheusSource) -> dict[str, Series]:
    return {one.name: one for one in source.series(HOUR)}


def value(one: Series, step: int) -> float:
    return float(one.values[np.searchsorted(one.times, shop.at(step))])


def test_what_was_not_scraped_is_a_gap_and_not_a_zero(hour: dict[str, Series]) -> None:
    rate = hour["pay|request_rate"]
    inside = [value(rate, step) for step in shop.GAP]
    assert np.isnan(inside).all()
    assert value(rate, shop.GAP.start - 1) == pytest.approx(2 * shop.RATE)
    assert np.isnan(value(hour["pay|pool_used_pct"], shop.GAP.start + 2))
    assert np.isfinite(value(hour["web|request_rate"], shop.GAP.start + 2))
    assert value(hour["pay|instances_up"], shop.GAP.start + 2) == 0.0


def test_a_restart_is_no_burst_of_requests(hour: dict[str, Series]) -> None:
    rate = hour["pay|request_rate"]
    around = [value(rate, step) for step in range(shop.RESET - 5, shop.RESET + 10)]
    assert max(around) <= 2.01 * shop.RATE
    assert min(around) > 0


def test_shares_and_quantiles_are_of_the_whole_service(hour: dict[str, Series]) -> None:
    assert value(hour["pay|error_pct"], 150) == 0.0
    assert value(hour["pay|error_pct"], 240) == pytest.approx(100 / 3)
    assert value(hour["pay|latency_p95_ms"], 150) == pytest.approx(97.5)
    assert value(hour["pay|latency_p95_ms"], 240) > 2000
    assert value(hour["pay|latency_avg_ms"], 150) == pytest.approx(80)
    assert value(hour["pay|pool_used_pct"], 150) == pytest.approx(80)
    assert value(hour["web|certificate_left_s"], 240) == pytest.approx(86_400)


def test_calls_belong_to_the_edge_and_make_the_graph(
    source: PrometheusSource, hour: dict[str, Series]
) -> None:
    assert value(hour["web->pay|calls"], 150) == pytest.approx(2 * shop.RATE)
    assert hour["web->pay|latency_avg_ms"].unit == "ms"
    assert source.topology() == Topology(
        nodes=("pay", "web"),
        edges=(Edge(caller="web", callee="pay", source="metrics"),),
        entry="web",
    )


def test_a_range_of_more_points_than_the_server_allows_is_asked_in_parts(
    client: PrometheusClient,
) -> None:
    found = client.range("vector(1)", shop.START, shop.START + 24_999, 1.0)
    assert [one.times.size for one in found] == [25_000]
    assert (np.diff(found[0].times) == 1.0).all()


def test_an_answer_that_is_too_large_is_asked_for_in_halves(shop_prometheus: str) -> None:
    api = JsonApi("Prometheus", ApiEndpoint(shop_prometheus), most_bytes=20_000)
    small = PrometheusClient(api)
    found = small.range("up", shop.START, shop.END, shop.EVERY_S)
    assert [one.times.size for one in found] == [shop.COUNT] * 3
    api.close()


def test_one_query_that_fails_does_not_take_the_others_with_it(client: PrometheusClient) -> None:
    broken = Query(metric="wrong", shape="max", of="up", where=(_bad_pattern(),))
    half = PrometheusSource(client, (broken, *queries()), Standing(shop.END))
    assert {one.metric for one in half.series(HOUR)} >= {"latency_p95_ms", "instances_up"}
    assert [line[:12] for line in half.problems()] == ["wrong of up:"]
    assert "error parsing regexp" in half.problems()[0]
    alone = PrometheusSource(client, (broken,), Standing(shop.END))
    with pytest.raises(SourceError, match="error parsing regexp"):
        alone.series(HOUR)


def _bad_pattern() -> QueryMatcher:
    return QueryMatcher(label=("service",), operator="matches", values=("(",))


def test_a_server_with_none_of_the_metrics_says_what_to_do(client: PrometheusClient) -> None:
    asked = (Query(metric="x", shape="max", of="nobody_exports_this"),)
    with pytest.raises(SourceError, match="prometheus_queries"):
        PrometheusSource(client, asked, Standing(shop.END)).series(HOUR)


def test_a_server_that_is_down_is_a_source_that_did_not_answer() -> None:
    api = JsonApi("Prometheus", ApiEndpoint("http://127.0.0.1:9"), sleep=lambda _: None)
    source = PrometheusSource(PrometheusClient(api), queries(), Standing(shop.END))
    with pytest.raises(SourceError) as told:
        source.series(HOUR)
    assert told.value.recoverable
    with pytest.raises(SourceError):
        source.topology()
    api.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=40))
@pytest.mark.parametrize("operator", ["in", "not_in"])
def test_no_label_value_can_leave_its_quotes(
    client: PrometheusClient, operator: str, text: str
) -> None:
    values = (text,) if operator == "in" else (text, "web")
    matcher = QueryMatcher.model_validate(
        {"label": ("service",), "operator": operator, "values": values}
    )
    query = Query(metric="x", shape="sum", of="up", where=(matcher,))
    expression = query.render({"service"}, 60)
    assert expression is not None
    found = {one.labels["service"] for one in client.instant(expression, shop.END)}
    everything = {"pay", "web"}
    assert found == ({text} & everything if operator == "in" else everything - {text, "web"})


def test_a_value_reads_back_as_it_was_written(client: PrometheusClient) -> None:
    text = 'a"} or vector(1) #\\\n\x00\x1b‮ÿ𐍈'
    made = f'label_replace(vector(1), "said", {quoted(text.replace("$", "$$"))}, "", "")'
    assert client.instant(made, shop.END)[0].labels["said"] == text


@pytest.mark.parametrize("name", ["up{}", "a b", "", 'x"', "x" * 201, "1x", "up\n"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no metric name"):
        Query(metric="x", shape="max", of=name)
    with pytest.raises(ValueError, match="no label name"):
        QueryMatcher(label=(name,), values=("x",))


def test_series_targets_rules_and_alerts_are_read(client: PrometheusClient) -> None:
    found = client.series("up", shop.START, shop.END)
    assert {one["instance"] for one in found} == {"pay:1", "pay:2", "web:1"}
    assert client.targets() == ()
    assert client.rules() == ()
    assert client.alerts() == ()
