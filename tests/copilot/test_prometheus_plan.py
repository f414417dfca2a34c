"""What a look at a server costs: names once, labels seldom, and never more than is allowed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from copilot.ports import SourceError
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, Query, queries
from copilot.sources.prometheus.plan import KNOWN_S, MOST_ASKED, QueryPlanner
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving
from tests.contracts.clocks import Standing
from tools.types import Window

NOW = 1_767_225_600.0
SERVED = "http_server_request_duration_seconds"


class NamesServer(StrictServer):
    """Knows these metrics; `natives` are those whose series are histograms."""

    name = "Prometheus"

    def __init__(self, metrics: tuple[str, ...], natives: tuple[str, ...], version: int) -> None:
        super().__init__()
        self.lacking: str = ""
        self.metrics, self.natives, self.version = metrics, natives, version

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        match asked.path:
            case "/api/v1/label/__name__/values":
                return _success(list(self.metrics))
            case "/api/v1/labels":
                return _success(["__name__", "service", "job", "instance"])
            case "/api/v1/targets":
                return _success({"activeTargets": []})
            case "/api/v1/query" if self.version < 240 and "histogram_" in asked.one("query"):
                said = {"status": "error", "errorType": "bad_data", "error": "unknown function"}
                return HttpReply(400, said)
            case "/api/v1/query":
                held = any(f"({name})" in asked.one("query") for name in self.natives)
                held = held or (self.lacking + '=""' in asked.one("query") and bool(self.lacking))
                result = [{"metric": {}, "value": [NOW, "3"]}] if held else []
                return _success({"resultType": "vector", "result": result})
            case _:
                return _success({"resultType": "matrix", "result": []})


def _success(data: object) -> HttpReply:
    return HttpReply(200, {"status": "success", "data": data})


@pytest.fixture
def newer() -> Iterator[NamesServer]:
    with serving(NamesServer((SERVED, "up"), (SERVED,), version=242)) as server:
        yield server


@pytest.fixture
def client(newer: NamesServer) -> Iterator[PrometheusClient]:
    with asking(newer) as opened:
        yield opened


@contextmanager
def asking(server: StrictServer) -> Iterator[PrometheusClient]:
    opened = PrometheusClient(JsonApi("Prometheus", ApiEndpoint(server.url), sleep=lambda _: None))
    try:
        yield opened
    finally:
        opened.close()


FORMS = {
    "native": ((SERVED,), (SERVED,), 242, {"native"}),
    "a gauge of that name": ((SERVED,), (), 242, set()),
    "a server from before native histograms": ((SERVED,), (), 230, set()),
    "classic": ((f"{SERVED}_bucket", f"{SERVED}_sum", f"{SERVED}_count"), (), 242, {"classic"}),
    "both, of services that change one by one": (
        (f"{SERVED}_bucket", f"{SERVED}_sum", f"{SERVED}_count", SERVED),
        (SERVED,),
        242,
        {"native", "classic"},
    ),
}


@pytest.mark.parametrize(("names", "natives", "version", "forms"), FORMS.values(), ids=FORMS)
def test_a_histogram_is_asked_for_in_the_forms_the_server_has(
    names: tuple[str, ...], natives: tuple[str, ...], version: int, forms: set[str]
) -> None:
    with (
        serving(NamesServer((*names, "up"), natives, version)) as server,
        asking(server) as client,
    ):
        plan = QueryPlanner(client, queries(), 0).plan(NOW)
    asked = [one for one in plan.asked if one.query.of != "up"]
    assert {one.form for one in asked} == forms
    if "native" in forms:
        native = {one.query.metric for one in asked if one.form == "native"}
        assert native >= {"request_rate", "latency_p95_ms", "latency_avg_ms"}


def test_what_was_learned_of_a_metric_is_not_asked_every_minute(
    newer: NamesServer, client: PrometheusClient
) -> None:
    planner = QueryPlanner(client, queries(), 0)
    first = planner.plan(NOW)
    newer.asked.clear()
    assert planner.plan(NOW + 60) == first
    paths = [one.path for one in newer.asked]
    assert sorted(paths) == ["/api/v1/label/__name__/values", "/api/v1/targets"]
    newer.asked.clear()
    planner.plan(NOW + KNOWN_S + 60)
    assert "/api/v1/labels" in {one.path for one in newer.asked}


def test_a_server_that_fails_while_it_is_looked_at_is_told_as_that(
    newer: NamesServer, client: PrometheusClient
) -> None:
    planner = QueryPlanner(client, queries(), 0)
    newer.failures.extend(["broken"] * 3)
    with pytest.raises(SourceError, match="Prometheus at"):
        planner.plan(NOW)


def test_more_queries_than_one_look_may_ask_are_left_out_and_told(
    newer: NamesServer, client: PrometheusClient
) -> None:
    many = tuple(Query(metric=f"m{n}", shape="max", of="up") for n in range(MOST_ASKED + 7))
    source = PrometheusSource(client, many, Standing(NOW))
    newer.asked.clear()
    source.series(Window(start=NOW - 60, end=NOW))
    ranges = [one for one in newer.asked if one.path == "/api/v1/query_range"]
    assert len(ranges) == MOST_ASKED
    assert source.problems() == (f"7 queries are left out: a look asks {MOST_ASKED}",)


def test_other_labels_are_only_read_where_a_series_lacks_the_first(
    newer: NamesServer, client: PrometheusClient
) -> None:
    (everywhere,) = QueryPlanner(client, _up(), 0).plan(NOW).asked
    assert "label_replace" not in everywhere.expression
    assert "sum by (service)" in everywhere.expression
    newer.lacking = "service"
    (some,) = QueryPlanner(client, _up(), 0).plan(NOW).asked
    assert some.expression.count("label_replace") == 2


def _up() -> tuple[Query, ...]:
    return (Query(metric="instances_up", shape="sum", of="up"),)


HEAD = '{"status":"success","data":{"resultType":"matrix","result":['


@pytest.mark.parametrize(
    ("series", "values"),
    [
        pytest.param(
            '{"metric":{"a":"b"},"values":[[1,"2.5"],[2,"NaN"]]}', [2.5, None], id="usual"
        ),
        pytest.param(
            r'{"metric":{"a":"{\"metric\":{},\"values\":[["},"values":[[1,"-Inf"]]}',
            [float("-inf")],
            id="a label that looks like a series",
        ),
        pytest.param('{"values":[[1,"3"]],"metric":{"a":"b"}}', [3.0], id="in another order"),
        pytest.param(' {"metric": {"a": "b"}, "values": [[1, "3"]]}', [3.0], id="with spaces"),
    ],
)
def test_a_range_is_read_however_it_is_laid_out(series: str, values: list[float | None]) -> None:
    class OneRange(StrictServer):
        name = "Prometheus"

        def reply(self, asked: ReceivedRequest) -> HttpReply:
            return HttpReply(200, f"{HEAD}{series}]}}}}".encode())

    with serving(OneRange()) as server, asking(server) as opened:
        (found,) = opened.range("up", 1.0, 2.0, 1.0)
    told = [None if value != value else value for value in found.values.tolist()]
    assert told == values
