"""A group while it is being built, and the summary a person reads of it."""

from collections import Counter
from dataclasses import dataclass, field

from tools.clusterer.wording import plain
from tools.types import Alert, AlertGroup, Severity, Timestamp

SEVERITIES: tuple[Severity, ...] = ("low", "info", "warning", "high", "critical")
Scope = tuple[str, ...]


@dataclass(slots=True)
class Member:
    """One alert of a group: as first seen, how often since, and why it belongs."""

    alert: Alert
    reason: str
    count: int = 1


@dataclass(slots=True)
class Group:
    """Mutable state of one group; `roots` are the services its alerts accuse."""

    id: str
    scope: Scope
    first_at: Timestamp
    last_at: Timestamp
    members: dict[str, Member] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)
    causes: set[str] = field(default_factory=set)
    strays: dict[str, set[str]] = field(default_factory=dict)
    firing: dict[str, Timestamp] = field(default_factory=dict)
    quiet_since: Timestamp = 0.0
    alerts: int = 0
    events: int = 0
    score: float = 0.0
    rank: float = 0.0
    severity: Severity = "low"
    surfaced: bool = False
    background: bool = False
    closed: bool = False

    def gap(self, at: Timestamp) -> float:
        """Seconds between `at` and the span of the group's starts; 0 inside it."""
        return max(0.0, at - self.last_at, self.first_at - at)

    def quiet(self, at: Timestamp) -> float:
        """Seconds since nothing of the group fires any more; 0 while something does."""
        return 0.0 if self.firing else max(0.0, at - self.quiet_since)

    def pace(self) -> float:
        """Mean seconds between the group's events."""
        return (self.last_at - self.first_at) / max(1, self.events - 1)

    def add(self, alert: Alert, at: Timestamp, reason: str) -> bool:
        """Take an alert in; True if it is new to the group."""
        self.first_at = min(self.first_at, at)
        self.last_at = max(self.last_at, at)
        self.alerts += 1
        member = self.members.get(alert.fingerprint)
        if member is not None:
            member.count += 1
            return False
        self.members[alert.fingerprint] = Member(alert, reason)
        if alert.service:
            self.services.add(alert.service)
        if SEVERITIES.index(alert.severity) > SEVERITIES.index(self.severity):
            self.severity = alert.severity
        return True

    def ended(self, fingerprint: str, at: Timestamp) -> None:
        """One of its alerts stopped firing."""
        if self.firing.pop(fingerprint, None) is not None:
            self.quiet_since = max(self.quiet_since, at)

    def summary(self, blast_radius: tuple[str, ...]) -> AlertGroup:
        """The group as a value, with title and storm summary."""
        members = sorted(self.members.values(), key=lambda member: member.alert.starts_at)
        first = members[0].alert
        services = tuple(dict.fromkeys(m.alert.service for m in members if m.alert.service))
        return AlertGroup(
            id=self.id,
            title=self._title(first, services),
            fingerprints=tuple(self.members),
            services=services,
            first_service=first.service,
            started_at=self.first_at,
            severity=self.severity,
            reasons={key: member.reason for key, member in self.members.items()},
            summary=self._storm(first, services, blast_radius),
            blast_radius=blast_radius,
            rank=self.rank,
        )

    def _title(self, first: Alert, services: tuple[str, ...]) -> str:
        names = Counter(
            member.alert.name
            for member in self.members.values()
            if not self.roots or member.alert.service in self.roots
        )
        name = names.most_common(1)[0][0] if names else first.name
        suspects = tuple(sorted(self.roots)) or services[:1]
        on = f" on {plain(', '.join(suspects[:3]), 80)}" if suspects else ""
        more = len(set(services) - set(suspects))
        others = f" and {more} more service{'s' if more > 1 else ''}" if more else ""
        return f"{plain(name, 80)}{on}{others}"

    def _storm(self, first: Alert, services: tuple[str, ...], radius: tuple[str, ...]) -> str:
        where = f" on {plain(first.service, 60)}" if first.service else ""
        spread = ", ".join(plain(name, 60) for name in services[:8]) or "none named"
        reach = ", ".join(plain(name, 60) for name in radius[:8]) or "unknown"
        return (
            f"First: {plain(first.name, 80)}{where}. {self.alerts} alerts of {len(self.members)} "
            f"kinds in {self.last_at - self.first_at:.0f} s. Services: {spread}. "
            f"Blast radius: {reach}."
        )
