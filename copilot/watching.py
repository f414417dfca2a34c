"""The copilot's own alert, for a fault nobody wrote a rule for."""

from copilot.sources import Sources
from tools.clusterer import fingerprint
from tools.detector import onset
from tools.types import Alert, Timestamp, Window

OURS = "copilot"
"""The source of alerts that the copilot itself has raised."""


def own_alert(sources: Sources, now: Timestamp, lookback_s: float) -> Alert | None:
    """An alert on the strongest anomaly of the last `lookback_s` seconds; None if all is quiet."""
    window = Window(start=now - lookback_s, end=now)
    measured = sources.measure(window, normal_before=window.start)
    began = onset(measured.series, measured.baseline, now)
    if not began.anomalies:
        return None
    strongest = began.anomalies[0]
    entry = sources.topology().entry
    labels = {"alertname": "AnomalyDetected", "service": entry, "detector": "copilot"}
    return Alert(
        fingerprint=fingerprint(labels),
        name="AnomalyDetected",
        service=entry,
        severity="warning",
        starts_at=began.at,
        labels=labels,
        annotations={"summary": strongest.reason},
        source=OURS,
    )
