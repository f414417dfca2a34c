"""What every source of traces promises, held against all there are, and what stores add to it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from copilot.ports import SourceError
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.traces import SampledTraces
from copilot.sources.traces.jaeger import JaegerStore
from copilot.sources.traces.tempo import TempoStore
from copilot.testing.jaeger import JaegerServer
from copilot.testing.strict_http import (
    HttpReply,
    ReceivedRequest,
    ServerFailure,
    StrictServer,
    serving,
)
from copilot.testing.tempo import TempoServer
from copilot.testing.traces import ExportedSpan, checkout
from tests.contracts.clocks import Standing
from tests.contracts.telemetry_cases import NOW, SOURCES, Case
from tools.topology_walker import observe
from tools.types import Span, Telemetry, Window

HOUR = Window(start=NOW - 3600, end=NOW)
ONSET = NOW - 300


@cache
def hour(every_s: float = 6.0) -> tuple[ExportedSpan, ...]:
    """Requests to a shop, a little longer than the hour, some of them later than the clock.

    Since the onset `pay` takes 0.4 s more and one request in three fails there; before, one in 50.
    """
    found: list[ExportedSpan] = []
    for n in range(int(4200 / every_s)):
        at = NOW - 3900 + every_s * n
        since = at >= ONSET
        failed = "pay" if n % (3 if since else 50) == 1 else ""
        found += checkout(n + 1, at, slow="pay", slow_s=0.4 * since, failed=failed)
    return tuple(found)


def tempo(spans: Sequence[ExportedSpan]) -> StrictServer:
    return TempoServer(spans)


def old_tempo(spans: Sequence[ExportedSpan]) -> StrictServer:
    return TempoServer(spans, old=True)


def jaeger(spans: Sequence[ExportedSpan]) -> StrictServer:
    return JaegerServer(spans, versions=(1, 3))


def jaeger_v3(spans: Sequence[ExportedSpan]) -> StrictServer:
    return JaegerServer(spans, versions=(3,))


def jaeger_v3_of_old(spans: Sequence[ExportedSpan]) -> StrictServer:
    return JaegerServer(spans, versions=(3,), camel=False)


STORES: dict[str, Callable[[Sequence[ExportedSpan]], StrictServer]] = {
    "tempo": tempo,
    "tempo before 2.7": old_tempo,
    "jaeger": jaeger,
    "jaeger v3 alone": jaeger_v3,
    "jaeger v3, old names": jaeger_v3_of_old,
}


OPENED: list[JsonApi] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def reading(server: StrictServer, most: int = 200, path: str = "", **given: Any) -> SampledTraces:
    """A source over a server; `given` is what its API is opened with."""
    address = ApiEndpoint(server.url + path, headers=given.pop("headers", None))
    api = JsonApi(server.name, address, timeout_s=1, sleep=lambda _: None, **given)
    OPENED.append(api)
    store = TempoStore(api) if isinstance(server, TempoServer) else JaegerStore(api)
    return SampledTraces(store, Standing(NOW), most_traces=most)


@dataclass(frozen=True)
class Stored:
    """A store that holds the hour, and the source that reads it."""

    server: StrictServer
    source: SampledTraces
    make: Callable[[Sequence[ExportedSpan]], StrictServer]


@pytest.fixture(params=STORES)
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    with serving(STORES[request.param](hour())) as server:
        yield Stored(server, reading(server), STORES[request.param])


@dataclass(frozen=True)
class Sampled:
    """What one look around the onset told of the hour."""

    spans: Sequence[Span]
    problems: Sequence[str]


@pytest.fixture(params=STORES, scope="module")
def sampled(request: pytest.FixtureRequest) -> Iterator[Sampled]:
    with serving(STORES[request.param](hour())) as server:
        source = reading(server)
        yield Sampled(source.spans(HOUR, ONSET), source.problems())


# --- the contract ------------------------------------------------------------------------------


@pytest.fixture(params=[*SOURCES, *STORES])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param in SOURCES:
        yield SOURCES[request.param]()
        return
    with serving(STORES[request.param](hour())) as server:
        yield Case(reading(server), NOW, HOUR)


def test_spans_began_inside_the_window_and_have_ended(case: Case) -> None:
    found = case.source.spans(Window(start=case.known.start, end=case.now + 900))
    assert found
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert all(case.known.start <= one.at and one.at + one.seconds <= case.now for one in found)


def test_a_span_is_told_once_wherever_the_split_lies(case: Case) -> None:
    for split in (None, case.known.start - 9, case.known.start + case.known.seconds / 2, case.now):
        found = case.source.spans(case.known, split)
        assert found
        assert max(Counter((one.trace, one.span) for one in found).values()) == 1


def test_the_future_holds_nothing(case: Case) -> None:
    assert list(case.source.spans(Window(start=case.now + 60, end=case.now + 600))) == []


# --- samples -----------------------------------------------------------------------------------


def test_spans_are_told_as_they_were_exported(sampled: Sampled) -> None:
    exported = {(one.span.trace, one.span.span): one.span for one in hour()}
    found = sampled.spans
    for one in found:
        told = exported[one.trace, one.span]
        assert one.at == pytest.approx(told.at, abs=1e-5)
        assert one.seconds == pytest.approx(told.seconds, abs=1e-5)
        assert (one.parent, one.service, one.operation, one.error) == (
            told.parent,
            told.service,
            told.operation,
            told.error,
        )


def sides(found: Sequence[Span]) -> tuple[set[str], set[str]]:
    """The traces of before and since the onset."""
    return {s.trace for s in found if s.at < ONSET}, {s.trace for s in found if s.at >= ONSET}


def test_both_sides_of_the_onset_get_the_same_room(sampled: Sampled) -> None:
    before, since = sides(sampled.spans)
    assert 25 <= len(before) <= 100
    assert 25 <= len(since) <= 100  # of 550 and 50 requests
    assert "the store has more" in sampled.problems[0]


def test_the_sample_is_spread_over_the_time_before(sampled: Sampled) -> None:
    before = [one.at for one in sampled.spans if one.at < ONSET]
    quarter = (ONSET - HOUR.start) / 4
    assert {int((at - HOUR.start) // quarter) for at in before} == {0, 1, 2, 3}


def test_traces_are_whole(sampled: Sampled) -> None:
    found = sampled.spans
    inner = [one for one in found if HOUR.start + 1 < one.at < NOW - 1]
    assert set(Counter(one.trace for one in inner).values()) == {3}


def test_failed_traces_are_in_the_sample_of_either_side() -> None:
    """Version 3 of older releases cannot search for them, so it is left out."""
    for name in ("tempo", "jaeger", "jaeger v3 alone"):
        with serving(STORES[name](hour())) as server:
            found = reading(server).spans(HOUR, ONSET)
            before, since = sides([one for one in found if one.error])
            assert len(before) >= 8, name  # of 11
            assert len(since) >= 10, name  # of 17


def test_what_became_slow_is_found_in_the_sample(sampled: Sampled) -> None:
    spans = sampled.spans
    window = Window(start=HOUR.start, end=NOW)
    found = observe(Telemetry(window=window, spans=tuple(spans)), ONSET)
    slower = [one for one in found if one.kind == "trace" and one.name == "self_time"]
    assert [one.subject for one in slower] == ["pay"]
    assert slower[0].value == pytest.approx(0.41, rel=0.05)


def test_a_rare_service_is_in_the_sample_of_both_sides(stored: Stored) -> None:
    rare = [checkout(9000 + n, NOW - 3500 + 100 * n, ("batch", "db")) for n in range(35)]
    spans = [*hour(), *(one for trace in rare for one in trace)]
    with serving(stored.make(spans)) as server:
        found = reading(server, most=40).spans(HOUR, ONSET)
        batch = Counter(one.at < ONSET for one in found if one.service == "batch")
        assert min(batch[True], batch[False]) >= 2


def test_without_a_split_the_sample_is_of_the_whole_window(stored: Stored) -> None:
    found = stored.source.spans(HOUR)
    assert 40 <= len({one.trace for one in found}) <= 200
    assert found[0].at < NOW - 2700
    assert found[-1].at > NOW - 900


def test_a_store_that_has_little_is_read_whole_and_says_nothing() -> None:
    few = [one for n in range(3) for one in checkout(n + 1, NOW - 900 + 300 * n)]
    for name, make in STORES.items():
        with serving(make(few)) as server:
            source = reading(server)
            assert len(source.spans(HOUR, ONSET)) == 9, name
            assert list(source.problems()) == [], name


def test_a_store_without_traces_tells_none(stored: Stored) -> None:
    for make in STORES.values():
        with serving(make([])) as server:
            source = reading(server)
            assert list(source.spans(HOUR, ONSET)) == []
            assert ": 0 services " in source.describe()
            assert "no service has sent a span" in source.problems()[0]


def test_many_services_are_asked_for_a_bounded_number_of_times() -> None:
    crowd = [
        one
        for n in range(80)
        for one in checkout(n + 1, NOW - 3600 + 44 * n, ("web", f"s{n % 40}", f"t{n % 40}"))
    ]
    for name, make in STORES.items():
        with serving(make(crowd)) as server:
            found = reading(server).spans(HOUR, ONSET)
            assert found, name
            assert len({one.trace for one in found}) <= 200, name
            searches = [one for one in server.asked if "/traces/" not in one.path]
            assert len(searches) <= 302, name


# --- the graph ---------------------------------------------------------------------------------


def test_the_graph_is_who_calls_whom_in_the_sample(stored: Stored) -> None:
    graph = stored.source.topology()
    assert {(edge.caller, edge.callee) for edge in graph.edges} == {
        ("web", "cart"),
        ("cart", "pay"),
    }
    assert graph.entry == "web"
    asked = len(stored.server.asked)
    stored.source.topology()
    assert len(stored.server.asked) == asked  # it is remembered for a while


def test_a_callee_that_traces_nothing_is_in_the_graph() -> None:
    call = Span(NOW - 60, f"{1:032x}", f"{2:016x}", f"{1:016x}", "pay", "POST bank", 0.1)
    for make in STORES.values():
        with serving(
            make([*checkout(1, NOW - 60), ExportedSpan(call, "client", "bank")])
        ) as server:
            edges = reading(server).topology().edges
            assert ("pay", "bank") in {(edge.caller, edge.callee) for edge in edges}


def test_what_jaeger_has_counted_itself_is_in_the_graph() -> None:
    with serving(JaegerServer(hour(), links=[("web", "mail")])) as server:
        assert "mail" in {edge.callee for edge in reading(server).topology().edges}


# --- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["busy", "broken", "unavailable", "partial", "hung up"])
def test_a_passing_fault_is_asked_again(stored: Stored, failure: ServerFailure) -> None:
    stored.server.failures.extend([failure, failure])
    assert stored.source.spans(HOUR, ONSET)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("forbidden", "403"),
        ("redirect", "redirects to .*; is it"),
        ("page", "a web page and no JSON; is it"),
        ("silent", "no answer within 1 s"),
        ("hung up", "is it"),
    ],
)
def test_what_stays_wrong_is_named_with_where_it_should_be(
    stored: Stored, failure: ServerFailure, said: str
) -> None:
    stored.server.failures.extend([failure] * 6)
    with pytest.raises(SourceError, match=said):
        stored.source.spans(HOUR)


def test_a_search_that_fails_later_costs_only_its_part(stored: Stored) -> None:
    class Failing(type(stored.server)):  # type: ignore[misc] # either of the servers
        def reply(self, asked: ReceivedRequest) -> HttpReply:
            failed = "error" in f"{asked.query.get('q')}{asked.query.get('tags')}"
            return HttpReply(400, b"too much") if failed else super().reply(asked)

    stored.server.__class__ = Failing
    assert stored.source.spans(HOUR, ONSET)
    failed = [one for one in stored.source.problems() if "searches failed" in one]
    assert bool(failed) == ("v3" not in str(stored.server.asked[-1].path))


def test_a_store_that_always_fails_is_soon_left_alone(stored: Stored) -> None:
    class Broken(type(stored.server)):  # type: ignore[misc] # either of the servers
        def reply(self, asked: ReceivedRequest) -> HttpReply:
            listing = "service" in asked.path
            return super().reply(asked) if listing else HttpReply(400, b"nothing today")

    stored.server.__class__ = Broken
    with pytest.raises(SourceError, match="nothing today"):
        stored.source.spans(HOUR, ONSET)
    assert len(stored.server.asked) <= 6


def test_a_look_ends_in_time_with_what_it_has() -> None:
    ticks = iter(range(0, 10_000, 2))
    with serving(tempo(hour())) as server:
        api = JsonApi("Tempo", ApiEndpoint(server.url))
        OPENED.append(api)
        source = SampledTraces(TempoStore(api), Standing(NOW), elapsed=lambda: next(ticks))
        assert source.spans(HOUR, ONSET)
        assert any("took too long" in one for one in source.problems())
        assert len(server.asked) < 40


def test_clocks_that_run_ahead_are_named(stored: Stored) -> None:
    def ahead(one: ExportedSpan) -> ExportedSpan:
        early = one.span.service == "cart"
        return replace(one, span=replace(one.span, at=one.span.at + 60)) if early else one

    spans = [ahead(one) for n in range(9) for one in checkout(n + 1, NOW - 10 + n)]
    with serving(stored.make(spans)) as server:
        source = reading(server)
        assert {one.service for one in source.spans(HOUR)} == {"web", "pay"}
        said = [one for one in source.problems() if "in the future" in one]
        assert [one.split("; ")[1] for one in said] == ["check clocks: cart"]


# --- what only one of them has -----------------------------------------------------------------


def test_a_tenant_of_tempo_is_named_by_its_header() -> None:
    with serving(TempoServer(hour(), tenant="shop")) as server:
        assert reading(server, headers={"X-Scope-OrgID": "shop"}).spans(HOUR)
        with pytest.raises(
            SourceError, match="no org id; it has tenants, so set COPILOT_TEMPO_TENANT"
        ):
            reading(server).spans(HOUR)


def test_a_trace_that_is_too_large_is_told_as_far_as_tempo_gives_it() -> None:
    spans = [one for n in range(10) for one in checkout(n + 1, NOW - 100 + n, tuple("abcdefgh"))]
    with serving(TempoServer(spans, largest=5)) as server:
        source = reading(server)
        assert {one.service for one in source.spans(HOUR)} == set("abcde")
        assert "a partial trace is returned" in source.problems()[-1]
    with serving(TempoServer(spans, largest=5, old=True)) as server:
        source = reading(server)
        assert list(source.spans(HOUR)) == []
        assert "trace exceeds max size" in source.problems()[-1]


def test_a_limit_of_tempo_below_ours_is_named() -> None:
    with serving(TempoServer(hour(), most=2)) as server:
        source = reading(server)
        with pytest.raises(SourceError, match="exceeds max limit 2"):
            source.spans(HOUR, ONSET)


class Strange(TempoServer):
    """Answers a search with something that is no trace id."""

    told: object = ""

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.path == "/api/search":
            return HttpReply(200, {"traces": [{"traceID": self.told}]})
        return super().reply(asked)


@pytest.mark.parametrize("told", ["../../admin", "a?x=1", "g" * 32, "0" * 33, "", 7, None])
def test_an_id_that_is_none_is_never_asked_for(told: object) -> None:
    with serving(Strange(hour())) as server:
        server.told = told
        with pytest.raises(SourceError, match="does not document"):
            reading(server).spans(HOUR)
        assert {one.path for one in server.asked} <= {
            "/api/search",
            "/api/v2/search/tag/resource.service.name/values",
        }


def test_a_name_cannot_leave_its_quotes() -> None:
    named = ("web", 'a" || true || "', "b\\")
    with serving(TempoServer(checkout(1, NOW - 60, named))) as server:
        assert {one.service for one in reading(server).spans(HOUR)} == set(named)


def test_jaeger_is_found_below_its_base_path_and_not_at_a_page_of_it() -> None:
    with serving(JaegerServer(hour(), base="/jaeger")) as server:
        for path, found in (("/jaeger", True), ("/jaeger/", True), ("", False), ("/search", False)):
            source = reading(server, path=path)
            if found:
                assert ": 3 services " in source.describe()
                continue
            with pytest.raises(SourceError, match="base path") as told:
                source.describe()
            assert not told.value.recoverable


def test_an_answer_of_jaeger_that_is_too_large_is_asked_for_in_parts() -> None:
    with serving(JaegerServer(hour())) as server:
        assert reading(server, most_bytes=4000).spans(HOUR, ONSET)
        asked: dict[str, list[int]] = defaultdict(list)
        for one in server.asked:
            question = {name: value for name, value in one.query.items() if name != "limit"}
            asked[repr(question)].append(int(one.one("limit") or 0))
        repeated = [limits for limits in asked.values() if len(limits) > 1]
        assert repeated
        assert all(
            after == before // 2 for limits in repeated for before, after in pairwise(limits)
        )


def test_what_jaeger_says_of_a_refusal_is_told_in_its_words() -> None:
    class Refusing(JaegerServer):
        def reply(self, asked: ReceivedRequest) -> HttpReply:
            said = {"data": None, "total": 0, "errors": [{"code": 500, "msg": "no shard is there"}]}
            return super().reply(asked) if "services" in asked.path else HttpReply(500, said)

    with (
        serving(Refusing(hour())) as server,
        pytest.raises(SourceError, match="500 Internal Server Error: no shard is there$"),
    ):
        reading(server).spans(HOUR)


def test_jaegers_own_traces_are_not_of_the_system() -> None:
    own = [one for n in range(9) for one in checkout(n + 1, NOW - 90 + n, ("jaeger-query",))]
    with serving(JaegerServer(own)) as server:
        assert list(reading(server).spans(HOUR)) == []


WHOLE: dict[str, Any] = {
    "traceID": "1f",
    "spanID": "2a",
    "operationName": "GET /",
    "startTime": round((NOW - 60) * 1e6),
    "duration": 1500,
    "processID": "p1",
}
"""A span with ids as old releases write them, without leading zeros."""


@pytest.mark.parametrize(
    "wrong",
    [
        {"startTime": None},
        {"startTime": "soon"},
        {"startTime": round((NOW + 9000) * 1e6)},
        {"duration": -1},
        {"duration": 10**15},
        {"spanID": ""},
        {"spanID": "z"},
        {"spanID": "1" * 17},
        {"traceID": 7},
        {"processID": "p9"},
        {"processID": None},
    ],
    ids=json.dumps,
)
def test_a_span_of_jaeger_that_is_none_is_passed_over_and_counted(wrong: dict[str, Any]) -> None:
    class Holding(JaegerServer):
        def reply(self, asked: ReceivedRequest) -> HttpReply:
            if asked.path != "/api/traces":
                return super().reply(asked)
            spans = [WHOLE, WHOLE | {"spanID": "2b"} | wrong]
            trace = {"traceID": "1f", "spans": spans, "processes": {"p1": {"serviceName": "web"}}}
            return HttpReply(200, {"data": [trace]})

    with serving(Holding(checkout(1, NOW - 60))) as server:
        source = reading(server)
        found = source.spans(HOUR)
        assert [(one.trace, one.span) for one in found] == [(f"{0x1F:032x}", f"{0x2A:016x}")]
        assert any("passed over" in one for one in source.problems())


@pytest.mark.parametrize(
    ("tags", "failed"),
    [
        ([], False),
        ([{"key": "error", "value": True}], True),
        ([{"key": "error", "value": "true"}], True),
        ([{"key": "error", "value": False}], False),
        ([{"key": "otel.status_code", "value": "ERROR"}], True),
        ([{"key": "otel.status_code", "value": "OK"}], False),
        ([None, {"value": 1}, {"key": "error"}], False),
    ],
)
def test_what_failed_is_read_from_the_tags_of_jaeger(tags: list[Any], failed: bool) -> None:
    class Holding(JaegerServer):
        def reply(self, asked: ReceivedRequest) -> HttpReply:
            if asked.path != "/api/traces":
                return super().reply(asked)
            processes = {"p1": {"serviceName": "web"}}
            trace = {"traceID": "1f", "spans": [WHOLE | {"tags": tags}], "processes": processes}
            return HttpReply(200, {"data": [trace]})

    with serving(Holding(checkout(1, NOW - 60))) as server:
        assert [one.error for one in reading(server).spans(HOUR)] == [failed]
