"""How an OTLP request is read and answered: two encodings, resources, attributes, moments.

Inside there is one encoding, that of JSON.
"""

import json
import math
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from pydantic_core import from_json

from copilot.alerts.formats.fields import clean
from copilot.types.errors import OperatorError
from tools.types import Timestamp

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


RecordT = TypeVar("RecordT")

UNKNOWN = "unknown_service"
"""What the specification calls a service that does not say its name."""

NAME_LIMIT = 200
AHEAD_S = 600.0
"""A record that lies further in the future comes from a clock nobody should believe."""

_DEPTH = 8


@dataclass(frozen=True, slots=True)
class DecodeResult(Generic[RecordT]):
    """What could be read, how many records could not, and the first reason why."""

    items: tuple[RecordT, ...]
    rejected: int = 0
    reason: str = ""


class RecordError(ValueError):
    """One record is not what the protocol says; the others may be."""


def each(
    document: Mapping[str, Any], resources: str, scopes: str, records: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every record with the name of its service; what is no object is handed on as an empty one."""
    for resource in objects(document.get(resources)):
        service = service_of(resource.get("resource"))
        for scope in objects(resource.get(scopes)):
            for record in objects(scope.get(records)):
                yield service, record


def service_of(resource: object) -> str:
    """The name of the service that a resource is."""
    told = attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
    name = told.get("service.name")
    return clean(name, NAME_LIMIT) or UNKNOWN if isinstance(name, str) else UNKNOWN


def attributes(listed: object) -> dict[str, Any]:
    """Key and value pairs as a dictionary; what is none of these is passed over."""
    return {
        pair["key"]: value(pair.get("value"))
        for pair in objects(listed)
        if isinstance(pair.get("key"), str)
    }


def value(given: object, depth: int = 0) -> Any:
    """An AnyValue as a plain value."""
    if not isinstance(given, dict) or depth > _DEPTH:
        return None
    for kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
        if kind in given:
            return given[kind]
    if "intValue" in given:
        return integer(given["intValue"])
    if isinstance(array := given.get("arrayValue"), dict):
        return [value(one, depth + 1) for one in objects(array.get("values"))]
    if isinstance(pairs := given.get("kvlistValue"), dict):
        return {
            str(pair.get("key")): value(pair.get("value"), depth + 1)
            for pair in objects(pairs.get("values"))
        }
    return None


def text(given: object) -> str:
    """An AnyValue as text: a string as it is, anything else as JSON."""
    plain = value(given)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=str)


def integer(given: object) -> int:
    """A 64-bit integer, which JSON may hold as text; 0 for anything else."""
    if isinstance(given, bool):
        return 0
    if isinstance(given, int):
        return given
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, str) and len(given) <= 20 and given.removeprefix("-").isdecimal():
        return int(given)
    return 0


def number(given: object, name: str) -> float:
    """A finite number, which JSON may hold as text where it is a 64-bit integer."""
    value = (
        float(integer(given)) if isinstance(given, str) and given.lstrip("-").isdecimal() else given
    )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name!r} has no finite value")
    try:
        found = float(value)
    except OverflowError as error:
        raise RecordError(f"{name!r} has no finite value") from error
    if not math.isfinite(found) or abs(found) > 1e300:
        raise RecordError(f"{name!r} has no finite value")
    return found


def nanoseconds(record: Mapping[str, Any], *names: str) -> int:
    """The first of these times that is told, in nanoseconds."""
    for name in names:
        told = integer(record.get(name))
        if told > 0:
            return told
    raise RecordError(f"{names[0]} is missing or no time")


def moment(nanos: int, now: Timestamp) -> Timestamp:
    """Nanoseconds as Unix seconds; refuses what lies in the future."""
    at = nanos / 1e9
    if at > now + AHEAD_S:
        raise RecordError(f"its time is {at - now:.0f} s in the future; check the sender's clock")
    return at


def identifier(given: object, size: int) -> str:
    """An id of `size` bytes in lower-case hexadecimal; '' where there is none.

    Protobuf's JSON writes bytes in base64, OTLP's in hexadecimal; their lengths tell them apart.
    """
    if not isinstance(given, str) or not given:
        return ""
    try:
        raw = bytes.fromhex(given) if len(given) == 2 * size else b64decode(given, validate=True)
    except (ValueError, Base64Error) as error:
        raise RecordError(f"{given[:40]!r} is no id of {size} bytes") from error
    if len(raw) != size:
        raise RecordError(f"{given[:40]!r} is no id of {size} bytes")
    return raw.hex() if any(raw) else ""


def objects(listed: object) -> Iterator[dict[str, Any]]:
    """The entries of a list; what is no object stands as an empty one."""
    if isinstance(listed, list):
        for one in listed:
            yield one if isinstance(one, dict) else {}
