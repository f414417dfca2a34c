"""PagerDuty Events API v2, for senders that can post to it.

Source: PagerDuty/developer-docs `02-Trigger-Events.md`, go-pagerduty `event_v2.go`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    CleanName,
    CleanText,
    Moment,
    Payload,
    as_object,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, AlertStatus, Timestamp

_STATUS: dict[str, AlertStatus] = {
    "trigger": "firing",
    "acknowledge": "acknowledged",
    "resolve": "resolved",
}


class Trouble(Payload):
    """What is wrong, and where."""

    summary: CleanText
    source: CleanName
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: Moment = None
    component: CleanName = ""
    group: CleanName = ""
    class_: CleanName = Field(default="", alias="class")
    custom_details: Annotated[dict[str, JsonValue], BeforeValidator(as_object)] = Field(
        default_factory=dict
    )


class PagerEvent(Payload):
    """One event; the routing key is a secret: it is hashed into the identity and not kept."""

    routing_key: str
    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: CleanName = ""
    payload: Trouble | None = None
    client: CleanName = ""
    client_url: CleanText = ""


def event(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event; an acknowledgement or resolution needs the key of what it is about."""
    read = read_as(PagerEvent, document)
    if read.event_action == "trigger" and read.payload is None:
        raise PayloadError("payload", "an object, since the event triggers an alert")
    if read.event_action != "trigger" and not read.dedup_key:
        raise PayloadError("dedup_key", f"the key of the alert to {read.event_action}")
    return (_alert(read, now),)


def _alert(read: PagerEvent, now: Timestamp) -> Alert:
    trouble = read.payload
    labels = {} if trouble is None else _labels(trouble)
    key = read.dedup_key or meaning.identity("", labels)
    summary = "" if trouble is None else trouble.summary
    return normalised(
        labels,
        {"summary": summary} if summary else {},
        status=_STATUS[read.event_action],
        starts_at=now if trouble is None or trouble.timestamp is None else trouble.timestamp,
        ends_at=now,
        source="pagerduty",
        fingerprint=meaning.digest(read.routing_key, key),
        name=summary[:200] or f"alert {read.dedup_key}",
        severity=vocabulary.severity_of(trouble.severity) if trouble else None,
        service=meaning.service(labels),
        generator_url=read.client_url,
    )


def _labels(trouble: Trouble) -> dict[str, str]:
    read = ((name, meaning.text(value)) for name, value in trouble.custom_details.items())
    details = {name: text for name, text in read if text}
    named = {
        "source": trouble.source,
        "component": trouble.component,
        "group": trouble.group,
        "class": trouble.class_,
        "severity": trouble.severity,
    }
    return clean_labels({**details, **{name: text for name, text in named.items() if text}})


EVENTS = Sender(
    "pagerduty",
    "PagerDuty Events API v2",
    lambda document: has(document, "routing_key", "event_action"),
    event,
)
