"""Alerts of the copilot itself: on what the watch found, on the strongest anomaly of a window."""

from collections.abc import Sequence

from copilot.sources.deployment import Sources
from copilot.types.incident import OURS, PROVISIONAL
from copilot.types.time_format import duration
from tools.clusterer import fingerprint
from tools.detector import onset
from tools.types import Alert, Anomaly, Owner, Subject, Timestamp, Window

EXPLAINED = 3
"""Reasons in the summary of an alert."""


def own_alert(sources: Sources, now: Timestamp, lookback_s: float) -> Alert | None:
    """An alert on the strongest anomaly of the last `lookback_s` seconds; None if all is quiet."""
    window = Window(start=now - lookback_s, end=now)
    measured = sources.measure(window, normal_before=window.start)
    began = onset(measured.series, measured.baseline, now)
    if not began.anomalies:
        return None
    return _alert(sources.topology().entry, began.at, began.anomalies[0].reason)


def alert_of(found: Sequence[Anomaly], at: Timestamp, past_s: float | None = None) -> Alert:
    """An alert on episodes that belong together, about the service most of them are about.

    `past_s` are the seconds of past it rests on where that is too little: it is provisional then.
    """
    service = _most_of(found)
    own = [one for one in found if Owner.parse(one.owner).service == service]
    reasons = "; ".join(
        f"{one.owner} {one.metric}: {one.reason}"
        for one in sorted(own, key=lambda one: one.score)[:EXPLAINED]
    )
    return _alert(service, at, reasons, duration(past_s) if past_s is not None else "")


def _most_of(found: Sequence[Anomaly]) -> str:
    """The service most of the episodes are about; of equals, the one with the strangest."""
    services = [Owner.parse(one.owner).service for one in found]
    strangest = {
        s: min(f.score for f, of in zip(found, services, strict=True) if of == s) for s in services
    }
    return max(strangest, key=lambda s: (services.count(s), -strangest[s]))


def _alert(service: str, at: Timestamp, summary: str, past: str = "") -> Alert:
    labels = {"alertname": "AnomalyDetected", "service": service, "detector": "copilot"}
    annotations = {"summary": summary}
    if past:
        annotations = {
            "summary": f"provisional, on {past} of past: {summary}",
            PROVISIONAL: past,
        }
    return Alert(
        fingerprint=fingerprint(labels),
        name="AnomalyDetected",
        service=service,
        subject=Subject(kind="service", name=service) if service else Subject(),
        severity="warning",
        starts_at=at,
        labels=labels,
        annotations=annotations,
        source=OURS,
    )
