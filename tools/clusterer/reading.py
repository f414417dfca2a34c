"""Read what placing an alert needs: its time, its scope, and whom it accuses."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tools.clusterer.call_paths import CallPaths
from tools.clusterer.config import ClustererConfig
from tools.clusterer.group import GroupScope
from tools.log_retriever.sanitize import sanitize
from tools.types import Alert, Timestamp

# Cause-based alerting names a saturated or broken resource; symptom-based alerting names what
# users feel (Google, Site Reliability Engineering, ch. 6: "symptoms versus causes").
_CAUSE = re.compile(
    r"cpu|memory|oom|heap|disk|filesystem|inode|throttl|crash|restart|evict|notready|quota"
    r"|certificate|deadlock|pool"
)


@dataclass(frozen=True, slots=True)
class UngroupedAlert:
    """An alert that needs a place. `by_call`: it points past its own service at a callee.

    `ties` are what relates it to other alerts wherever both have one in common: its subject, the
    node or zone it runs on, the call graph it is part of. `places` say where it runs.
    `momentary` alerts are over as they start: events of a log or a sensor, not conditions.
    """

    alert: Alert
    at: Timestamp
    scope: GroupScope
    suspect: str
    by_call: bool
    cause: bool
    momentary: bool
    places: frozenset[str]
    ties: frozenset[str]
    companion: str


class AlertReader:
    """Reads alerts under one configuration and topology."""

    def __init__(self, reach: CallPaths, config: ClustererConfig) -> None:
        self._reach = reach
        self._config = config
        self._zones: set[str] = set()

    def when(self, alert: Alert, now: Timestamp) -> Timestamp:
        """The time an alert is placed by: its start, or its arrival if that is long after."""
        at = min(alert.starts_at, now)
        return at if now - at <= self._config.late else now

    def scope(self, alert: Alert) -> GroupScope:
        """The values of the scope labels, empty where the alert does not carry one."""
        labels = alert.labels
        return tuple([labels.get(name, "") for name in self._config.scope_labels])

    def fresh(self, alert: Alert, now: Timestamp) -> UngroupedAlert:
        """Everything at once."""
        suspect, by_call = accused(alert, self._config.callee_labels, self._reach.known)
        scope = self.scope(alert)
        places, zone = self._places(alert), self._zone(alert)
        happening = momentary(alert)
        return UngroupedAlert(
            alert=alert,
            at=self.when(alert, now),
            scope=scope,
            companion=companion_key(alert, scope),
            suspect=suspect,
            by_call=by_call,
            cause=names_cause(alert),
            momentary=happening,
            places=places | zone,
            ties=places | zone | self._ties(alert, suspect, happening),
        )

    def _places(self, alert: Alert) -> frozenset[str]:
        """Where it runs. The `pod` of an alert that somebody else told is the messenger's."""
        names = (n for n in self._config.place_labels if n != "pod" or not alert.told_by)
        return frozenset(
            sanitize(f"{n}={alert.labels[n]}", 120) for n in names if n in alert.labels
        )

    def _zone(self, alert: Alert) -> frozenset[str]:
        """Its zone, once two were seen: a label that never changes relates everything."""
        zones = [alert.labels[name] for name in self._config.zone_labels if alert.labels.get(name)]
        if zones and len(self._zones) < 2:
            self._zones.add(zones[0])
        known = zones[:1] if len(self._zones) > 1 else []
        return frozenset(sanitize(f"zone={zone}", 120) for zone in known)

    def _ties(self, alert: Alert, suspect: str, happening: bool) -> frozenset[str]:
        graph = self._reach.graph(suspect)
        named = (
            f"subject={subject_key(alert)}" if suspect else f"rule={alert.name}",
            f"graph={graph}" if graph else "",
            # Sensors tell of one thing from many places; only time relates their events.
            "event" if happening else "",
        )
        return frozenset(tie for tie in named if tie)


def companion_key(alert: Alert, scope: GroupScope) -> str:
    """Its rule in its scope and namespace: the kind of alert by which habits are learned."""
    return "/".join((*scope, alert.subject.namespace, alert.name))


def subject_key(alert: Alert) -> str:
    """What an alert is about, as identity: the namespace and cluster are part of it."""
    subject = alert.subject
    if not subject.name:
        return alert.service
    kind = "component" if alert.service else subject.kind
    return "/".join((subject.cluster, subject.namespace, kind, alert.service or subject.name))


def momentary(alert: Alert) -> bool:
    """Whether the alert is over in the moment it starts."""
    return alert.ends_at is not None and alert.ends_at <= alert.starts_at


def names_cause(alert: Alert) -> bool:
    """Whether the alert's name speaks of a resource rather than of what callers feel."""
    return _CAUSE.search(alert.name[:200].lower()) is not None


def accused(alert: Alert, callee_labels: Sequence[str], known: Collection[str]) -> tuple[str, bool]:
    """What the alert points at, and whether it points past its own service at a callee.

    A label only counts if the topology knows its value: `target` may as well be a URL.
    """
    for name in callee_labels:
        callee = alert.labels.get(name)
        if callee is not None and callee in known and callee != alert.service:
            return callee, True
    return alert.service or alert.subject.shown, False
