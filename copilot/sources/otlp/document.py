"""The two encodings of OTLP over HTTP, in and out; inside there is one, that of JSON."""

import json
from typing import Any, Literal

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from pydantic_core import from_json

from copilot.types.errors import OperatorError

OtlpSignal = Literal["traces", "logs", "metrics"]
JSON, PROTOBUF = "application/json", "application/x-protobuf"

_REQUESTS: dict[OtlpSignal, type[Message]] = {
    "traces": traces.ExportTraceServiceRequest,
    "logs": logs.ExportLogsServiceRequest,
    "metrics": metrics.ExportMetricsServiceRequest,
}
_RESPONSES: dict[OtlpSignal, type[Message]] = {
    "traces": traces.ExportTraceServiceResponse,
    "logs": logs.ExportLogsServiceResponse,
    "metrics": metrics.ExportMetricsServiceResponse,
}
_REJECTED: dict[OtlpSignal, str] = {
    "traces": "rejectedSpans",
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
}
_SNAKE: dict[OtlpSignal, str] = {
    "traces": "rejected_spans",
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
}
_INVALID_ARGUMENT = 3


class OtlpError(OperatorError):
    """The body is no request of OTLP; sending it again will not help."""


def decoded(body: bytes, signal: OtlpSignal, media: str) -> dict[str, Any]:
    """The request as JSON has it; ids of a protobuf request are hexadecimal as in JSON."""
    if media != PROTOBUF:
        return _json(body)
    message = _REQUESTS[signal]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise OtlpError(f"the body is no protobuf of {signal}: {error}") from error
    return MessageToDict(message, use_integers_for_enums=True)


def answered(signal: OtlpSignal, media: str, rejected: int, reason: str) -> bytes:
    """The answer to a request that was taken, wholly or in part."""
    if media != PROTOBUF:
        said = {_REJECTED[signal]: str(rejected), "errorMessage": reason}
        return json.dumps({"partialSuccess": said} if rejected else {}).encode()
    response = _RESPONSES[signal]()
    if rejected:
        partial = {_SNAKE[signal]: rejected, "error_message": reason}
        ParseDict({"partial_success": partial}, response)
    return response.SerializeToString()


def problem(media: str, said: str) -> bytes:
    """The answer to a request that was refused: a Status."""
    if media != PROTOBUF:
        return json.dumps({"code": _INVALID_ARGUMENT, "message": said}).encode()
    # google.rpc.Status: field 1 the code, field 2 the message, whose length fits one byte.
    message = said.encode("ascii", "replace")[:127]
    return bytes((0x08, _INVALID_ARGUMENT, 0x12, len(message))) + message


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise OtlpError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise OtlpError("the body is no JSON object")
    return found
