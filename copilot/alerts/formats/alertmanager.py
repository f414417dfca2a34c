"""Alertmanager: its webhook (version 4), and what Prometheus posts to its API v2.

Source: prometheus/alertmanager `notify/webhook/webhook.go`, `template/template.go`,
`docs/alerts_api.md`.
"""

from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from copilot.alerts.formats.errors import PayloadError, from_validation
from copilot.alerts.formats.fields import Annotations, CleanName, CleanText, Labels, Moment, Payload
from copilot.alerts.formats.normal import normalised
from tools.types import Alert, Timestamp

Status = Literal["firing", "resolved"]


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


_POSTED = TypeAdapter(list[PostedAlert])


def webhook(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read a notification of version 4."""
    try:
        notification = Notification.model_validate(document)
    except ValidationError as problem:
        raise from_validation(problem) from problem
    return tuple(_notified(alert, notification.status, now) for alert in notification.alerts)


def posted(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read what was posted to API v2: no start means now, an end in the past means resolved."""
    try:
        alerts = _POSTED.validate_python(document)
    except ValidationError as problem:
        raise from_validation(problem) from problem
    for position, alert in enumerate(alerts):
        if not alert.labels:
            raise PayloadError(f"[{position}].labels", "at least one label that is not empty")
    return tuple(_posted(alert, now) for alert in alerts)


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
        source="alertmanager",
        generator_url=alert.generator_url,
    )
