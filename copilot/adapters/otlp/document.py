"""The two encodings of OTLP over HTTP, in and out; inside there is one, that of JSON."""

import json
from typing import Any, Literal

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from pydantic_core import from_json

from copilot.errors import OperatorError

Signal = Literal["traces", "logs", "metrics"]
JSON, PROTOBUF = "application/json", "application/x-protobuf"

_REQUESTS: dict[Signal, type[Message]] = {
    "traces": traces.ExportTraceServiceRequest,
    "logs": logs.ExportLogsServiceRequest,
    "metrics": metrics.ExportMetricsServiceRequest,
}
_RESPONSES: dict[Signal, type[Message]] = {
    "traces": traces.ExportTraceServiceResponse,
    "logs": logs.ExportLogsServiceResponse,
    "metrics": metrics.ExportMetricsServiceResponse,
}
_REJECTED: dict[Signal, str] = {
    "traces": "rejectedSpans",
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
}
_SNAKE: dict[Signal, str] = {
    "traces": "rejected_spans",
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
}
_INVALID_ARGUMENT = 3


class OtlpError(OperatorError):
    """The body is no request of OTLP; sending it again will not help."""


def decoded(body: bytes, signal: Signal, media: str) -> dict[str, Any]:
    """The request as JSON has it; ids of a protobuf request are hexadecimal as in JSON."""
    if media != PROTOBUF:
        return _json(body)
    message = _REQUESTS[signal]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise OtlpError(f"the body is no protobuf of {signal}: {error}") from error
    return MessageToDict(message, use_integers_for_enums=True)


def answered(signal: Signal, media: str, rejected: int, reason: str) -> bytes:
    """The answer to a request that was taken, wholly or in part."""
    if media != PROTOBUF:
        partial = {_REJECTED[signal]: str(rejected), "errorMessage": reason}
        return json.dumps({"partialSuccess": partial} if rejected else {}).encode()
    response = _RESPONSES[signal]()
    if rejected:
        partial_success = response.partial_success  # type: ignore[attr-defined]
        setattr(partial_success, _SNAKE[signal], rejected)
        partial_success.error_message = reason
    return response.SerializeToString()


def problem(media: str, said: str) -> bytes:
    """The answer to a request that was refused: a Status."""
    if media != PROTOBUF:
        return json.dumps({"code": _INVALID_ARGUMENT, "message": said}).encode()
    return Status(code=_INVALID_ARGUMENT, message=said).SerializeToString()


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise OtlpError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise OtlpError("the body is no JSON object")
    return found
