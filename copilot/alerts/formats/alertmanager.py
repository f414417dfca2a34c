"""Alertmanager: its webhook (version 4), and what Prometheus posts to its API v2.

Source: prometheus/alertmanager `notify/webhook/webhook.go`, `template/template.go`,
`docs/alerts_api.md`.
"""

from typing import Literal

from pydantic import Field

from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    Annotations,
    CleanName,
    CleanText,
    Labels,
    Moment,
    Payload,
    as_object,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

Status = Literal["firing", "resolved"]


OUR_LABEL = "copilot_incident"
"""The label of alerts that we post ourselves; what comes back of them is no news."""


class PostedAlert(Payload):
    """One alert as Prometheus posts it."""

    labels: Labels
    annotations: Annotations = Field(default_factory=dict)
    starts_at: Moment = Field(default=None, alias="startsAt")
    ends_at: Moment = Field(default=None, alias="endsAt")
    generator_url: CleanText = Field(default="", alias="generatorURL")


class WebhookAlert(PostedAlert):
    """One alert of a notification; `endsAt` is the year 1 while it fires."""

    status: Status | None = None
    fingerprint: CleanName = ""


class Notification(Payload):
    """The envelope of the webhook."""

    status: Status | None = None
    alerts: tuple[WebhookAlert, ...]


def webhook(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read a notification of version 4."""
    notification = read_as(Notification, document)
    return tuple(
        _notified(alert, notification.status, now)
        for alert in notification.alerts
        if OUR_LABEL not in alert.labels
    )


def posted(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read what was posted to API v2, or refuse all of it for the first alert that is wrong.

    No start means now, an end in the past means resolved, and one to come is a lease: as long as
    nobody repeats the alert it counts as resolved from then on.
    """
    if not isinstance(document, list):
        raise PayloadError("", "a list", document)
    checked = [_checked(item, f"[{position}]") for position, item in enumerate(document)]
    return tuple(_posted(alert, now) for alert in checked if OUR_LABEL not in alert.labels)


def _checked(item: object, path: str) -> PostedAlert:
    labels = as_object(part(item, "labels"))
    if isinstance(labels, dict) and any(not str(name).strip() for name in labels):
        raise PayloadError(f"{path}.labels", "labels whose names are not empty")
    alert = read_as(PostedAlert, item, path)
    if not alert.labels:
        raise PayloadError(f"{path}.labels", "at least one label that is not empty")
    began, ended = alert.starts_at, alert.ends_at
    if began is not None and ended is not None and ended < began:
        given = part(item, "endsAt")
        raise PayloadError(f"{path}.endsAt", "an end that is not before startsAt", given)
    return alert


def _notified(alert: WebhookAlert, group: Status | None, now: Timestamp) -> Alert:
    ended = alert.ends_at is not None and alert.ends_at <= now
    return normalised(
        alert.labels,
        alert.annotations,
        status=alert.status or group or ("resolved" if ended else "firing"),
        starts_at=now if alert.starts_at is None else alert.starts_at,
        ends_at=alert.ends_at,
        source="alertmanager",
        fingerprint=alert.fingerprint,
        generator_url=alert.generator_url,
    )


def _posted(alert: PostedAlert, now: Timestamp) -> Alert:
    ended = alert.ends_at is not None and alert.ends_at <= now
    return normalised(
        alert.labels,
        alert.annotations,
        status="resolved" if ended else "firing",
        starts_at=now if alert.starts_at is None else alert.starts_at,
        ends_at=alert.ends_at,
        source="prometheus",
        generator_url=alert.generator_url,
        lease=alert.ends_at,
    )


def _labelled(document: object) -> bool:
    """A list of objects with labels; a state beside them would be a dump of the API."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(has(item, "labels") and not has(item, "status") for item in document)
    )


WEBHOOK = Sender(
    "alertmanager",
    "Alertmanager webhook",
    lambda document: (
        isinstance(part(document, "alerts"), list)
        and (part(document, "version") == "4" or has(document, "groupKey"))
    ),
    webhook,
)
POSTED = Sender("alertmanager_v2", "Alertmanager API v2", _labelled, posted)
