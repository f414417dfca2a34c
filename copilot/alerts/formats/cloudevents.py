"""CloudEvents 1.0: the envelope is taken off, and what is inside is read by what it is.

Source: cloudevents/spec `cloudevents.json`, HTTP binding (structured, batched and binary mode).
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping

from pydantic import Field, JsonValue

from copilot.alerts.formats import generic
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanName, Moment, Payload
from copilot.alerts.formats.sender import PayloadReader, read_as
from tools.types import Alert, Timestamp

PayloadSniffer = Callable[[object], PayloadReader | None]


class CloudEvent(Payload):
    """The envelope."""

    specversion: CleanName
    id: CleanName = Field(min_length=1)
    source: CleanName = Field(min_length=1)
    type: CleanName = Field(min_length=1)
    subject: CleanName = ""
    time: Moment = None
    data: JsonValue = None
    data_base64: str | None = None


def events(
    document: object, now: Timestamp, headers: Mapping[str, str], sniff: PayloadSniffer
) -> tuple[Alert, ...]:
    """Read one event, a batch, or in binary mode (`ce-` headers) the data of one event."""
    return tuple(
        alert
        for path, event in _envelopes(document, headers)
        for alert in _alerts(_read(event, path), path, now, sniff)
    )


def _envelopes(document: object, headers: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    attributes = {
        name.lower()[3:]: value for name, value in headers.items() if name.lower().startswith("ce-")
    }
    if attributes:
        yield "", {**attributes, "data": document}
    elif isinstance(document, list):
        yield from ((f"[{position}]", event) for position, event in enumerate(document))
    else:
        yield "", document


def _read(event: object, path: str) -> CloudEvent:
    read = read_as(CloudEvent, event, path)
    if not read.specversion.startswith("1."):
        raise PayloadError(f"{path}specversion", "version 1.0", read.specversion)
    return read


def _alerts(
    event: CloudEvent, path: str, now: Timestamp, sniff: PayloadSniffer
) -> tuple[Alert, ...]:
    content = _content(event, path)
    reader = sniff(content)
    if reader is not None:
        return reader(content, now)
    fields = content if isinstance(content, dict) else {}
    envelope = {
        "alertname": event.type,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
    }
    return generic.alerts(
        fields if event.time is None else {"at": event.time, **fields},
        now,
        source="cloudevents",
        context={name: text for name, text in envelope.items() if text},
    )


def _content(event: CloudEvent, path: str) -> object:
    if event.data_base64 is None:
        return event.data
    try:
        return decoded(base64.b64decode(event.data_base64, validate=True))
    except binascii.Error as problem:
        raise PayloadError(f"{path}data_base64", "base64") from problem
