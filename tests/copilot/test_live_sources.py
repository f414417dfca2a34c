"""The settings name live sources; each takes only the place of what is not configured."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from copilot import settings
from copilot.ports import RemoteSource, SourceError
from copilot.settings import SettingsError
from copilot.sources.alertmanager import SUPPRESSED_BY
from copilot.sources.connected import alertmanager, connected
from copilot.sources.deployment import Sources, UnconfiguredSource
from copilot.sources.loki import LokiSource
from copilot.sources.merged import MergedTopology
from copilot.sources.prometheus import PrometheusSource
from copilot.sources.received import ReceivedTelemetry
from copilot.sources.traces import SampledTraces
from copilot.store import Store
from copilot.surfaces.commands.serve import pull
from copilot.testing.service import CountedEngine
from tests.contracts.clocks import Standing
from tools.clusterer import Matcher, Silence
from tools.types import Alert, Edge, Span, Topology, Window

NOW = 1_767_225_600.0
EVERYTHING: dict[str, Any] = {
    "prometheus_url": "http://127.0.0.1:9",
    "loki_url": "http://127.0.0.1:9",
    "facts_url": "http://127.0.0.1:9/facts",
    "alertmanager_url": "http://127.0.0.1:9",
    "telemetry_timeout_s": 1,
}


def sources(received: ReceivedTelemetry | None = None, **flags: Any) -> Sources:
    return connected(settings.load(None, **flags), Standing(NOW), Sources(), received)


def test_what_is_named_is_connected_and_the_rest_is_not_configured() -> None:
    found = sources(**EVERYTHING)
    assert isinstance(found.metrics, PrometheusSource)
    assert isinstance(found.logs, LokiSource)
    assert isinstance(found.traces, UnconfiguredSource)
    assert isinstance(found.changes, UnconfiguredSource)
    assert isinstance(alertmanager(settings.load(None, **EVERYTHING), Standing(NOW)), RemoteSource)
    assert isinstance(sources().metrics, UnconfiguredSource)


def test_what_exporters_post_takes_the_place_of_what_nobody_named() -> None:
    received = ReceivedTelemetry(Standing(NOW))
    assert sources(received).logs is received
    assert sources(received).traces is received
    assert isinstance(sources(received, **EVERYTHING).logs, LokiSource)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"loki_url": "http://x", "elasticsearch_url": "http://y"}, "logs have one source"),
        ({"tempo_url": "http://x", "jaeger_url": "http://y"}, "traces have one source"),
        ({"facts_url": "http://x", "facts_file": Path("y")}, "facts have one source"),
        ({"loki_url": "http://x", "loki_service_label": "a b"}, "no label name"),
        ({"elasticsearch_url": "http://x", "elasticsearch_index": "A B"}, "no index"),
    ],
)
def test_settings_that_contradict_each_other_are_named(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        sources(**flags)


@pytest.mark.parametrize("named", ["tempo_url", "jaeger_url"])
def test_a_store_of_traces_tells_spans_and_the_graph(named: str) -> None:
    received = ReceivedTelemetry(Standing(NOW))
    found = sources(received, **{named: "http://127.0.0.1:9"})
    assert isinstance(found.traces, SampledTraces)
    assert found.topology() == Topology()  # nobody answers there, which harms nothing
    with pytest.raises(SourceError, match="http://127.0.0.1:9"):
        found.traces.describe()


def test_half_of_the_spans_of_a_look_are_asked_for_from_before_the_onset() -> None:
    asked: list[float | None] = []

    class Listening:
        def spans(self, window: Window, split: float | None = None) -> list[Span]:
            asked.append(split)
            return []

    Sources(traces=Listening()).look(Window(start=NOW - 60, end=NOW), NOW - 9)
    assert asked == [NOW - 9]


@pytest.mark.parametrize("name", ["metrics", "logs", "configuration"])
def test_a_server_that_is_down_is_told_by_name(name: str) -> None:
    source = getattr(sources(**EVERYTHING), name)
    with pytest.raises(SourceError, match="http://127.0.0.1:9"):
        source.describe()


class Cut(UnconfiguredSource):
    """A log that is too long."""

    def describe(self) -> str:
        return "a log that is too long"

    def problems(self) -> tuple[str, ...]:
        return ("only the first 20 lines were read",)


def test_a_look_names_what_a_source_that_answered_could_not_tell() -> None:
    window = Window(start=NOW - 60, end=NOW)
    missing = Sources(logs=Cut("logs")).look(window, NOW).missing
    assert "logs: only the first 20 lines were read" in missing


@dataclass
class Told:
    """A graph, or no answer."""

    graph: Topology | None = None

    def topology(self) -> Topology:
        if self.graph is None:
            raise SourceError("x", "is down", recoverable=True)
        return self.graph


def test_graphs_are_joined_and_one_that_does_not_answer_is_no_harm() -> None:
    spans = Topology(nodes=("web",), edges=(Edge(caller="web", callee="pay", source="traces"),))
    calls = Topology(
        nodes=("web", "pay"),
        edges=(Edge(caller="web", callee="pay"), Edge(caller="pay", callee="bank")),
        entry="web",
    )
    joined = MergedTopology([Told(spans), Told(), Told(calls)]).topology()
    assert joined.nodes == ("web", "pay")
    assert [(e.caller, e.callee, e.source) for e in joined.edges] == [
        ("web", "pay", "traces"),
        ("pay", "bank", "declared"),
    ]
    assert joined.entry == "web"
    with pytest.raises(SourceError):
        MergedTopology([Told()]).topology()


SILENCE = Silence(
    id="s1", matchers=(Matcher(label="service", value="pay"),), starts_at=NOW, ends_at=NOW + 60
)


@dataclass
class Open:
    """Holds one open alert; breaks as often as it is told to."""

    broken: int = 0
    asked: list[Window] = field(default_factory=list)

    def silences(self) -> list[Silence]:
        return [SILENCE]

    def alerts(self, window: Window) -> list[Alert]:
        self.asked.append(window)
        if len(self.asked) <= self.broken:
            raise SourceError("Alertmanager", "is down", recoverable=True)
        slow = Alert(fingerprint="f", name="Slow", service="cart", starts_at=NOW - 60)
        told = {"fingerprint": "g", "annotations": {SUPPRESSED_BY: "another"}}
        return [slow, slow.model_copy(update=told)]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store, time=NOW)
    store.close()


def test_open_alerts_are_fetched_and_count_once(engine: CountedEngine) -> None:
    source = Open(broken=1)
    with pytest.raises(SourceError, match="is down"):
        pull(engine, source)
    for _ in range(3):
        pull(engine, source)
    # The other is inhibited, and Alertmanager told nobody.
    assert (engine.alerts_accepted, engine.alerts_repeated) == (1, 2)
    assert engine.silences == (SILENCE,)
    engine.leading = False
    pull(engine, source)
    assert len(source.asked) == 4
