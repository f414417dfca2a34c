"""The last step of every format: clean fields become the one form of an alert."""

from collections.abc import Mapping

from copilot.alerts import subjects
from copilot.alerts.formats import meaning
from copilot.alerts.formats.fields import CroppedLabels
from copilot.alerts.vocabulary import NOTE
from tools.types import Alert, AlertStatus, Severity, Timestamp


def normalised(
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    status: AlertStatus,
    starts_at: Timestamp,
    ends_at: Timestamp | None,
    source: str,
    fingerprint: str = "",
    name: str = "",
    severity: Severity | None = None,
    service: str = "",
    generator_url: str = "",
    value: float | None = None,
    lease: Timestamp | None = None,
    note: str = "",
) -> Alert:
    """Fill in from the labels what the format has no field for; an open alert has no end.

    A format's own field for the service says whom the alert is about where no label does.
    `note` is what of it was not understood; people read it among the annotations.
    """
    called = name or meaning.name(labels, annotations)
    reading = subjects.read(called, labels, annotations)
    if service and reading.subject.kind == "nobody" and not reading.heartbeat:
        reading = subjects.read(called, {**labels, "service": service}, annotations)
    known = severity or meaning.severity_named(labels)
    doubt = "" if known else meaning.severity_doubt(labels)
    cropped = labels.note if isinstance(labels, CroppedLabels) else ""
    notes = "; ".join(one for one in (note, doubt, cropped) if one)
    return Alert(
        fingerprint=meaning.identity(fingerprint, labels),
        name=called,
        status=status,
        severity=known or meaning.severity(labels),
        service=service or subjects.component(reading.subject),
        subject=reading.subject,
        told_by=reading.told_by,
        why=reading.why,
        heartbeat=reading.heartbeat,
        starts_at=starts_at,
        ends_at=ends_at if status == "resolved" else None,
        lease=lease if status != "resolved" else None,
        labels=dict(labels),
        annotations={**annotations, **({NOTE: notes} if notes else {})},
        source=source,
        generator_url=meaning.link(generator_url),
        value=value,
    )
