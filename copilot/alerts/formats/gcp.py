"""Google Cloud Monitoring: the webhook of a notification channel.

Source: docs.cloud.google.com/monitoring/support/notification-options, servicenow.com "Sample
payload from Google Monitor", gist joemiller/f54d464bbbd97ad956935771489f6199 (version 1.2),
keephq/keep `keep/providers/gcpmonitoring_provider/alerts_mock.py`.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanText, Payload, Word, as_object, clean_labels
from copilot.alerts.formats.nightingale import LaterMoment
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

_ROLES = {
    "container_name": "container",
    "pod_name": "pod",
    "namespace_name": "namespace",
    "cluster_name": "cluster",
    "node_name": "node",
    "service_name": "service",
    "module_id": "service",
    "database_id": "database",
    "queue_id": "queue",
    "topic_id": "topic",
}
"""Labels of monitored resources in the trade's words; the label itself is kept beside."""


class CloudResource(Payload):
    """What is monitored."""

    type: Word = ""
    labels: Pairs = Field(default_factory=dict)


class CloudDocumentation(Payload):
    """What the policy tells its responders."""

    content: CleanText = ""


class CloudIncident(Payload):
    """An incident of an alerting policy."""

    incident_id: Word = ""
    scoping_project_id: Word = ""
    url: CleanText = ""
    started_at: LaterMoment = None
    ended_at: LaterMoment = None
    state: Word = ""
    severity: Word = ""
    summary: CleanText = ""
    policy_name: Word = ""
    condition_name: Word = ""
    observed_value: object = None
    resource_display_name: Word = ""
    resource: Annotated[CloudResource, BeforeValidator(as_object)] = CloudResource()
    metric: Annotated[CloudResource, BeforeValidator(as_object)] = CloudResource()
    policy_user_labels: Pairs = Field(default_factory=dict)
    documentation: Annotated[CloudDocumentation, BeforeValidator(as_object)] = CloudDocumentation()


class CloudNotification(Payload):
    """The body of the webhook."""

    incident: CloudIncident


def incident(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one incident; its id is the same when it opens and when it closes."""
    read = read_as(CloudNotification, document).incident
    if not (read.incident_id or read.policy_name):
        raise PayloadError("incident.incident_id", "the id of the incident")
    found = vocabulary.read_state("incident.state", read.state)
    if found.state == "quiet":
        return ()
    place = read.resource.labels
    roles = {_ROLES[name]: value for name, value in place.items() if name in _ROLES}
    is_machine = read.resource.type == "gce_instance"
    named = {
        "project": read.scoping_project_id,
        "resource_type": read.resource.type,
        "host" if is_machine else "resource": read.resource_display_name,
        "metric": read.metric.type,
    }
    severity = "" if read.severity.lower() == "no severity" else read.severity
    labels = {**read.policy_user_labels, **place, **roles, **named, "severity": severity}
    texts = {"summary": read.summary, "description": read.documentation.content}
    return (
        normalised(
            clean_labels(labels),
            {name: text for name, text in texts.items() if text},
            status=found.state,
            starts_at=now if read.started_at is None else read.started_at,
            ends_at=now if read.ended_at is None else read.ended_at,
            source="gcp",
            fingerprint=meaning.digest(
                "gcp", read.incident_id or f"{read.policy_name} {read.condition_name}"
            ),
            name=read.policy_name or read.condition_name or f"incident {read.incident_id}",
            generator_url=read.url,
            value=meaning.figure(read.observed_value),
            note=found.note,
        ),
    )


def _marked(document: object) -> bool:
    inside = part(document, "incident")
    return has(inside, "incident_id") and (has(inside, "policy_name") or has(inside, "state"))


GCP = Sender("gcp", "Google Cloud Monitoring", _marked, incident)
