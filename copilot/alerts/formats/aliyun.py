"""Alibaba Cloud: the alert callback of CloudMonitor, and the webhook of ARMS.

Source: help.aliyun.com/document_detail/60714 (an HTML form: alertName, alertState OK, ALERT or
INSUFFICIENT_DATA, triggerLevel, preTriggerLevel, curValue, dimensions as `{a=1, b=2}`, ruleId,
timestamp in milliseconds), a recorded callback in a public repository of Go code, and
help.aliyun.com/document_detail/260979 (ARMS: Alertmanager's format with `_aliyun_arms_` labels).
"""

from pydantic import Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import alertmanager, meaning
from copilot.alerts.formats.fields import CamelPayload, CleanText, Moment, Word, clean_labels
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

_ARMS = "_aliyun_arms_"
_NOBODY = ("", "null")


class AliyunCallback(CamelPayload):
    """The fields of the form, or the same as JSON."""

    alert_name: Word = Field(min_length=1)
    alert_state: Word = Field(min_length=1)
    trigger_level: Word = ""
    pre_trigger_level: Word = ""
    cur_value: Word = ""
    unit: Word = ""
    metric_name: Word = ""
    namespace: Word = ""
    metric_project: Word = ""
    instance_name: Word = ""
    expression: CleanText = ""
    rule_id: Word = ""
    user_id: Word = ""
    region_id: Word = ""
    dimensions: Pairs = Field(default_factory=dict)
    timestamp: Moment = None


def callback(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one callback; rule and dimensions identify the alert."""
    read = read_as(AliyunCallback, document)
    found = vocabulary.read_state("alertState", read.alert_state)
    if found.state == "quiet":
        return ()
    level = read.pre_trigger_level if found.state == "resolved" else read.trigger_level
    dimensions = {name: value for name, value in read.dimensions.items() if value != "null"}
    host = read.instance_name if "ecs" in f"{read.namespace} {read.metric_project}" else ""
    named = {
        "metric": read.metric_name,
        "metric_namespace": read.namespace or read.metric_project,
        "region": read.region_id,
        "resource": read.instance_name,
        "host": host or dimensions.get("instanceId", ""),
        "level": level,
    }
    labels = {**dimensions, **{name: text for name, text in named.items() if text not in _NOBODY}}
    value = read.cur_value if read.cur_value not in _NOBODY else ""
    said = f"{read.metric_name} {read.expression}: {value}{read.unit}".strip(" :")
    at = now if read.timestamp is None else read.timestamp
    parts = [read.rule_id or read.alert_name, *map("=".join, sorted(dimensions.items()))]
    return (
        normalised(
            clean_labels(labels),
            {"summary": said} if said else {},
            status=found.state,
            # The time is that of this state, so of the end for OK.
            starts_at=at if found.state != "resolved" else now,
            ends_at=at,
            source="aliyun",
            fingerprint=meaning.digest("aliyun", *parts),
            name=read.alert_name,
            severity=vocabulary.severity_of(level) if level not in _NOBODY else None,
            value=meaning.figure(value),
            note=found.note,
        ),
    )


def arms(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read what ARMS sends: Alertmanager's format, with a level of its own beside severity."""
    return tuple(_of_arms(alert) for alert in alertmanager.webhook(document, now))


def _of_arms(alert: Alert) -> Alert:
    level = alert.labels.get(f"{_ARMS}alert_level", "")
    severity = alert.severity
    if not alert.labels.get("severity"):
        severity = vocabulary.severity_of(level) or severity
    figure = meaning.figure(alert.annotations.get("value"))
    return alert.model_copy(update={"source": "arms", "severity": severity, "value": figure})


def _of_arms_marked(document: object) -> bool:
    alerts = part(document, "alerts")
    first = alerts[0] if isinstance(alerts, list) and alerts else None
    labels = part(first, "labels")
    return isinstance(labels, dict) and any(str(name).startswith(_ARMS) for name in labels)


CLOUD_MONITOR = Sender(
    "aliyun",
    "Alibaba Cloud CloudMonitor callback",
    lambda document: has(document, "alertName", "alertState"),
    callback,
)
ARMS = Sender("arms", "Alibaba Cloud ARMS webhook", _of_arms_marked, arms)
