"""What the alerts themselves say: who is loud, with how strange a signal, and first when."""

from collections import defaultdict
from collections.abc import Sequence

from tools.log_retriever.sanitize import sanitize
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.metrics import strength_of
from tools.topology_walker.signals import read
from tools.types import Alert, Finding, Telemetry, Timestamp, Window


def alert_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """One finding per component, kind of alert and family of signal."""
    groups: dict[tuple[str, str, str], list[Alert]] = defaultdict(list)
    for alert in telemetry.alerts:
        if alert.service:
            groups[alert.service, alert.labels.get("kind", "page"), _family(alert)].append(alert)
    everyone = len(telemetry.alerts)
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    return [
        _finding(service, kind, members, everyone, onset, window)
        for (service, kind, _), members in groups.items()
    ]


def _family(alert: Alert) -> str:
    kind = alert.labels.get("kind", "page")
    return read(alert.labels.get("signal", alert.name)).family if kind != "log" else "log"


def _loudness(alert: Alert) -> float:
    return abs(alert.value) if alert.value is not None else 0.0


def _finding(
    service: str,
    kind: str,
    members: Sequence[Alert],
    everyone: int,
    onset: Timestamp,
    window: Window,
) -> Finding:
    loudest = max(members, key=_loudness)
    first = min(alert.starts_at for alert in members)
    loud = _loudness(loudest)
    name = loudest.labels.get("signal", loudest.name)
    instance = loudest.labels.get("instance", "")
    counted = f"{len(members)} alert{'s' if len(members) > 1 else ''}"
    return Finding(
        kind="alert",
        subject=service,
        name=sanitize(name, 120),
        source="alerts",
        query=f"service={service}, kind={kind}",
        window=window,
        value=loud if loud else float(len(members)),
        unit="sigma" if loud else "alerts",
        onset=first,
        direction="up",
        strength=strength_of(loud) if loud else strength_of(1.0),
        figures={
            "count": float(len(members)),
            "share": len(members) / everyone,
            "score": loud,
            "total": sum(alert.value or 0.0 for alert in members),
            "signals": float(len({alert.name for alert in members})),
            "first_s": first - onset,
            kind: 1.0,
        },
        excerpt=sanitize(instance, 120),
        statement=f"{service}: {counted}, the strongest {sanitize(name, 80)!r}.",
    )
