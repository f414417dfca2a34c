"""What the alerts themselves say: who is loud, with how strange a signal, and first when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tools.log_retriever.sanitize import sanitize
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.metrics import strength_of
from tools.topology_walker.signals import read, stated
from tools.types import RECORDED, Alert, Finding, Telemetry, Timestamp, Window

_STRANGE = 3.0


def alert_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """One finding per component, kind of alert and family of signal or fault it states."""
    groups: dict[tuple[str, str, str], list[Alert]] = defaultdict(list)
    events = (alert for alert in telemetry.alerts if alert.source == RECORDED)
    homes = {a.labels["instance"]: a.service for a in events if "instance" in a.labels}
    for alert in telemetry.alerts:
        if alert.service:
            groups[alert.service, _kind(alert, homes), _family(alert)].append(alert)
    everyone = len(telemetry.alerts)
    signals = _signals(telemetry.alerts)
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    return [
        _finding(service, kind, members, (everyone, signals.get(service, 0)), onset, window)
        for (service, kind, _), members in groups.items()
    ]


def _kind(alert: Alert, homes: Mapping[str, str]) -> str:
    """`page`, `metric`, `log`, `trace` (calls from others), or `spans` (within the component)."""
    kind = _column(alert, "kind") or "page"
    caller = _column(alert, "caller")
    return "spans" if kind == "trace" and homes.get(caller, caller) == alert.service else kind


def _signals(alerts: Iterable[Alert]) -> dict[str, int]:
    """How many different metrics of one instance are strange, per component."""
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for alert in alerts:
        if _column(alert, "kind") == "metric" and _loudness(alert) >= _STRANGE:
            names[alert.service, alert.labels.get("instance", "")].add(alert.name)
    found: dict[str, int] = defaultdict(int)
    for (service, _), strange in names.items():
        found[service] = max(found[service], len(strange))
    return found


def _apart(members: Iterable[Alert]) -> float:
    """By how much one instance's scores add up to more than those of any sibling."""
    total: dict[str, float] = defaultdict(float)
    for alert in members:
        total[alert.labels.get("instance", "")] += max(alert.value or 0.0, 0.0)
    ordered = sorted(total.values(), reverse=True)
    return ordered[0] - (ordered[1] if len(ordered) > 1 else 0.0)


def _family(alert: Alert) -> str:
    kind = _column(alert, "kind") or "page"
    if _is_rule(alert) and (said := stated(alert.name)):
        return said
    return read(_column(alert, "signal") or alert.name).family if kind != "log" else "log"


def _is_rule(alert: Alert) -> bool:
    """Somebody wrote and named it, where others are named after the metric that was strange."""
    return not _column(alert, "kind") and not _column(alert, "signal")


def _column(alert: Alert, name: str) -> str:
    """A column of a recorded anomaly event; a label of that name on any other alert is none."""
    return alert.labels.get(name, "") if alert.source == RECORDED else ""


def _loudness(alert: Alert) -> float:
    return abs(alert.value) if alert.value is not None else 0.0


def _finding(
    service: str,
    kind: str,
    members: Sequence[Alert],
    counted_among: tuple[int, int],
    onset: Timestamp,
    window: Window,
) -> Finding:
    everyone, signals = counted_among
    loudest = max(members, key=_loudness)
    first = min(alert.starts_at for alert in members)
    loud = _loudness(loudest)
    name = _column(loudest, "signal") or loudest.name
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
            "signals": float(signals),
            "apart": _apart(members),
            "first_s": first - onset,
            kind: 1.0,
            **({"rule": 1.0} if _is_rule(loudest) else {}),
        },
        excerpt=sanitize(instance, 120),
        statement=f"{service}: {counted}, the strongest {sanitize(name, 80)!r}.",
    )
