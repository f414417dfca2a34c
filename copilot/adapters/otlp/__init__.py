"""OTLP, the OpenTelemetry protocol: what an exporter posts becomes spans, log lines and
measurements.

Source: opentelemetry.io, "OTLP Specification", version 1, both encodings over HTTP.
"""

from copilot.adapters.otlp.document import OtlpError, Signal, answered, decoded, problem
from copilot.adapters.otlp.logs import lines
from copilot.adapters.otlp.metrics import points
from copilot.adapters.otlp.reading import Read
from copilot.adapters.otlp.traces import spans

__all__ = [
    "OtlpError",
    "Read",
    "Signal",
    "answered",
    "decoded",
    "lines",
    "points",
    "problem",
    "spans",
]
