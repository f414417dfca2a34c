"""PagerDuty webhooks v3: what PagerDuty tells others of its incidents.

Source: PagerDuty/developer-docs `docs/webhooks/01-Overview.md`.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    CleanName,
    CleanText,
    Moment,
    Payload,
    Word,
    as_object,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp


class PagerReference(Payload):
    """What PagerDuty tells of another object of its own: a service, a priority."""

    summary: CleanName = ""


Reference = Annotated[PagerReference, BeforeValidator(as_object)]


class PagerIncident(Payload):
    """The incident that an event is about."""

    id: Word = ""
    type: CleanName = ""
    incident_key: Word = ""
    status: CleanName = ""
    title: CleanText = ""
    html_url: CleanText = ""
    created_at: Moment = None
    urgency: CleanName = ""
    service: Reference = PagerReference()
    priority: Reference = PagerReference()


class PagerOutboundEvent(Payload):
    """One event of a webhook subscription."""

    event_type: CleanName = Field(min_length=1)
    occurred_at: Moment = None
    data: Annotated[PagerIncident, BeforeValidator(as_object)] = PagerIncident()


class PagerDelivery(Payload):
    """The body of the webhook."""

    event: PagerOutboundEvent


def webhook(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event; those that say nothing of an incident's state make no alert."""
    event = read_as(PagerDelivery, document).event
    kind, _, word = event.event_type.partition(".")
    state = vocabulary.state_of(word, "pagerduty") if kind == "incident" else "quiet"
    incident = event.data
    if state is None and incident.status:
        # Escalated, reassigned, of another priority: its own status tells.
        state = vocabulary.state_of(incident.status, "pagerduty")
    if state is None or state == "quiet":
        return ()
    if not (incident.id or incident.incident_key):
        raise PayloadError("event.data.id", "the id of the incident")
    named = {
        "service": incident.service.summary,
        "urgency": incident.urgency,
        "priority": incident.priority.summary,
    }
    happened = event.occurred_at if event.occurred_at is not None else now
    began = incident.created_at if incident.created_at is not None else happened
    return (
        normalised(
            clean_labels(named),
            {"summary": incident.title} if incident.title else {},
            status=state,
            starts_at=began if state != "resolved" or incident.created_at is not None else now,
            ends_at=happened,
            source="pagerduty",
            fingerprint=meaning.digest("pagerduty", incident.id or incident.incident_key),
            name=incident.title[:200] or f"incident {incident.id or incident.incident_key}",
            severity=vocabulary.severity_of(incident.priority.summary)
            or vocabulary.severity_of(incident.urgency, "pagerduty"),
            generator_url=incident.html_url,
        ),
    )


WEBHOOK = Sender(
    "pagerduty",
    "PagerDuty webhook v3",
    lambda document: has(part(document, "event"), "event_type"),
    webhook,
)
