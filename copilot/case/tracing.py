"""Traces of our own runs, by OTLP over HTTP: a span for each run, node and question to a source.

Attributes are identities and outcomes of ours, never what a source, a model or a person said; of
an error the name of its class alone. The exporter reads the standard variables, such as
`OTEL_EXPORTER_OTLP_HEADERS` for a credential. Source: opentelemetry.io, "OTLP Specification".
"""

from collections.abc import Iterator
from contextlib import contextmanager

from langgraph.errors import GraphBubbleUp
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

from copilot import __version__
from copilot.case.waiting import DueLaterError, PersonNeededError

LATE_S = 5
"""How long a receiver may take, also at the end of the process; what it does not take is lost."""

_NO_FAULT = (GraphBubbleUp, DueLaterError, PersonNeededError)
"""How a node says that it waits."""


class SpanExport:
    """Makes spans, nested by the context of the caller, and posts them in the background."""

    def __init__(self, url: str) -> None:
        about = {"service.name": "incident-copilot", "service.version": __version__}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=url, timeout=LATE_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("copilot", __version__)

    @contextmanager
    def __call__(self, name: str, **attributes: str | int) -> Iterator[None]:
        """Note how long the block takes, and by what class of error it ended."""
        about = {f"copilot.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name, attributes=about, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:  # only named: it is raised on
                span.set_attribute("copilot.ended_by", type(error).__name__)
                if not isinstance(error, _NO_FAULT):
                    span.set_status(StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Post what is left."""
        self._provider.shutdown()
