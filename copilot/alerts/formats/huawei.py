"""Huawei Cloud: an alarm of Cloud Eye, alone or as the message of SMN.

Source: huaweicloud.com guide to SMN (topic_urn, message, type, subscribe_url), the COC API
definition `CreateReportCustomEvent` (alarmId, alarmName, alarmLevel, alarmStatus alarm or ok,
resourceName, regionId), support.huaweicloud.com/bestpractice-ces/ces_14_0060 (the body by HTTP is a
template of one's own). The names with underscores are those of the alarm records of Cloud Eye's
API and are not shown for the webhook: use the template in docs/alert-formats.md.
"""

from pydantic import AliasChoices, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError, PayloadError
from copilot.alerts.formats.fields import CleanText, Payload, Word, clean_labels
from copilot.alerts.formats.nightingale import LaterMoment
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp


class HuaweiAlarm(Payload):
    """One alarm, in either spelling."""

    id: Word = Field(default="", validation_alias=AliasChoices("alarm_id", "alarmId"))
    name: Word = Field(default="", validation_alias=AliasChoices("alarm_name", "alarmName"))
    state: Word = Field(default="", validation_alias=AliasChoices("alarm_status", "alarmStatus"))
    level: Word = Field(default="", validation_alias=AliasChoices("alarm_level", "alarmLevel"))
    description: CleanText = Field(
        default="", validation_alias=AliasChoices("alarm_desc", "alarmDesc", "alarm_description")
    )
    namespace: Word = Field(default="", validation_alias=AliasChoices("namespace", "nameSpace"))
    metric: Word = Field(default="", validation_alias=AliasChoices("metric_name", "metricName"))
    region: Word = Field(default="", validation_alias=AliasChoices("region_id", "regionId"))
    resource_id: Word = Field(
        default="", validation_alias=AliasChoices("resource_id", "resourceId")
    )
    resource: Word = Field(
        default="", validation_alias=AliasChoices("resource_name", "resourceName")
    )
    dimensions: Pairs = Field(
        default_factory=dict, validation_alias=AliasChoices("dimension", "dimensions")
    )
    value: object = None
    time: LaterMoment = None
    url: CleanText = Field(default="", validation_alias=AliasChoices("URL", "url"))


def notification(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one alarm; the end of a subscription makes no alert."""
    kind, wrapped = part(document, "type"), part(document, "message")
    if kind == "UnsubscribeConfirmation":
        return ()
    if isinstance(wrapped, str):
        try:
            document = decoded(wrapped.encode("utf-8", "replace"))
        except MalformedError as problem:
            expected = "the JSON of an alarm; set the template in docs/alert-formats.md"
            raise PayloadError("message", expected, wrapped) from problem
    return (_alert(read_as(HuaweiAlarm, document), now),)


def _alert(read: HuaweiAlarm, now: Timestamp) -> Alert:
    if not read.name:
        raise PayloadError("alarmName", "the name of the alarm rule")
    found = vocabulary.read_state("alarmStatus", read.state)
    state = "firing" if found.state == "quiet" else found.state
    named = {
        "region": read.region,
        "metric": read.metric,
        "metric_namespace": read.namespace,
        "host" if "ecs" in read.namespace.lower() else "resource": read.resource
        or read.resource_id,
    }
    place = sorted(read.dimensions.items())
    at = now if read.time is None else read.time
    parts = [read.id or read.name, read.resource_id or read.resource, *map("=".join, place)]
    return normalised(
        clean_labels({**read.dimensions, **named}),
        {"description": read.description} if read.description else {},
        status=state,
        starts_at=at if state != "resolved" else now,
        ends_at=at,
        source="huawei",
        fingerprint=meaning.digest("huawei", *parts),
        name=read.name,
        severity=vocabulary.severity_of(read.level, "huawei"),
        generator_url=read.url,
        value=meaning.figure(read.value),
        note=found.note,
    )


def _marked(document: object) -> bool:
    if has(document, "topic_urn") and (has(document, "message") or has(document, "subscribe_url")):
        return True
    named = has(document, "alarm_name") or has(document, "alarmName")
    return named and (has(document, "alarm_status") or has(document, "alarmLevel"))


HUAWEI = Sender("huawei", "Huawei Cloud Eye by SMN", _marked, notification)
