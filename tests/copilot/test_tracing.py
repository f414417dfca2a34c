"""Traces of our own runs: what a receiver of OTLP gets, and what must not be in it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from copilot.case.graph import NODES
from copilot.case.tracing import SpanExport
from copilot.settings import SettingsError, load
from copilot.sources.patience import Patience, SourceQuestion
from tests.copilot.worked_incident import POOL, work_on

TOKEN = "traced-t0ken"


class Receiver(BaseHTTPRequestHandler):
    """Keeps the bodies it gets at one path."""

    bodies: list[bytes]
    tokens: set[str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.bodies.append(body)
            self.tokens.add(self.headers["authorization"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    class Fresh(Receiver):
        bodies: list[bytes] = []
        tokens: set[str | None] = set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", Fresh
        server.shutdown()


def spans_of(bodies: list[bytes]) -> list[Span]:
    return [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def said(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.mark.integration
def test_a_run_is_a_trace_of_its_nodes_and_of_what_they_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer {TOKEN}")
    with receiver() as (url, got):
        incident = work_on(load(data_dir=tmp_path, otlp_traces_url=url), POOL)
    spans = spans_of(got.bodies)
    named = {span.span_id: span for span in spans}
    runs = [span for span in spans if span.name == "run"]
    assert runs
    assert {said(run)["copilot.incident"] for run in runs} == {incident.id}
    nodes = [span for span in spans if span.name in NODES]
    assert {"triage", "gather", "locate", "brief", "diagnose", "plan", "approve"} <= {
        node.name for node in nodes
    }
    assert {named[node.parent_span_id].name for node in nodes} == {"run"}
    asked = [span for span in spans if span.name == "ask"]
    assert {said(one)["copilot.source"] for one in asked} >= {"metrics", "logs"}
    within = {named[one.parent_span_id].name for one in asked if one.parent_span_id}
    assert {"gather"} <= within <= set(NODES)  # the call graph is also asked for at the start
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans)
    # A plan that waits for a person is no fault.
    wrong = [one.name for one in (*runs, *nodes) if one.status.code == Status.STATUS_CODE_ERROR]
    assert not wrong
    assert got.tokens == {f"Bearer {TOKEN}"}
    assert not [body for body in got.bodies if TOKEN.encode() in body]


def test_a_question_that_is_asked_in_a_thread_is_of_the_node_that_asked_it() -> None:
    with receiver() as (url, got):
        export = SpanExport(url)
        patience = Patience(5.0, span=export)
        with export("gather"):
            assert patience.ask(SourceQuestion("metrics", object(), lambda: 42)) == 42
        export.close()
    asked, node = spans_of(got.bodies)
    assert (asked.name, node.name) == ("ask", "gather")
    assert (asked.parent_span_id, asked.trace_id) == (node.span_id, node.trace_id)


def test_of_an_error_a_span_has_the_class_and_no_word() -> None:
    with receiver() as (url, got):
        export = SpanExport(url)
        with pytest.raises(KeyError), export("gather"), export("ask", source="metrics"):
            raise KeyError("password=hunter2")
        export.close()
    inner, outer = spans_of(got.bodies)
    assert said(inner) == {"copilot.source": "metrics", "copilot.ended_by": "KeyError"}
    assert inner.parent_span_id == outer.span_id
    assert {inner.status.code, outer.status.code} == {Status.STATUS_CODE_ERROR}
    assert not [body for body in got.bodies if b"hunter2" in body]


@pytest.mark.integration
def test_a_receiver_that_is_away_costs_an_incident_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL + 1):
        settings = load(data_dir=tmp_path, otlp_traces_url="http://127.0.0.1:9/v1/traces")
        assert work_on(settings, POOL).brief


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="otlp_traces_url"):
        load(data_dir=tmp_path, otlp_traces_url="collector:4318")
