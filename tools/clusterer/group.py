"""A group while it is being built, the summary a person reads of it, and all groups: the open ones
by scope, the ended ones as long as there is room.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.log_retriever.sanitize import sanitize
from tools.types import Alert, AlertGroup, Severity, Timestamp

MOST_MEMBERS = 5_000
"""Alerts a group remembers one by one; of more it keeps the number."""

SEVERITIES: tuple[Severity, ...] = ("low", "info", "warning", "high", "critical")
GroupScope = tuple[str, ...]


@dataclass(slots=True)
class Member:
    """One alert of a group: as first seen, whom it accuses, why it belongs, how often it came."""

    alert: Alert
    at: Timestamp
    suspect: str
    reason: str
    surprise: float
    places: frozenset[str] = frozenset()
    ties: frozenset[str] = frozenset()
    count: int = 1

    @property
    def momentary(self) -> bool:
        """Whether it is an event: over in the moment it starts."""
        return self.alert.ends_at is not None and self.alert.ends_at <= self.alert.starts_at


@dataclass(slots=True)
class Group:
    """Mutable state of one group.

    `roots` are the services its alerts accuse, `causes` those of them with a burning resource,
    `strays` what was said about other services; `firing` holds when each firing alert expires. A
    `storm` holds alerts that have nothing in common but that they are too many at once; a `lone`
    group was opened by alerts of one subject.
    """

    id: str
    scope: GroupScope
    first_at: Timestamp
    last_at: Timestamp
    members: dict[str, Member] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)  # of its members, in order of arrival
    services: set[str] = field(default_factory=set)
    namespaces: dict[str, set[str]] = field(default_factory=dict)  # of its services, where named
    places: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)
    root_at: Timestamp = -math.inf
    causes: set[str] = field(default_factory=set)
    ties: set[str] = field(default_factory=set)
    companions: set[str] = field(default_factory=set)  # what its members are learned by
    strays: dict[str, set[str]] = field(default_factory=dict)
    firing: dict[str, Timestamp] = field(default_factory=dict)
    expires_at: Timestamp = math.inf
    quiet_since: Timestamp = -math.inf
    alerts: int = 0
    events: int = 0
    score: float = 0.0
    rank: float = 0.0
    severity: Severity = "low"
    surfaced: bool = False
    background: bool = False
    closed: bool = False
    storm: bool = False
    lone: bool = False
    merged_into: str = ""

    def gap(self, at: Timestamp) -> float:
        """Seconds between `at` and the span of the group's starts; 0 inside it."""
        return max(0.0, at - self.last_at, self.first_at - at)

    def quiet(self, at: Timestamp) -> float:
        """Seconds since nothing of the group fires any more; 0 while something does."""
        return 0.0 if self.firing else max(0.0, at - self.quiet_since)

    def pace(self) -> float:
        """Mean seconds between the group's events."""
        return (self.last_at - self.first_at) / max(1, self.events - 1)

    def add(self, member: Member) -> None:
        """Take an alert in; one that is a member already is counted, nothing else."""
        self.touch(member.at)
        known = self.members.get(member.alert.fingerprint)
        if known is not None:
            known.count += 1
            return
        self.severity = worst(self.severity, member.alert.severity)
        if len(self.members) >= MOST_MEMBERS:
            return
        self.members[member.alert.fingerprint] = member
        self.names[member.alert.name] = None
        self.score += member.surprise
        if member.alert.service:
            self.services.add(member.alert.service)
            if member.alert.subject.namespace:
                named = self.namespaces.setdefault(member.alert.service, set())
                named.add(member.alert.subject.namespace)
        self.places |= member.places
        self.ties |= member.ties

    def again(self, fingerprint: str, at: Timestamp) -> None:
        """A member came again."""
        self.touch(at)
        member = self.members.get(fingerprint)
        if member is not None:
            member.count += 1

    def touch(self, at: Timestamp) -> None:
        """Stretch the group's span over one more alert."""
        self.first_at = min(self.first_at, at)
        self.last_at = max(self.last_at, at)
        self.alerts += 1

    def take_out(self, fingerprint: str) -> Member:
        """Give up a member that turned out to belong elsewhere; the span stays as it was."""
        member = self.members.pop(fingerprint)
        self.alerts -= member.count
        self.score -= member.surprise
        left = [each.alert for each in self.members.values()]
        self.names = dict.fromkeys(alert.name for alert in left)
        self.services = {alert.service for alert in left if alert.service}
        self.places = {place for each in self.members.values() for place in each.places}
        self.ties = {tie for each in self.members.values() for tie in each.ties}
        self.severity = worst("low", *(alert.severity for alert in left))
        return member

    def fire(self, fingerprint: str, until: Timestamp) -> None:
        """One of its alerts fires, and will be taken for ended at `until` if nobody says so."""
        self.firing[fingerprint] = until
        self.expires_at = min(self.expires_at, until)

    def expire(self, now: Timestamp) -> None:
        """End what nobody repeated or resolved in time."""
        if now <= self.expires_at:
            return
        for fingerprint, until in list(self.firing.items()):
            if until < now:
                self.ended(fingerprint, until)
        self.expires_at = min(self.firing.values(), default=math.inf)

    def ended(self, fingerprint: str, at: Timestamp) -> None:
        """One of its alerts stopped firing."""
        if self.firing.pop(fingerprint, None) is not None:
            self.quiet_since = max(self.quiet_since, at)

    def summary(self, blast_radius: tuple[str, ...], flap_limit: float = math.inf) -> AlertGroup:
        """The group as a value, with title and storm summary.

        A title says that an alert flaps, once it started `flap_limit` times.
        """
        members = sorted(self.members.values(), key=lambda member: member.at)
        first = members[0].alert
        services = tuple(dict.fromkeys(m.alert.service for m in members if m.alert.service))
        return AlertGroup(
            id=self.id,
            title=self._title(first, services, flap_limit),
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

    def _title(self, first: Alert, services: tuple[str, ...], flap_limit: float) -> str:
        if self.storm:
            return self._storm_title()
        names = Counter(m.alert.name for m in self.members.values() if m.suspect in self.roots)
        name = names.most_common(1)[0][0] if names else first.name
        suspects = tuple(sorted(root for root in self.roots if root)) or services[:1]
        on = f" on {sanitize(', '.join(suspects[:3]), 80)}" if suspects else ""
        more = len(set(services) - set(suspects))
        others = f" and {more} more service{'s' if more > 1 else ''}" if more else ""
        restarts = max((m.count for m in self.members.values() if not m.momentary), default=0)
        flapping = f" (flapping, {restarts} times)" if restarts >= flap_limit else ""
        return f"{sanitize(name, 80)}{on}{others}{flapping}"

    def _storm_title(self) -> str:
        named = ", ".join(dict.fromkeys(m.suspect for m in self.members.values() if m.suspect))
        return f"Storm of {len(self.members)} unrelated alerts: {sanitize(named, 120)}"

    def _storm(self, first: Alert, services: tuple[str, ...], radius: tuple[str, ...]) -> str:
        where = f" on {sanitize(first.service, 60)}" if first.service else ""
        spread = ", ".join(sanitize(name, 60) for name in services[:8]) or "none named"
        reach = ", ".join(sanitize(name, 60) for name in radius[:8]) or "unknown"
        return (
            f"First: {sanitize(first.name, 80)}{where}. {self.alerts} alerts of "
            f"{len(self.members)} kinds in {self.last_at - self.first_at:.0f} s. "
            f"Services: {spread}. "
            f"Blast radius: {reach}."
        )


def worst(*severities: Severity) -> Severity:
    """The gravest of some severities."""
    return max(severities, key=SEVERITIES.index)


class GroupStore:
    """Bounded storage of groups; ended groups leave first, oldest first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._all: OrderedDict[str, Group] = OrderedDict()
        self._open: dict[GroupScope, list[Group]] = {}

    def put(self, group: Group) -> None:
        """Store a new open group."""
        self._all[group.id] = group
        self._open.setdefault(group.scope, []).append(group)
        while len(self._all) > self._keep:
            oldest = next((g for g in self._all.values() if g.closed), None)
            if oldest is None:
                break
            del self._all[oldest.id]

    def get(self, group_id: str) -> Group | None:
        """A group by id, None if it is unknown or was dropped."""
        return self._all.get(group_id)

    def open_in(self, scope: GroupScope) -> list[Group]:
        """Open groups whose scope does not contradict: equal, or empty on one side, per label."""
        if not any(scope):
            return [group for groups in self._open.values() for group in groups]
        return [
            group
            for other, groups in self._open.items()
            if all(a == b or not a or not b for a, b in zip(scope, other, strict=True))
            for group in groups
        ]

    def end(self, group: Group) -> None:
        """No alert joins the group any more."""
        group.closed = True
        rest = [each for each in self._open.get(group.scope, []) if each is not group]
        if rest:
            self._open[group.scope] = rest
        else:
            self._open.pop(group.scope, None)

    def reopen(self, group: Group) -> None:
        """Alerts join an ended group again."""
        if group.closed:
            group.closed = False
            self._all[group.id] = group
            self._open.setdefault(group.scope, []).append(group)

    def open(self) -> Iterator[Group]:
        """All open groups."""
        for groups in list(self._open.values()):
            yield from groups

    def idle(self, now: Timestamp, gap: float, firing_for: float) -> list[Group]:
        """Open groups that time has ended: nothing fires and nothing came for `gap` seconds."""
        ended = []
        for group in self.open():
            group.expire(now)
            limit = 24 * firing_for if group.background else gap
            if not group.firing and now - max(group.last_at, group.quiet_since) > limit:
                ended.append(group)
        return ended
