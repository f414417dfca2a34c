"""Azure Monitor: the common alert schema of an action group.

Source: MicrosoftDocs/azure-monitor-docs `articles/azure-monitor/alerts/alerts-common-schema.md`.
A fired alert may carry a `resolvedDateTime`, too: only `monitorCondition` tells the state.
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
from copilot.alerts.formats.sender import Sender, part, read_as
from tools.types import Alert, Timestamp


class AzureEssentials(CamelPayload):
    """The fields that all kinds of alerts share."""

    alert_id: Word = ""
    origin_alert_id: Word = ""
    alert_rule: Word = ""
    severity: Word = ""
    signal_type: Word = ""
    monitor_condition: Word = ""
    monitoring_service: Word = ""
    target_ids: list[Word] | None = Field(default=None, alias="alertTargetIDs")
    configuration_items: list[Word] | None = None
    fired: Moment = Field(default=None, alias="firedDateTime")
    resolved: Moment = Field(default=None, alias="resolvedDateTime")
    description: CleanText = ""


class AzureCondition(CamelPayload):
    """One condition of a metric alert."""

    metric_name: Word = ""
    metric_value: object = None
    dimensions: Pairs = Field(default_factory=dict)


class AzureConditions(CamelPayload):
    """The conditions that all hold."""

    all_of: list[AzureCondition] | None = None


class AzureContext(CamelPayload):
    """What differs by the kind of alert."""

    condition: Annotated[AzureConditions, BeforeValidator(as_object)] = AzureConditions()


class AzureData(CamelPayload):
    """The alert."""

    essentials: AzureEssentials
    alert_context: Annotated[AzureContext, BeforeValidator(as_object)] = AzureContext()
    custom_properties: Pairs = Field(default_factory=dict)


class AzureNotification(CamelPayload):
    """The body of the webhook."""

    data: AzureData


def notification(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one alert; the alert's own id is the same when it fires and when it is resolved."""
    data = read_as(AzureNotification, document).data
    told = data.essentials
    key = told.alert_id or told.origin_alert_id
    if not (key or told.alert_rule):
        raise PayloadError("data.essentials.alertId", "the id of the alert")
    found = vocabulary.read_state("data.essentials.monitorCondition", told.monitor_condition)
    if found.state == "quiet":
        return ()
    condition = (data.alert_context.condition.all_of or [AzureCondition()])[0]
    labels = {
        **condition.dimensions,
        **data.custom_properties,
        **_target(told),
        "metric": condition.metric_name,
        "signal_type": told.signal_type,
    }
    severity = vocabulary.severity_of(told.severity, "azure")
    return (
        normalised(
            clean_labels(labels),
            {"description": told.description} if told.description else {},
            status=found.state,
            starts_at=now if told.fired is None else told.fired,
            ends_at=now if told.resolved is None else told.resolved,
            source="azure",
            fingerprint=meaning.digest("azure", key or f"{told.alert_rule} {told.target_ids}"),
            name=told.alert_rule or f"alert {key[-36:]}",
            severity=severity,
            value=meaning.figure(condition.metric_value),
            note=found.note,
        ),
    )


def _target(told: AzureEssentials) -> dict[str, str]:
    """The resource: a machine is a host, everything else a resource of its type."""
    path = (told.target_ids or [""])[0].split("/")
    item = (told.configuration_items or [path[-1]])[0]
    kind = "/".join(path[6:8]).lower() if len(path) > 8 else ""
    group = path[4] if len(path) > 4 else ""
    place = {"resource_group": group, "resource_type": kind}
    return {**place, "host" if "virtualmachine" in kind else "resource": item}


AZURE = Sender(
    "azure",
    "Azure common alert schema",
    lambda document: part(document, "schemaId") == "azureMonitorCommonAlertSchema",
    notification,
)
