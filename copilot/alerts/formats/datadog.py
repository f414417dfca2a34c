"""Datadog's webhook: its payload is a template, and the one to use stands in docs/alert-formats.md.

Source: docs.datadoghq.com/integrations/webhooks (variables; the payload it sends without a
template has body, title, date, event_type, id, last_updated and org), keephq/keep
`keep/providers/datadog_provider/datadog_provider.py` (a template in use).
"""

import re

from pydantic import AliasChoices, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanText, Moment, Payload, Word, clean_labels
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, Timestamp

_PREFIX = re.compile(r"\s*(?:\[P[1-5]\]\s*)?\[([A-Za-z -]+?)(?: on [^\]]*)?\]\s*")
"""`[Triggered on {host:a}] name` and `[P2] [Recovered] name`: title without a transition field."""

_UNFILLED = re.compile(r"\$[A-Z_]+")


class DatadogEvent(Payload):
    """An event of a monitor, in the names of the documented template or of the default one."""

    title: CleanText = Field(
        default="", validation_alias=AliasChoices("title", "alert_title", "event_title")
    )
    transition: Word = Field(
        default="", validation_alias=AliasChoices("alert_transition", "transition")
    )
    alert_id: Word = Field(default="", validation_alias=AliasChoices("alert_id", "monitor_id"))
    aggregation: Word = Field(default="", validation_alias=AliasChoices("aggreg_key", "aggregKey"))
    scope: Pairs = Field(
        default_factory=dict, validation_alias=AliasChoices("alert_scope", "scope")
    )
    tags: Pairs = Field(default_factory=dict)
    priority: Word = Field(
        default="", validation_alias=AliasChoices("priority", "alert_priority", "severity")
    )
    hostname: Word = ""
    body: CleanText = Field(default="", validation_alias=AliasChoices("body", "event_msg", "text"))
    link: CleanText = Field(default="", validation_alias=AliasChoices("link", "url"))
    metric: Word = Field(default="", validation_alias=AliasChoices("metric", "alert_metric"))
    date: Moment = None


def event(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one event of a monitor; monitor and scope, or the aggregation key, identify it."""
    read = read_as(DatadogEvent, document)
    prefix = _PREFIX.match(read.title)
    name = (read.title[prefix.end() :] if prefix else read.title)[:200]
    if not (name or read.alert_id):
        raise PayloadError("title", "$EVENT_TITLE")
    transition = _filled(read.transition) or (prefix.group(1) if prefix else "")
    found = vocabulary.read_state("alert_transition", transition, "datadog")
    if found.state == "quiet":
        return ()
    scope = {key: value for key, value in read.scope.items() if key != "*"}
    tags = {key: value for key, value in read.tags.items() if key != "monitor"}
    labels = clean_labels(
        {
            **tags,
            **scope,
            "host": _filled(read.hostname) or scope.get("host", "") or tags.get("host", ""),
            "metric": _filled(read.metric),
            "priority": _filled(read.priority),
        }
    )
    key = _filled(read.alert_id) or name
    parts = [key, *(f"{a}:{b}" for a, b in sorted(scope.items()))]
    return (
        normalised(
            labels,
            {
                name: text
                for name, text in (("summary", read.title), ("message", read.body))
                if text
            },
            status=found.state,
            # $DATE is when the event was made: of a recovery its end, of a reminder no start.
            starts_at=read.date if read.date is not None and _begins(transition) else now,
            ends_at=read.date if read.date is not None else now,
            source="datadog",
            fingerprint=meaning.digest("datadog", _filled(read.aggregation) or "", *parts),
            name=name or f"monitor {read.alert_id}",
            severity=vocabulary.severity_of(_filled(read.priority), "datadog"),
            generator_url=_filled(read.link),
            note=found.note,
        ),
    )


def _begins(transition: str) -> bool:
    return (
        vocabulary.state_of(transition) in ("firing", "no_data") and transition[:2].lower() != "re"
    )


def _filled(text: str) -> str:
    """Empty for a variable that Datadog left as it was, since the event has no such thing."""
    return "" if _UNFILLED.fullmatch(text) or text == "null" else text


DATADOG = Sender(
    "datadog",
    "Datadog webhook",
    lambda document: (
        has(document, "alert_transition")
        or has(document, "event_type", "last_updated", "title", "org")
    ),
    event,
)
