"""Amazon SNS: a message about a CloudWatch alarm, or the question to confirm a subscription.

Source: awsdocs/amazon-sns-developer-guide `doc_source/sns-message-and-json-formats.md`; SNS sends
its JSON as text/plain. Nothing is fetched here: what may be done with a SubscribeURL is the
service's to say.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from copilot.alerts.formats import cloudwatch
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError, PayloadError
from copilot.alerts.formats.fields import CleanName, CleanText, Moment, Payload, Word, as_object
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, Timestamp

CONFIRMATION = "SubscriptionConfirmation"


class SnsMessage(Payload):
    """The envelope."""

    type: CleanName = Field(alias="Type")
    topic: CleanName = Field(default="", alias="TopicArn")
    message: str = Field(default="", alias="Message")
    subscribe_url: str = Field(default="", alias="SubscribeURL", max_length=4096)


class AlarmTrigger(Payload):
    """What the alarm watches."""

    metric: Word = Field(default="", alias="MetricName")
    namespace: Word = Field(default="", alias="Namespace")
    dimensions: Pairs = Field(default_factory=dict, alias="Dimensions")


class SnsAlarm(Payload):
    """A CloudWatch alarm in the message."""

    name: Word = Field(alias="AlarmName", min_length=1)
    description: CleanText = Field(default="", alias="AlarmDescription")
    account: Word = Field(default="", alias="AWSAccountId")
    region: Word = Field(default="", alias="Region")
    arn: Word = Field(default="", alias="AlarmArn")
    state: Word = Field(default="", alias="NewStateValue")
    reason: CleanText = Field(default="", alias="NewStateReason")
    changed: Moment = Field(default=None, alias="StateChangeTime")
    trigger: Annotated[AlarmTrigger, BeforeValidator(as_object)] = Field(
        default=AlarmTrigger(), alias="Trigger"
    )


class Subscription(Payload):
    """A topic that asks whether it may send here, and the address that says yes."""

    topic: str
    url: str

    @property
    def host(self) -> str:
        """The host that would be asked; empty for an address that has none."""
        try:
            return (urlsplit(self.url).hostname or "").lower()
        except ValueError:
            return ""


def subscription(document: object, sender: Literal["sns", "huawei"]) -> Subscription | None:
    """The question to confirm a subscription, if it is one; SNS and Huawei's SMN ask alike."""
    names = {
        "sns": ("Type", "TopicArn", "SubscribeURL"),
        "huawei": ("type", "topic_urn", "subscribe_url"),
    }
    kind, topic, url = names[sender]
    if not isinstance(document, dict) or document.get(kind) != CONFIRMATION:
        return None
    found = document.get(url)
    if not isinstance(found, str) or len(found) > 4096:
        raise PayloadError(url, "the address that confirms the subscription", found)
    return Subscription(topic=str(document.get(topic) or "")[:256], url=found)


def message(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one message; the end of a subscription makes no alert."""
    read = read_as(SnsMessage, document)
    if read.type == "UnsubscribeConfirmation":
        return ()
    if read.type != "Notification":
        raise PayloadError("Type", "'Notification'; a subscription is confirmed first", read.type)
    try:
        inside = decoded(read.message.encode("utf-8", "replace"))
    except MalformedError as problem:
        raise PayloadError("Message", "the JSON of a CloudWatch alarm", read.message) from problem
    if cloudwatch.EVENTBRIDGE.mark(inside):
        return cloudwatch.event(inside, now)
    if not has(inside, "AlarmName"):
        raise PayloadError("Message", "a CloudWatch alarm (AlarmName, NewStateValue)", inside)
    alarm = read_as(SnsAlarm, inside, "Message")
    return cloudwatch.alarm(
        alarm.name,
        cloudwatch.AlarmState(value=alarm.state, reason=alarm.reason, timestamp=alarm.changed),
        cloudwatch.AlarmMetric(
            name=alarm.trigger.metric,
            namespace=alarm.trigger.namespace,
            dimensions=alarm.trigger.dimensions,
        ),
        now,
        arn=alarm.arn,
        account=alarm.account,
        region=alarm.region,
        description=alarm.description,
        tags={},
    )


SNS = Sender("sns", "Amazon SNS", lambda document: has(document, "Type", "TopicArn"), message)
