"""What is cited of a log is what was sent, once, whatever store it was read from."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.ports import LogSource, SourceError
from copilot.sources.deployment import Sources
from copilot.sources.elasticsearch import Documents, ElasticsearchSource
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.log_slices import DEFAULT_BOUNDS, Bounds
from copilot.sources.loki import LokiSource, Selector
from copilot.sources.received import ReceivedTelemetry
from copilot.sources.recorded import RecordedBundle
from copilot.testing.elasticsearch import ElasticsearchServer
from copilot.testing.loki import LokiServer, PushedLine
from copilot.testing.strict_http import serving
from tests.contracts.clocks import Standing
from tools.log_retriever import novelty
from tools.types import LogLine, LogReading, Timestamp, Window

NOW = 1_767_225_600.0
ONSET = NOW - 600
LOOK = Window(start=ONSET - 3600, end=NOW)
BEGIN = LOOK.start - 3600
"""Where the history of the stores begins, by default."""

DAY = 86_400.0


Store = Callable[[Sequence[LogLine], Bounds], LogSource]
"""A store with these lines in it, read within these bounds."""


@contextmanager
def loki(folder: Path) -> Iterator[Store]:
    with serving(LokiServer([])) as server:
        api = JsonApi("Loki", ApiEndpoint(server.url))

        def store(lines: Sequence[LogLine], bounds: Bounds) -> LogSource:
            server.hold([pushed(line) for line in lines])
            return LokiSource(api, Selector(), Standing(NOW), bounds)

        yield store
        api.close()


def pushed(line: LogLine) -> PushedLine:
    stream = {"service_name": line.service, "pod": line.stream}
    return PushedLine(int(Fraction(line.at) * 10**9), line.message, stream)


@contextmanager
def elasticsearch(folder: Path) -> Iterator[Store]:
    with serving(ElasticsearchServer("logs-*", [])) as server:
        api = JsonApi("Elasticsearch", ApiEndpoint(server.url))

        def store(lines: Sequence[LogLine], bounds: Bounds) -> LogSource:
            server.hold([document(line) for line in lines])
            return ElasticsearchSource(api, Documents(), Standing(NOW), bounds)

        yield store
        api.close()


def document(line: LogLine) -> dict[str, object]:
    return {
        "@timestamp": datetime.fromtimestamp(line.at, UTC).isoformat(),
        "message": line.message,
        "service": {"name": line.service},
        "kubernetes": {"pod": {"name": line.stream}},
    }


@contextmanager
def received(folder: Path) -> Iterator[Store]:
    def store(lines: Sequence[LogLine], bounds: Bounds) -> LogSource:
        source = ReceivedTelemetry(Standing(NOW), keep_s=DAY)
        source.take_lines(lines)
        return source

    yield store


@contextmanager
def recorded(folder: Path) -> Iterator[Store]:
    yield lambda lines, bounds: bundle(Path(mkdtemp(dir=folder)), lines, ())


@contextmanager
def recorded_with_history(folder: Path) -> Iterator[Store]:
    """What was written before the last quarter is another folder, three days later by its clock."""

    def store(lines: Sequence[LogLine], bounds: Bounds) -> LogSource:
        late = [line for line in lines if line.at >= ONSET - 900]
        early = [line for line in lines if line.at < ONSET - 900]
        return bundle(Path(mkdtemp(dir=folder)), late, early)

    yield store


def bundle(folder: Path, lines: Sequence[LogLine], history: Sequence[LogLine]) -> RecordedBundle:
    described = {
        "schema": "incident-bundle/1",
        "id": "counted",
        "system": "shop",
        "window": [ONSET - 900, NOW],
        "sampling_s": 60,
        "services": ["cart"],
        **({"history": "calm"} if history else {}),
    }
    (folder / "incident.json").write_text(json.dumps(described))
    write(folder, lines, 0)
    if history:
        (folder / "history" / "calm").mkdir(parents=True)
        write(folder / "history" / "calm", history, 3 * DAY)
    return RecordedBundle(folder)


def write(folder: Path, lines: Sequence[LogLine], later: float) -> None:
    rows = (
        {"ts": line.at + later, "service": line.service, "msg": line.message, "stream": line.stream}
        for line in lines
    )
    (folder / "logs.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


STORES = {
    "loki": loki,
    "elasticsearch": elasticsearch,
    "received": received,
    "recorded": recorded,
    "recorded with history": recorded_with_history,
}


@pytest.fixture(params=STORES, scope="module")
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with STORES[request.param](tmp_path_factory.mktemp("logs")) as made:
        yield made


@pytest.fixture(params=["loki", "elasticsearch"])
def bounded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with STORES[request.param](tmp_path) as made:
        yield made


def every(seconds: float, word: str, start: Timestamp, end: Timestamp) -> list[LogLine]:
    return [
        LogLine(start + seconds * n, "cart", "", f"{word} order {n}", stream="cart-1")
        for n in range(int((end - start) / seconds))
    ]


moments = st.integers(int(BEGIN) + 1, int(NOW)) | st.sampled_from(
    [int(ONSET), int(ONSET) - 1, int(LOOK.start), int(LOOK.start) - 1, int(NOW)]
)
sent_lines = st.lists(st.tuples(moments, st.sampled_from(["placed", "lost", "paid"])), max_size=60)


@settings(max_examples=15, deadline=None)
@given(sent_lines)
def test_what_is_cited_equals_what_was_sent(store: Store, sent: list[tuple[int, str]]) -> None:
    lines = [
        LogLine(float(at), "cart", "", f"{word} order {number}", stream="cart-1")
        for number, (at, word) in enumerate(sent)
    ]
    telemetry = Sources(logs=store(lines, DEFAULT_BOUNDS)).look(LOOK, ONSET).telemetry
    split = telemetry.split_log(ONSET)
    words = Counter(line.message.split()[0] for line in lines)
    assert Counter(line.message.split()[0] for line in split.lines) == words
    assert len(split.after) == sum(at >= ONSET for at, _ in sent)
    for found in novelty(split):
        if "template=" in found.query:
            word = found.excerpt.split()[0]
            assert found.figures["before"] + found.figures["after"] == words[word]
        else:
            assert found.figures["before"] + found.figures["after"] == len(lines)


def test_a_steady_log_has_neither_fallen_nor_grown(store: Store) -> None:
    source = store(every(6, "placed", BEGIN + 1, NOW), DEFAULT_BOUNDS)
    telemetry = Sources(logs=source).look(LOOK, ONSET).telemetry
    assert novelty(telemetry.split_log(ONSET)) == []


def test_a_log_of_which_a_part_is_read_has_neither_fallen_nor_grown(bounded: Store) -> None:
    source = bounded(every(1, "placed", BEGIN + 1, NOW), Bounds(most_lines=1200))
    telemetry = Sources(logs=source).look(LOOK, ONSET).telemetry
    assert len(telemetry.log_gaps) == 24
    assert novelty(telemetry.split_log(ONSET)) == []


def test_what_made_place_for_others_is_no_silence() -> None:
    """The noisy service keeps its last minutes only; the other's past is whole."""
    source = ReceivedTelemetry(Standing(NOW), keep_s=DAY, most_bytes=1_200_000)
    steady = [*every(2, "placed", BEGIN, NOW)]
    source.take_lines(steady)
    source.take_lines(
        LogLine(one.at, "paid", "", one.message) for one in every(60, "p", BEGIN, NOW)
    )
    telemetry = Sources(logs=source).look(LOOK, ONSET).telemetry
    assert {gap.service for gap in telemetry.log_gaps} == {"cart"}
    assert novelty(telemetry.split_log(ONSET)) == []


def test_a_trace_of_lines_is_one_record_of_its_pod(store: Store) -> None:
    trace = ("order 7 failed", "shop.StoreError: no row", "\tat shop.Store.read(Store.java:4)")
    lines = [
        LogLine(NOW - 60 + 0.001 * n, "cart", "", text, stream=pod)
        for n, text in enumerate(trace)
        for pod in ("cart-1", "cart-2")
    ]
    look = Sources(logs=store(lines, DEFAULT_BOUNDS)).look(LOOK, ONSET)
    told = [line.message for line in look.telemetry.logs]
    assert told == ["\n".join(trace)] * 2


class _Overlapping:
    """A store that tells more of the past than it was asked for."""

    def __init__(self, lines: Sequence[LogLine]) -> None:
        self._read = LogReading(tuple(lines))

    def lines(self, window: Window) -> LogReading:
        return self._read

    def baseline_lines(self, before: Timestamp) -> LogReading:
        return self._read


def test_a_store_that_tells_too_much_is_cut_where_the_look_begins() -> None:
    lines = every(60, "placed", BEGIN, NOW + 600)
    seen = Sources(logs=_Overlapping(lines)).look(LOOK, ONSET).telemetry
    assert [line.at for line in seen.logs] == [line.at for line in lines if line.at <= NOW]


def test_a_past_that_cannot_be_read_is_unknown_and_a_window_that_cannot_is_said() -> None:
    class Failing(_Overlapping):
        def baseline_lines(self, before: Timestamp) -> LogReading:
            raise SourceError("store", "is down", recoverable=True)

    lines = every(60, "placed", BEGIN, NOW)
    look = Sources(logs=Failing(lines)).look(LOOK, ONSET)
    assert len(look.telemetry.logs) == sum(line.at in LOOK for line in lines)
    assert not any(told.startswith("logs") for told in look.missing)
    quiet = Sources(logs=_Overlapping(every(60, "placed", BEGIN, LOOK.start))).look(LOOK, ONSET)
    assert "logs: nothing recorded in this window" in quiet.missing


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1.7e18])
def test_a_line_of_no_time_is_left_out_and_breaks_nothing(at: float) -> None:
    lines = [*every(60, "placed", BEGIN, NOW), LogLine(at, "cart", "", "of no time")]
    seen = Sources(logs=_Overlapping(lines)).look(LOOK, ONSET).telemetry
    assert [line.at for line in seen.logs if math.isfinite(line.at)] == [x.at for x in lines[:-1]]
    assert novelty(seen.split_log(ONSET)) == []
