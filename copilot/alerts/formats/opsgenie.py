"""Opsgenie's outgoing webhook: an action on an alert.

Source: docs.opsgenie.com/docs/marid-alert-action-data and support.atlassian.com
`opsgenie-edge-connector-alert-action-data`: createdAt in milliseconds, updatedAt in nanoseconds.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    CamelPayload,
    CleanText,
    Moment,
    Word,
    as_object,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp


class OpsgenieAlert(CamelPayload):
    """The alert that was acted on; its alias is the key that its source gave."""

    alert_id: Word = ""
    alias: Word = ""
    message: Word = ""
    description: CleanText = ""
    entity: Word = ""
    source: Word = ""
    priority: Word = ""
    created_at: Moment = None
    updated_at: Moment = None
    tags: Pairs = Field(default_factory=dict)
    details: Pairs = Field(default_factory=dict)


class OpsgenieAction(CamelPayload):
    """The body of the webhook."""

    action: Word = Field(min_length=1)
    alert: Annotated[OpsgenieAlert, BeforeValidator(as_object)] = OpsgenieAlert()


def action(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one action; notes, tags and the like change no state and make no alert."""
    read = read_as(OpsgenieAction, document)
    found = vocabulary.read_state("action", read.action, "opsgenie")
    if found.state == "quiet":
        return ()
    alert = read.alert
    key = alert.alias or alert.alert_id
    if not key:
        raise PayloadError("alert.alias", "the alias of the alert, or its alertId")
    named = {"entity": alert.entity, "priority": alert.priority}
    ended = alert.updated_at if alert.updated_at is not None else now
    return (
        normalised(
            clean_labels({**alert.tags, **alert.details, **named}),
            {"description": alert.description} if alert.description else {},
            status=found.state,
            starts_at=now if alert.created_at is None else alert.created_at,
            ends_at=ended if alert.created_at is None else max(ended, alert.created_at),
            source="opsgenie",
            fingerprint=meaning.digest("opsgenie", key),
            name=alert.message[:200] or f"alert {key}",
            severity=vocabulary.severity_of(alert.priority, "opsgenie"),
            note=found.note,
        ),
    )


OPSGENIE = Sender(
    "opsgenie",
    "Opsgenie webhook",
    lambda document: (
        has(document, "action", "alert")
        and (has(document, "integrationName") or has(part(document, "alert"), "tinyId"))
    ),
    action,
)
