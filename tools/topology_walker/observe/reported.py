"""What alerts and changes report: who is loud first, and how a new version does beside the old."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tools.log_retriever.sanitize import sanitize
from tools.topology_walker.certainty import is_forecast
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.deviation import finite
from tools.topology_walker.observe.metrics import strength_of
from tools.topology_walker.signals import MetricSemantics, read, stated
from tools.types import (
    RECORDED,
    Alert,
    Change,
    Finding,
    FloatArray,
    Owner,
    Series,
    Telemetry,
    Timestamp,
    Window,
)

_STRANGE = 3.0


def alert_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """One finding per component, kind of alert and family of signal or fault it states."""
    groups: dict[tuple[str, str, str], list[Alert]] = defaultdict(list)
    events = (alert for alert in telemetry.alerts if alert.source == RECORDED)
    homes = {a.labels["instance"]: a.service for a in events if "instance" in a.labels}
    for alert in telemetry.alerts:
        if owner := alert.service or _foretold_of(alert):
            groups[owner, _kind(alert, homes), _family(alert)].append(alert)
    everyone = len(telemetry.alerts)
    signals = _signals(telemetry.alerts)
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    return [
        _finding(service, kind, members, (everyone, signals.get(service, 0)), onset, window)
        for (service, kind, _), members in groups.items()
    ]


def _foretold_of(alert: Alert) -> str:
    """The node, or what else is no service, that a forecast is about: nothing else tells of it."""
    subject = alert.subject
    if not is_forecast(alert.name):
        return ""
    return f"node:{subject.name}" if subject.kind == "node" and subject.name else subject.name


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
        **_stated(f"{service}: {counted}, the strongest {sanitize(name, 80)!r}.", loudest),
    )


def _stated(counted: str, loudest: Alert) -> dict[str, str]:
    """What a forecast says of itself, when and why, where the name of another alert says enough."""
    said = loudest.annotations.get("summary", "")
    if not (said and is_forecast(loudest.name)):
        return {"statement": counted}
    most = 240  # source: characters that the brief shows of a statement
    chinese = loudest.annotations.get("summary_zh", "")
    return {"statement": sanitize(said, most), "statement_zh": sanitize(chinese, most)}


_AFTER_ONSET_S = 120.0
_SETTLED_S = 150.0
_FAMILIES = ("cpu", "memory", "latency", "success", "errors")


def change_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """Each change near the onset, and for each new version its strongest gap to the old one."""
    near = [
        change
        for change in telemetry.changes
        if onset - config.change_horizon_s <= change.at <= onset + _AFTER_ONSET_S
    ]
    near.sort(key=lambda change: -change.at)
    found = [_changed(change, later, onset) for later, change in enumerate(near)]
    versions = _by_version(telemetry.series)
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    for change in near:
        if change.to_version:
            found += _version_findings(change, versions, window)
    return found


def _changed(change: Change, later: int, onset: Timestamp) -> Finding:
    ago = onset - change.at
    since = f" from {change.from_version}" if change.from_version else ""
    step = f"{since} to {change.to_version}" if change.to_version else ""
    when = f"{ago:.0f} s before" if ago >= 0 else f"{-ago:.0f} s after"
    return Finding(
        kind="change",
        subject=change.service,
        name=change.kind,
        source="changes",
        query=f"service={change.service}",
        window=Window(start=min(change.at, onset), end=max(change.at, onset)),
        value=ago,
        unit="s",
        onset=change.at,
        strength=2.5 / (1.0 + 0.25 * later),
        figures={"ago_s": ago, "later_changes": float(later)},
        excerpt=sanitize(change.summary, 200),
        statement=f"{change.service}: {change.kind}{step} {when} the onset.",
    )


Versions = dict[tuple[str, str], dict[tuple[str, str], Series]]
"""By (service, version): its series, by (what, metric without the version)."""


def _by_version(series: Iterable[Series]) -> Versions:
    found: Versions = defaultdict(dict)
    for one in series:
        owner, signal = Owner.parse(one.owner), read(one.metric)
        if owner.kind == "version":
            found[owner.service, owner.version][owner.service, one.metric] = one
        elif owner.kind == "edge" and signal.version:
            service = owner.caller if signal.side == "caller" else owner.service
            metric = one.metric.replace(signal.version, "*", 1)
            found[service, signal.version][one.owner, metric] = one
    return found


def _version_findings(change: Change, versions: Versions, window: Window) -> list[Finding]:
    new = versions.get((change.service, change.to_version), {})
    old = versions.get((change.service, change.from_version), {})
    # The old version must still speak late in the window: else nobody calls either of them.
    late = 0.5 * (change.at + window.end)
    watched = any(_since(one, late)[0].size for one in old.values())
    spoken = any(_since(one, change.at)[0].size for one in new.values())
    if not spoken:
        versioned = any(version != change.from_version for _, version in versions)
        settled = window.end - change.at >= _SETTLED_S
        return [_silent(change, window)] if watched and versioned and settled else []
    found = []
    for key, one in new.items():
        other = old.get(key)
        signal = read(one.metric)
        if other is not None and signal.family in _FAMILIES:
            found += _gap(change, one, other, signal, window)
    return sorted(found, key=lambda finding: -finding.strength)[:2]


def _since(one: Series, moment: Timestamp) -> tuple[FloatArray, FloatArray]:
    times, values = finite(one)
    keep = times >= moment
    return times[keep], values[keep]


def _gap(
    change: Change, new: Series, old: Series, signal: MetricSemantics, window: Window
) -> list[Finding]:
    """The new version's level beside the old one's, in the old one's spread."""
    value, reference = _since(new, change.at)[1], finite(old)[1]
    if value.size < 2 or reference.size < 3:
        return []
    level, normal = float(np.median(value)), float(np.median(reference))
    low, high = np.percentile(reference, [10, 90])
    floor = 2.0 if signal.family == "success" else 0.15 * abs(normal)
    scale = max(float(high - low) / 2.56, floor, 1e-9)
    up = level > normal
    # A new version that does nothing at all (no CPU, no latency) is as wrong as one that burns.
    idle = not up and normal > 0 and level < 0.05 * normal
    worse = (level - normal) / scale * (1.0 if signal.bad == "up" else -1.0)
    z = max(worse, abs(level - normal) / scale if idle else 0.0)
    if z < 2.0:
        return []
    return [
        Finding(
            kind="metric",
            subject=f"{change.service}@{change.to_version}",
            name=f"canary {new.metric}",
            source="metrics",
            query=f"{new.name} beside {old.name}",
            window=window,
            value=level,
            baseline=normal,
            unit=new.unit,
            direction="up" if up else "down",
            strength=strength_of(z),
            figures={"z": z, "canary": 1.0},
            statement=(
                f"{change.service} {change.to_version} has {new.metric} {level:.4g}, "
                f"{change.from_version} {normal:.4g}."
            ),
        )
    ]


def _silent(change: Change, window: Window) -> Finding:
    return Finding(
        kind="metric",
        subject=f"{change.service}@{change.to_version}",
        name="canary silent",
        source="metrics",
        query=f"owner={change.service}@{change.to_version}",
        window=window,
        value=0.0,
        unit="series",
        direction="down",
        strength=strength_of(20.0),
        figures={"z": 20.0, "canary": 1.0},
        statement=(
            f"{change.service} {change.to_version} was released and reports no metric at all, "
            f"while {change.from_version} does."
        ),
    )
