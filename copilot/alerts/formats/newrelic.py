"""New Relic: the webhook of a workflow, and that of the notification channels before it.

Source: zulip/zulip `zerver/webhooks/newrelic/view.py` and its tests (the default payload of a
workflow: id, issueUrl, title, priority, state, createdAt, updatedAt, alertPolicyNames,
alertConditionNames, impactedEntities), depotjoe/newrelic-alert-handler `sampleNRalert.js` and
docs.datadoghq.com/integrations/new-relic (current_state, condition_name, targets).
"""

from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import (
    CamelPayload,
    CleanText,
    Moment,
    Payload,
    Word,
    clean_labels,
)
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, read_as
from tools.types import Alert, Timestamp

_HOSTS = ("host", "infra", "server")


def _as_list(given: object) -> object:
    """Templates give a list, or the text of its first item."""
    return [] if given is None else [given] if isinstance(given, str) else given


def _as_text(given: object) -> object:
    return given[0] if isinstance(given, list) and len(given) == 1 else given


Words = Annotated[list[Word], BeforeValidator(_as_list)]


class NewRelicIssue(CamelPayload):
    """An issue, in the default payload of a workflow."""

    id: Word = Field(default="", validation_alias=AliasChoices("id", "issueId"))
    issue_url: CleanText = ""
    title: Annotated[CleanText, BeforeValidator(_as_text)] = ""
    priority: Word = ""
    state: Word = ""
    created_at: Moment = None
    updated_at: Moment = None
    closed_at: Moment = None
    alert_policy_names: Words = Field(default_factory=list)
    alert_condition_names: Words = Field(default_factory=list)
    impacted_entities: Words = Field(default_factory=list)


class NewRelicTarget(Payload):
    """An entity that broke a condition."""

    name: Word = ""
    type: Word = ""
    product: Word = ""
    labels: Pairs = Field(default_factory=dict)


class NewRelicIncident(Payload):
    """An incident, as the notification channels sent it."""

    incident_id: Word = ""
    condition_id: Word = ""
    condition_name: Word = ""
    policy_name: Word = ""
    current_state: Word = ""
    severity: Word = ""
    details: CleanText = ""
    incident_url: CleanText = ""
    timestamp: Moment = None
    targets: list[NewRelicTarget] | None = None


def issue(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read an issue of a workflow; its id identifies it until it is closed."""
    read = read_as(NewRelicIssue, document)
    if not read.id:
        raise PayloadError("id", "the issueId")
    found = vocabulary.read_state("state", read.state, "newrelic")
    if found.state == "quiet":
        return ()
    entities = read.impacted_entities
    named = {
        "entity": ",".join(entities),
        "service": entities[0] if len(entities) == 1 else "",
        "policy": ",".join(read.alert_policy_names),
        "condition": ",".join(read.alert_condition_names),
        "priority": read.priority,
    }
    name = ",".join(read.alert_condition_names) or read.title or f"issue {read.id}"
    ended = next((at for at in (read.closed_at, read.updated_at) if at is not None), now)
    return (
        normalised(
            clean_labels(named),
            {"summary": read.title} if read.title else {},
            status=found.state,
            starts_at=now if read.created_at is None else read.created_at,
            ends_at=ended if read.created_at is None else max(ended, read.created_at),
            source="newrelic",
            fingerprint=meaning.digest("newrelic", read.id),
            name=name[:200],
            generator_url=read.issue_url,
            note=found.note,
        ),
    )


def incident(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read an incident of a notification channel."""
    read = read_as(NewRelicIncident, document)
    if not (read.incident_id or read.condition_name):
        raise PayloadError("incident_id", "the number of the incident")
    found = vocabulary.read_state("current_state", read.current_state, "newrelic")
    if found.state == "quiet":
        return ()
    targets = read.targets or []
    target = targets[0] if len(targets) == 1 else NewRelicTarget()
    kind = f"{target.product} {target.type}".lower()
    role = "host" if any(word in kind for word in _HOSTS) else "service"
    named = {
        role: target.name,
        "policy": read.policy_name,
        "condition": read.condition_name,
        "severity": read.severity,
    }
    at = now if read.timestamp is None else read.timestamp
    return (
        normalised(
            clean_labels({**target.labels, **named}),
            {"summary": read.details} if read.details else {},
            status=found.state,
            # The timestamp is that of the notification: of an end, where it tells one.
            starts_at=at if found.state == "firing" else now,
            ends_at=at,
            source="newrelic",
            fingerprint=meaning.digest("newrelic", read.incident_id or read.condition_name),
            name=read.condition_name or f"incident {read.incident_id}",
            generator_url=read.incident_url,
            note=found.note,
        ),
    )


WORKFLOW = Sender(
    "newrelic",
    "New Relic workflow",
    lambda document: has(document, "state") and has(document, "issueUrl"),
    issue,
)
CHANNEL = Sender(
    "newrelic",
    "New Relic notification channel",
    lambda document: (
        has(document, "current_state")
        and (has(document, "condition_name") or has(document, "policy_name"))
    ),
    incident,
)
