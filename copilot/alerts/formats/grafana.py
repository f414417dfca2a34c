"""Grafana Alerting: its webhook (version 1).

Source: grafana/alerting `receivers/webhook/v1/webhook.go`, `templates/template_data.go`.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts.formats import meaning
from copilot.alerts.formats.alertmanager import Status, WebhookAlert
from copilot.alerts.formats.fields import CroppedLabels, Payload, as_object
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

NO_DATA = frozenset({"DatasourceNoData", "DatasourceError"})
"""Names of alerts that say: monitoring is at fault, of the service nothing is known."""


class GrafanaAlert(WebhookAlert):
    """One alert; `values` holds what its expressions gave, by their reference letter."""

    values: Annotated[dict[str, float | str | None], BeforeValidator(as_object)] = Field(
        default_factory=dict
    )


class GrafanaNotification(Payload):
    """The envelope of the webhook."""

    status: Status | None = None
    alerts: tuple[GrafanaAlert, ...]


def webhook(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read a notification of version 1."""
    notification = read_as(GrafanaNotification, document)
    return tuple(_alert(alert, notification.status, now) for alert in notification.alerts)


def _alert(alert: GrafanaAlert, group: Status | None, now: Timestamp) -> Alert:
    labels = _public(alert.labels)
    state = alert.status or group or "firing"
    silent = state == "firing" and labels.get("alertname") in NO_DATA
    figures = (meaning.figure(value) for _, value in sorted(alert.values.items()))
    return normalised(
        labels,
        _public(alert.annotations),
        status="no_data" if silent else state,
        starts_at=now if alert.starts_at is None else alert.starts_at,
        ends_at=alert.ends_at,
        source="grafana",
        fingerprint=alert.fingerprint,
        generator_url=alert.generator_url,
        value=next((value for value in figures if value is not None), None),
    )


def _public(texts: dict[str, str]) -> dict[str, str]:
    """Without the `__x__` ones, which Grafana keeps for itself."""
    public = CroppedLabels(
        (name, text)
        for name, text in texts.items()
        if not (name.startswith("__") and name.endswith("__"))
    )
    public.dropped = texts.dropped if isinstance(texts, CroppedLabels) else 0
    return public


UNIFIED = Sender(
    "grafana",
    "Grafana alerting webhook",
    lambda document: (
        isinstance(part(document, "alerts"), list)
        and (part(document, "version") == "1" or has(document, "orgId"))
    ),
    webhook,
)
