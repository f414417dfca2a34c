"""CloudWatch alarms, as EventBridge events and as what an alarm hands to a Lambda function.

Source: docs.aws.amazon.com AmazonCloudWatch `cloudwatch-and-eventbridge` (detail-type, detail:
alarmName, state, configuration.metrics[].metricStat.metric) and `alarms-and-actions-Lambda`
(alarmArn, alarmData).
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
    Payload,
    Word,
    as_object,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

_ROLES = {
    "InstanceId": "host",
    "ServiceName": "service",
    "ClusterName": "cluster",
    "FunctionName": "service",
    "ApiName": "service",
    "DBInstanceIdentifier": "database",
    "DBClusterIdentifier": "database",
    "QueueName": "queue",
    "TopicName": "topic",
    "VolumeId": "volume",
}
"""Dimensions of AWS in the trade's words; the dimension itself is kept beside."""


class AlarmState(CamelPayload):
    """A state, why, and since when."""

    value: Word = ""
    reason: CleanText = ""
    timestamp: Moment = None


class AlarmMetric(Payload):
    """The metric that is watched."""

    name: Word = ""
    namespace: Word = ""
    dimensions: Pairs = Field(default_factory=dict)


class MetricStatistic(Payload):
    """The statistic of a metric."""

    metric: Annotated[AlarmMetric, BeforeValidator(as_object)] = AlarmMetric()


class MetricEntry(CamelPayload):
    """One metric of an alarm; those of expressions have no statistic."""

    metric_stat: Annotated[MetricStatistic, BeforeValidator(as_object)] = MetricStatistic()


class AlarmConfiguration(CamelPayload):
    """What the alarm watches."""

    description: CleanText = ""
    metrics: list[MetricEntry] | None = None


class AlarmDetail(CamelPayload):
    """The alarm, its state and its configuration."""

    alarm_name: Word = Field(min_length=1)
    state: Annotated[AlarmState, BeforeValidator(as_object)] = AlarmState()
    configuration: Annotated[AlarmConfiguration, BeforeValidator(as_object)] = AlarmConfiguration()
    tags: Pairs = Field(default_factory=dict, alias="alarmTags")


class AlarmEvent(CamelPayload):
    """An event of either way."""

    account: Word = ""
    account_id: Word = ""
    region: Word = ""
    time: Moment = None
    detail_type: Word = Field(default="", alias="detail-type")
    resources: list[Word] | None = None
    alarm_arn: Word = ""
    detail: AlarmDetail | None = None
    alarm_data: AlarmDetail | None = None


def event(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event; changes of an alarm's configuration make no alert."""
    kind = part(document, "detail-type")
    if isinstance(kind, str) and kind and not kind.endswith("State Change"):
        return ()
    read = read_as(AlarmEvent, document)
    detail = read.detail or read.alarm_data
    if detail is None:
        raise PayloadError("detail", "an object with the alarm, or alarmData")
    first = (detail.configuration.metrics or [MetricEntry()])[0].metric_stat.metric
    return alarm(
        detail.alarm_name,
        detail.state,
        first,
        now,
        arn=read.alarm_arn or "".join((read.resources or [])[:1]),
        account=read.account or read.account_id,
        region=read.region,
        description=detail.configuration.description,
        tags=detail.tags,
    )


def alarm(
    name: str,
    state: AlarmState,
    metric: AlarmMetric,
    now: Timestamp,
    *,
    arn: str,
    account: str,
    region: str,
    description: str,
    tags: dict[str, str],
) -> tuple[Alert, ...]:
    """One alarm of CloudWatch, however it came; its ARN identifies it."""
    found = vocabulary.read_state("state.value", state.value)
    if found.state == "quiet":
        return ()
    pieces = arn.split(":")
    dimensions = metric.dimensions
    roles = {_ROLES[key]: value for key, value in dimensions.items() if key in _ROLES}
    named = {
        "account": account,
        "region": pieces[3] if len(pieces) > 5 else region,
        "metric": metric.name,
        "metric_namespace": metric.namespace,
    }
    at = now if state.timestamp is None else state.timestamp
    texts = {"summary": description, "reason": state.reason}
    return (
        normalised(
            clean_labels({**tags, **dimensions, **roles, **named}),
            {key: text for key, text in texts.items() if text},
            status=found.state,
            # The time is that of the change to this state, so of an end for OK.
            starts_at=at if found.state != "resolved" else now,
            ends_at=at,
            source="cloudwatch",
            fingerprint=meaning.digest("cloudwatch", arn or f"{account} {region} {name}"),
            name=name,
            note=found.note,
        ),
    )


EVENTBRIDGE = Sender(
    "eventbridge",
    "CloudWatch alarm by EventBridge",
    lambda document: (
        part(document, "source") == "aws.cloudwatch"
        and (has(document, "alarmData") or has(document, "detail-type"))
    ),
    event,
)
