"""Log records of an OTLP request."""

from collections.abc import Mapping
from typing import Any

from copilot.alerts.formats.fields import clean
from copilot.sources.otlp.reading import (
    DecodeResult,
    RecordError,
    each,
    identifier,
    integer,
    moment,
    nanoseconds,
    text,
)
from tools.types import LogLine, Timestamp

_LEVELS = ((21, "FATAL"), (17, "ERROR"), (13, "WARN"), (9, "INFO"), (5, "DEBUG"), (1, "TRACE"))


def lines(document: Mapping[str, Any], now: Timestamp) -> DecodeResult[LogLine]:
    """The lines; a body that is no text is written as JSON."""
    found: list[LogLine] = []
    rejected, reason = 0, ""
    for service, record in each(document, "resourceLogs", "scopeLogs", "logRecords"):
        try:
            found.append(_line(service, record, now))
        except RecordError as error:
            rejected, reason = rejected + 1, reason or str(error)
    return DecodeResult(tuple(found), rejected, reason)


def _line(service: str, record: Mapping[str, Any], now: Timestamp) -> LogLine:
    at = moment(nanoseconds(record, "timeUnixNano", "observedTimeUnixNano"), now)
    return LogLine(
        at=at,
        service=service,
        level=_level(record),
        message=text(record.get("body")),
        trace=identifier(record.get("traceId"), 16),
    )


def _level(record: Mapping[str, Any]) -> str:
    said = record.get("severityText")
    if isinstance(said, str) and said:
        return clean(said, 20)
    number = integer(record.get("severityNumber"))
    return next((name for least, name in _LEVELS if number >= least), "")
