"""Sentry's integration platform: issue alerts, metric alerts, and what becomes of issues.

Source: getsentry/sentry-docs `docs/organization/integrations/integration-platform/webhooks/`
`issue-alerts.mdx`, `metric-alerts.mdx`, `issues.mdx`.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
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
from tools.types import Alert, AlertStatus, Timestamp

_ISSUE = re.compile(r"/issues/(\d+)")


class SentryEvent(Payload):
    """The event that met the rule of an issue alert."""

    issue_id: Word = ""
    title: CleanText = ""
    level: Word = ""
    project: Word = ""
    culprit: CleanText = ""
    web_url: CleanText = ""
    issue_url: CleanText = ""
    datetime: Moment = None
    tags: Pairs = Field(default_factory=dict)


class SentryProject(Payload):
    """The project that an issue belongs to."""

    slug: Word = ""


class SentryIssue(Payload):
    """An issue, and since when it is seen."""

    id: Word = ""
    title: CleanText = ""
    level: Word = ""
    culprit: CleanText = ""
    web_url: CleanText = ""
    first_seen: Moment = Field(default=None, alias="firstSeen")
    project: Annotated[SentryProject, BeforeValidator(as_object)] = SentryProject()


class SentryRule(Payload):
    """The rule of a metric alert."""

    name: Word = ""
    projects: list[Word] | None = None
    environment: Word = ""


class SentryMetricAlert(Payload):
    """A threshold that was crossed."""

    id: Word = ""
    title: CleanText = ""
    date_started: Moment = None
    date_closed: Moment = None
    alert_rule: Annotated[SentryRule, BeforeValidator(as_object)] = SentryRule()


class SentryData(Payload):
    """What a hook is about: one of these."""

    event: SentryEvent | None = None
    issue: SentryIssue | None = None
    metric_alert: SentryMetricAlert | None = None
    triggered_rule: Word = ""
    description_title: CleanText = ""
    description_text: CleanText = ""
    web_url: CleanText = ""


class SentryHook(Payload):
    """The body of the webhook."""

    action: Word = Field(min_length=1)
    data: SentryData


def hook(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one hook; an issue keeps its identity from its alert to its resolution."""
    read = read_as(SentryHook, document)
    found = vocabulary.read_state("action", read.action, "sentry")
    data = read.data
    if found.state == "quiet":
        return ()
    if data.metric_alert is not None:
        return (_crossed(data.metric_alert, read, found, now),)
    if data.issue is not None:
        return (_issue(data.issue, found, now),)
    if data.event is not None:
        return (_event(data.event, data, found, now),)
    raise PayloadError("data", "an object with event, issue or metric_alert")


def _crossed(
    crossed: SentryMetricAlert, read: SentryHook, found: vocabulary.StateReading, now: Timestamp
) -> Alert:
    rule, data = crossed.alert_rule, read.data
    projects = ",".join(rule.projects or [])
    name = rule.name or data.description_title or crossed.title or "metric alert"
    return normalised(
        clean_labels({"project": projects, "environment": rule.environment}),
        _texts(summary=data.description_title, description=data.description_text),
        status=_status(found),
        starts_at=now if crossed.date_started is None else crossed.date_started,
        ends_at=now if crossed.date_closed is None else crossed.date_closed,
        source="sentry",
        fingerprint=meaning.digest("sentry metric", crossed.id or name),
        name=name[:200],
        severity=vocabulary.severity_of(read.action) if found.state == "firing" else None,
        generator_url=data.web_url,
        note=found.note,
    )


def _issue(issue: SentryIssue, found: vocabulary.StateReading, now: Timestamp) -> Alert:
    if not (issue.id or issue.title):
        raise PayloadError("data.issue.id", "the id of the issue")
    return normalised(
        clean_labels({"project": issue.project.slug, "level": issue.level}),
        _texts(description=issue.culprit),
        status=_status(found),
        starts_at=now if issue.first_seen is None else issue.first_seen,
        ends_at=now,
        source="sentry",
        fingerprint=meaning.digest("sentry issue", issue.id or issue.title),
        name=issue.title[:200] or f"issue {issue.id}",
        severity=vocabulary.severity_of(issue.level, "sentry"),
        generator_url=issue.web_url,
        note=found.note,
    )


def _event(
    event: SentryEvent, data: SentryData, found: vocabulary.StateReading, now: Timestamp
) -> Alert:
    linked = _ISSUE.search(event.issue_url) or _ISSUE.search(event.web_url)
    issue = event.issue_id or (linked.group(1) if linked else "")
    key = issue or f"{event.project} {event.title or data.triggered_rule}"
    if not key.strip():
        raise PayloadError("data.event.title", "the title of the event, or its issue_id")
    labels = {**event.tags, "project": event.project, "level": event.level}
    return normalised(
        clean_labels(labels),
        _texts(summary=event.title, description=event.culprit, rule=data.triggered_rule),
        status=_status(found),
        starts_at=now if event.datetime is None else event.datetime,
        ends_at=now,
        source="sentry",
        fingerprint=meaning.digest("sentry issue", key),
        name=(event.title or data.triggered_rule)[:200] or f"issue {issue}",
        severity=vocabulary.severity_of(event.level, "sentry"),
        generator_url=event.web_url,
        note=found.note,
    )


def _status(found: vocabulary.StateReading) -> AlertStatus:
    return "firing" if found.state == "quiet" else found.state


def _texts(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _marked(document: object) -> bool:
    data = part(document, "data")
    told = any(has(data, name) for name in ("event", "issue", "metric_alert"))
    return has(document, "action") and told and not has(document, "alert")


SENTRY = Sender("sentry", "Sentry integration webhook", _marked, hook)
