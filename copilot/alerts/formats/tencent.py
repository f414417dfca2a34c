"""Tencent Cloud Observability Platform: the alarm callback.

Source: tencentyun/intlcloud-documents, "Alarm Callback" of Cloud Monitor, and
tencentcloud.com/document/product/248/38919 (alarmStatus 1 alarm, 0 recovered). Its times have no
zone; they are those of Beijing, and never later than the arrival.
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
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, Timestamp


def _in_beijing(given: object) -> object:
    if given in (0, "0"):
        return None
    bare = isinstance(given, str) and len(given) == len("2017-03-09 07:00:00") and "-" in given
    return f"{given}+08:00" if bare else given


BeijingMoment = Annotated[Moment, BeforeValidator(_in_beijing)]


class TencentObject(CamelPayload):
    """What the alarm is about."""

    region: Word = ""
    namespace: Word = ""
    dimensions: Pairs = Field(default_factory=dict)


class TencentConditions(CamelPayload):
    """The condition that was met: of a metric, or an event."""

    metric_name: Word = ""
    metric_show_name: Word = ""
    calc_type: Word = ""
    calc_value: Word = ""
    current_value: Word = ""
    unit: Word = ""
    event_name: Word = ""
    event_show_name: Word = ""
    product_name: Word = ""


class TencentPolicy(CamelPayload):
    """The policy, with its condition."""

    policy_id: Word = ""
    policy_name: Word = ""
    policy_type: Word = ""
    conditions: Annotated[TencentConditions, BeforeValidator(as_object)] = TencentConditions()


class TencentAlarm(CamelPayload):
    """The body of the callback."""

    alarm_status: Word = ""
    alarm_type: Word = ""
    alarm_object: Annotated[TencentObject, BeforeValidator(as_object)] = Field(
        default=TencentObject(), alias="alarmObjInfo"
    )
    policy: Annotated[TencentPolicy, BeforeValidator(as_object)] = Field(
        default=TencentPolicy(), alias="alarmPolicyInfo"
    )
    first_occur_time: BeijingMoment = None
    recover_time: BeijingMoment = None
    remark: CleanText = ""


def alarm(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one alarm; policy, condition and object identify it (a session id is of one call)."""
    read = read_as(TencentAlarm, document)
    policy, condition, about = read.policy, read.policy.conditions, read.alarm_object
    what = condition.metric_name or condition.event_name
    if not (policy.policy_name or what):
        raise PayloadError("alarmPolicyInfo.policyName", "the name of the policy")
    found = vocabulary.read_state("alarmStatus", read.alarm_status, "tencent")
    if found.state == "quiet":
        return ()
    place = about.dimensions
    host = place.get("unInstanceId", "")
    named = {
        "region": about.region,
        "metric": what,
        "metric_namespace": about.namespace,
        "policy": policy.policy_name,
        "host": host,
        "resource": place.get("objName", "") or place.get("objId", ""),
    }
    shown = condition.metric_show_name or condition.event_show_name or what
    compared = f"{condition.calc_type} {condition.calc_value}{condition.unit}".strip()
    said = f"{shown} {compared}: {condition.current_value}{condition.unit}".strip(" :")
    began = read.first_occur_time
    ended = now if read.recover_time is None else min(read.recover_time, now)
    identity = sorted((name, value) for name, value in place.items() if name != "objName")
    return (
        normalised(
            clean_labels({**place, **named}),
            {"summary": said} if said else {},
            status=found.state,
            starts_at=now if began is None else min(began, now),
            ends_at=ended if began is None else max(ended, min(began, now)),
            source="tencent",
            fingerprint=meaning.digest(
                "tencent", policy.policy_id or policy.policy_name, what, *map("=".join, identity)
            ),
            name=(f"{policy.policy_name}: {shown}" if policy.policy_name and shown else shown)
            or policy.policy_name,
            value=meaning.figure(condition.current_value),
            note=found.note,
        ),
    )


TENCENT = Sender(
    "tencent",
    "Tencent Cloud alarm callback",
    lambda document: (
        has(document, "alarmStatus")
        and (has(document, "alarmPolicyInfo") or has(document, "alarmObjInfo"))
    ),
    alarm,
)
