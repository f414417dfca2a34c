"""Loki and Elasticsearch: every line once, in bounds, and partial answers said to be partial."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copilot.ports import SourceError
from copilot.settings import SettingsError
from copilot.sources.elasticsearch import Documents, ElasticsearchSource
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.log_slices import Bounds
from copilot.sources.loki import LokiSource, Selector
from copilot.testing.elasticsearch import ElasticsearchServer
from copilot.testing.loki import LokiServer, PushedLine
from copilot.testing.strict_http import ReceivedRequest, ServerFailure, StrictServer, serving
from tests.contracts.clocks import Standing
from tools.types import LogLine, Window

NOW = 1_767_225_600.0
HOUR = Window(start=NOW - 3600, end=NOW)
EVERY_S = 2.5
TRACE = "5b8efff798038103d269b633813fc60c"


def moments() -> list[float]:
    """Two hours of lines, one of them at the very end, some later than the clock."""
    return [NOW - 7200 + EVERY_S * n for n in range(int(7200 / EVERY_S) + 100)]


def loki(lines: list[float], most: int = 5000) -> LokiServer:
    return LokiServer(
        [
            PushedLine(
                round(at * 1e9),
                f"took {n} ms",
                {"service_name": "cart" if n % 2 else "web", "namespace": "shop", "level": "info"},
                {"trace_id": TRACE} if n % 5 == 0 else {},
            )
            for n, at in enumerate(lines)
        ]
        + [PushedLine(round((NOW - 9) * 1e9), "not ours", {"service_name": "x", "namespace": "y"})],
        most,
    )


def elasticsearch(lines: list[float]) -> ElasticsearchServer:
    return ElasticsearchServer(
        "logs-*",
        [
            {
                "@timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
                "message": f"took {n} ms",
                "namespace": "shop",
                "log": {"level": "info"},
                **({"service.name": "cart"} if n % 2 else {"service": {"name": "web"}}),
                **({"trace": {"id": TRACE}} if n % 5 == 0 else {}),
            }
            for n, at in enumerate(lines)
        ]
        + [{"@timestamp": datetime.fromtimestamp(NOW - 9, UTC).isoformat(), "message": "no"}],
    )


@dataclass(frozen=True)
class Case:
    """A source over a server; `make` opens another with other bounds."""

    server: StrictServer
    api: JsonApi

    def source(self, most_lines: int = 40_000) -> Any:
        clock, shop = Standing(NOW), {"namespace": "shop"}
        if isinstance(self.server, LokiServer):
            selector = Selector("service_name", shop)
            return LokiSource(self.api, selector, clock, Bounds(most_lines=most_lines))
        documents = Documents(terms=shop)
        return ElasticsearchSource(self.api, documents, clock, Bounds(most_lines=most_lines))


@pytest.fixture(params=["loki", "elasticsearch"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    is_loki = request.param == "loki"
    made: StrictServer = loki(moments()) if is_loki else elasticsearch(moments())
    with serving(made) as server:
        api = JsonApi(request.param, ApiEndpoint(server.url), timeout_s=1.0, sleep=lambda _: None)
        yield Case(server, api)
        api.close()


def test_every_line_of_the_window_is_told_once_and_in_order(case: Case) -> None:
    source = case.source()
    found = source.lines(HOUR)
    expected = [at for at in moments() if HOUR.start <= at <= NOW]
    assert [one.at for one in found] == expected
    assert len({one.message for one in found}) == len(expected)
    assert {one.service for one in found} == {"cart", "web"}
    assert {one.level for one in found} == {"info"}
    assert {one.trace for one in found} == {"", TRACE}
    assert list(source.problems()) == []


def test_nothing_later_than_the_clock_and_nothing_of_the_future(case: Case) -> None:
    assert case.source().lines(Window(start=NOW - 60, end=NOW + 600))[-1].at == NOW
    assert list(case.source().lines(Window(start=NOW + 1, end=NOW + 600))) == []


def test_history_ends_before_the_moment_asked_for(case: Case) -> None:
    found = case.source().baseline_lines(NOW - 1800)
    assert found[-1].at < NOW - 1800
    assert found[0].at == NOW - 1800 - 3600


def test_a_log_that_is_too_long_is_read_evenly_and_said_to_be_cut(case: Case) -> None:
    source = case.source(most_lines=240)
    found = source.lines(HOUR)
    assert len(found) == 240
    assert {int((one.at - HOUR.start) // 300) for one in found} == set(range(12))
    assert source.problems() == ("in 12 of 12 parts of 300 s only the first 20 lines were read",)
    assert len(case.server.asked) == 12


@pytest.mark.parametrize("failure", ["busy", "broken", "unavailable", "partial", "hung up"])
def test_a_passing_fault_is_asked_again(case: Case, failure: ServerFailure) -> None:
    case.server.failures.extend([failure, failure])
    assert case.source().lines(HOUR)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("forbidden", "403"),
        ("redirect", "redirects"),
        ("page", "is this the right address"),
        ("silent", "no answer within"),
    ],
)
def test_what_stays_wrong_is_named(case: Case, failure: ServerFailure, said: str) -> None:
    case.server.failures.extend([failure] * 3)
    with pytest.raises(SourceError, match=said):
        case.source().lines(HOUR)


def test_it_says_where_it_is_and_how_much_it_tells(case: Case) -> None:
    assert case.source().describe().endswith("121 lines of 2 services in 5 minutes")


# --- what only one of them has -----------------------------------------------------------------


def test_a_stricter_limit_of_loki_is_learned_and_pages_follow_each_other() -> None:
    with serving(loki(moments(), most=200)) as server:
        api = JsonApi("Loki", ApiEndpoint(server.url))
        source = LokiSource(api, Selector("service_name", {"namespace": "shop"}), Standing(NOW))
        found = source.lines(Window(start=NOW - 30, end=NOW))
        assert len(found) == 13
        long = source.lines(HOUR)
        assert len(long) == len({one.message for one in long}) == 1441
        assert [asked.one("limit") for asked in server.asked[:2]] == ["5000", "2500"]
        api.close()


def test_many_lines_of_one_moment_do_not_hold_loki_up() -> None:
    burst = [NOW - 100.0] * 450 + [NOW - 50.0]
    with serving(loki(burst, most=100)) as server:
        api = JsonApi("Loki", ApiEndpoint(server.url))
        source = LokiSource(api, Selector(), Standing(NOW))
        found = source.lines(Window(start=NOW - 110, end=NOW))
        assert found[-1].at == NOW - 9
        assert NOW - 50.0 in {one.at for one in found}
        assert len(server.asked) < 40
        api.close()


def test_an_answer_of_a_part_of_the_cluster_says_so() -> None:
    with serving(elasticsearch(moments())) as server:
        server.failed, server.late = 2, True
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))
        source = ElasticsearchSource(api, Documents(), Standing(NOW))
        assert source.lines(HOUR)
        assert list(source.problems()) == [
            "the cluster ran out of time and answered with a part",
            "2 of 5 shards failed",
        ]
        api.close()


def test_an_index_that_is_not_there_is_named() -> None:
    with serving(elasticsearch([])) as server:
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))
        with pytest.raises(SourceError, match="no such index") as told:
            ElasticsearchSource(api, Documents(index="other"), Standing(NOW)).lines(HOUR)
        assert not told.value.recoverable
        api.close()


@pytest.mark.parametrize("index", ["", "../x", "a b", "a/b", "A", "_all/_search?", "x" * 300])
def test_an_index_that_is_none_is_refused(index: str) -> None:
    with pytest.raises(SettingsError, match="no index"):
        Documents(index=index)


@pytest.mark.parametrize("name", ["", 'a"', "a b", "1a", "a}"])
def test_a_label_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no label"):
        Selector(name)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_value_can_leave_its_quotes(text: str) -> None:
    line = "a line that is longer than any namespace"
    server = LokiServer([PushedLine(1, line, {"service_name": "cart", "namespace": text})])
    try:
        query = Selector("service_name", {"namespace": text}).render()
        asked = {"query": query, "start": "0", "end": "9", "limit": "5", "direction": "forward"}
        reply = server.reply(_asked(asked))
        assert json.dumps(reply.document).count(line) == 1, (query, reply)
    finally:
        server.server_close()


def _asked(parameters: dict[str, str]) -> ReceivedRequest:
    query = {name: [value] for name, value in parameters.items()}
    return ReceivedRequest("GET", "/loki/api/v1/query_range", query, {}, b"")


def test_a_line_without_anything_is_still_a_line() -> None:
    documents = [{"@timestamp": datetime.fromtimestamp(NOW - 5, UTC).isoformat()}]
    with serving(ElasticsearchServer("logs-*", documents)) as server:
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))
        found = ElasticsearchSource(api, Documents(), Standing(NOW)).lines(HOUR)
        assert list(found) == [LogLine(NOW - 5, "", "", "", "")]
        api.close()


def test_lines_of_one_writer_are_one_stream_whatever_labels_their_levels_are() -> None:
    pod = {"service_name": "cart", "pod": "cart-1"}
    pushed = [
        PushedLine(round((NOW - 9) * 1e9), "order failed", {**pod, "level": "error"}),
        PushedLine(round((NOW - 8) * 1e9), "a part", pod, {"logtag": "P"}),
        PushedLine(round((NOW - 7) * 1e9), "x", pod, {"exception_message": "no row"}),
        PushedLine(round((NOW - 6) * 1e9), "y", pod, {"k8s_container_name": "proxy"}),
    ]
    with serving(LokiServer(pushed)) as server:
        api = JsonApi("Loki", ApiEndpoint(server.url))
        found = LokiSource(api, Selector(), Standing(NOW)).lines(HOUR)
        api.close()
    assert [line.cut for line in found] == [False, True, False, False]
    assert found[2].message == "x\nno row"
    assert found[0].stream == found[1].stream == found[2].stream != found[3].stream


DOCUMENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a pod's container": (
        {"kubernetes": {"pod": {"name": "cart-1"}, "container": {"name": "app"}}},
        {"stream": "cart-1 app", "service": "app"},
    ),
    "a file": ({"log.file.path": "/var/log/a.log"}, {"stream": "/var/log/a.log"}),
    "a part, by containerd": ({"logtag": "P"}, {"cut": True}),
    "a part, by Docker": ({"partial_message": True, "partial_last": "false"}, {"cut": True}),
    "the last part": ({"partial_message": "true", "partial_last": "true"}, {"cut": False}),
    "an exception beside it": (
        {"message": "failed", "error": {"type": "a.XError", "message": "no row"}},
        {"message": "failed\na.XError: no row"},
    ),
    "a body that is an object": (
        {"body": {"structured": {"Message": "no row"}}},
        {"message": '{"Message": "no row"}'},
    ),
    "a body of OpenTelemetry": ({"body": {"text": "no row"}}, {"message": "no row"}),
}


@pytest.mark.parametrize(("fields", "told"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_shippers_write_beside_a_message_is_read(
    fields: dict[str, Any], told: dict[str, Any]
) -> None:
    document = {"@timestamp": datetime.fromtimestamp(NOW - 5, UTC).isoformat(), **fields}
    with serving(ElasticsearchServer("logs-*", [document])) as server:
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))
        (line,) = ElasticsearchSource(api, Documents(), Standing(NOW)).lines(HOUR)
        api.close()
    assert {name: getattr(line, name) for name in told} == told


def test_lines_of_one_millisecond_stand_in_the_order_of_their_file() -> None:
    at = datetime.fromtimestamp(NOW - 5, UTC).isoformat()
    texts = ["failed", "a.XError: no row", "\tat a.B(C.java:1)"]
    written = [
        {"@timestamp": at, "message": text, "log": {"offset": 900 + 99 * n}}
        for n, text in enumerate(texts)
    ]
    with serving(ElasticsearchServer("logs-*", written[::-1])) as server:
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))
        found = ElasticsearchSource(api, Documents(), Standing(NOW)).lines(HOUR)
        api.close()
    assert [line.message for line in found] == texts
