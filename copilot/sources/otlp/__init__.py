"""OTLP, the OpenTelemetry protocol: what an exporter posts becomes spans, log lines and
measurements.

Source: opentelemetry.io, "OTLP Specification", version 1, both encodings over HTTP.
"""

from copilot.sources.otlp.data_points import points
from copilot.sources.otlp.reading import (
    DecodeResult,
    OtlpError,
    OtlpSignal,
    answered,
    decoded,
    problem,
)
from copilot.sources.otlp.records import lines, spans

__all__ = [
    "OtlpError",
    "DecodeResult",
    "OtlpSignal",
    "answered",
    "decoded",
    "lines",
    "points",
    "problem",
    "spans",
]
