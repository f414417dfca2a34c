"""Grafana's alerts before version 9: one rule and its state in each notification.

Source: grafana/grafana `pkg/services/alerting/notifiers/webhook.go` (title, ruleId, ruleName,
state, evalMatches, rule_url, later ruleUrl, orgId, dashboardId, panelId, tags, message).
"""

from pydantic import AliasChoices, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanText, Payload, Word, clean_labels
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, Timestamp


class EvaluationMatch(Payload):
    """A series that met the rule's condition."""

    value: object = None
    metric: Word = ""
    tags: Pairs = Field(default_factory=dict)


class RuleNotification(Payload):
    """The state of one rule, known by its number."""

    rule_id: Word = Field(default="", alias="ruleId")
    org_id: Word = Field(default="", alias="orgId")
    rule_name: Word = Field(default="", alias="ruleName")
    rule_url: CleanText = Field(default="", validation_alias=AliasChoices("ruleUrl", "rule_url"))
    state: Word
    title: CleanText = ""
    message: CleanText = ""
    tags: Pairs = Field(default_factory=dict)
    matches: list[EvaluationMatch] | None = Field(default=None, alias="evalMatches")


def rule(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read the state of one rule; labels of the series are kept where there is only one."""
    read = read_as(RuleNotification, document)
    if not (read.rule_id or read.rule_name):
        raise PayloadError("ruleId", "the number of the rule, or ruleName")
    found = vocabulary.read_state("state", read.state)
    if found.state == "quiet":
        return ()
    matches = read.matches or []
    series = matches[0].tags if len(matches) == 1 else {}
    labels = clean_labels({**series, **read.tags, "alertname": read.rule_name or read.title})
    figures = (meaning.figure(match.value) for match in matches)
    texts = {"summary": read.title, "description": read.message}
    return (
        normalised(
            labels,
            {name: text for name, text in texts.items() if text},
            status=found.state,
            starts_at=now,
            ends_at=now,
            source="grafana",
            fingerprint=meaning.digest("grafana", read.org_id, read.rule_id or read.rule_name),
            name=read.rule_name or read.title or f"rule {read.rule_id}",
            generator_url=read.rule_url,
            value=next((value for value in figures if value is not None), None),
            note=found.note,
        ),
    )


LEGACY = Sender(
    "grafana",
    "Grafana legacy alerting",
    lambda document: (
        has(document, "state") and (has(document, "ruleId") or has(document, "evalMatches"))
    ),
    rule,
)
