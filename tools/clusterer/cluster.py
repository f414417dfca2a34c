"""The clusterer: alerts in, one decision with a reason for each."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from tools.clusterer.admission_stage import AdmissionStage
from tools.clusterer.call_paths import CallPaths
from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import Action, Decision
from tools.clusterer.group import SEVERITIES, Group, GroupStore, Member
from tools.clusterer.grouping import BurstGrouper, GroupAssignment
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Silence
from tools.clusterer.noise import NoiseModel
from tools.clusterer.noise_filter import NoiseFilter
from tools.clusterer.reading import AlertReader, UngroupedAlert
from tools.clusterer.tie_break import TieBreaker
from tools.types import Alert, AlertGroup, Timestamp, Topology


@dataclass(slots=True)
class Burst:
    """Alerts of one scope that need a place and start together, by their position in the batch."""

    alerts: dict[int, UngroupedAlert] = field(default_factory=dict)
    fingerprints: set[str] = field(default_factory=set)

    @property
    def first(self) -> UngroupedAlert:
        """The one that opened the burst."""
        return next(iter(self.alerts.values()))


class Clusterer:
    """Groups a stream of alerts into incidents; deterministic given its inputs.

    Every alert passes, in this order: silences and windows, declared inhibition, its own past (the
    same firing again, a flapping alert), chronic noise, then a place by call path and time (see
    `BurstGrouper`), and last the question whether its group is told (see `NoiseFilter`). A group
    that is held as noise keeps its id and its alerts: it is told, with the decision `opened`, by
    the first alert that makes it strange enough. The learned state (`noise`) may be handed from one
    clusterer to the next.

    >>> from tools.types import Alert
    >>> down = Alert(fingerprint="a", name="InstanceDown", service="cart", starts_at=100.0)
    >>> clusterer = Clusterer()
    >>> [each.action for each in clusterer.update([down, down], now=100.0)]
    ['opened', 'deduplicated']
    """

    def __init__(
        self,
        topology: Topology | None = None,
        config: ClustererConfig | None = None,
        silences: Sequence[Silence | MaintenanceWindow] = (),
        inhibitions: Sequence[Inhibition] = (),
        noise: NoiseModel | None = None,
        new_id: Callable[[], str] | None = None,
        judge: TieBreaker | None = None,
    ) -> None:
        self._config = config or ClustererConfig()
        self._shelf = GroupStore(self._config.keep_groups)
        unused = (name for n in count(1) if self._shelf.get(name := f"G{n}") is None)
        self._new_id = new_id or (lambda: next(unused))
        self._reach = CallPaths(topology or Topology())
        self._reader = AlertReader(self._reach, self._config)
        known = noise if noise is not None else NoiseModel()
        self._surfacer = NoiseFilter(known, self._config)
        self._placement = BurstGrouper(self._reach, self._config, judge, known.companions)
        self._door = AdmissionStage(
            self._config,
            silences,
            inhibitions,
            self._reader,
            self._placement,
            self._surfacer,
            self._shelf,
            self._new_id,
        )
        self._corrections: list[Decision] = []
        self._merged: dict[str, str] = {}

    def silence(self, silences: Sequence[Silence | MaintenanceWindow]) -> None:
        """From now on these are the silences; those given before are no more."""
        self._door.silence(silences)

    @property
    def noise(self) -> NoiseModel:
        """What was learned so far; it may be dumped, and given to the next clusterer."""
        return self._surfacer.noise

    def update(self, alerts: Sequence[Alert], now: Timestamp) -> list[Decision]:
        """Decide about a batch: exactly one decision per alert, in the order given."""
        for group in self._shelf.idle(now, self._config.related_gap, self._config.firing_for):
            self._end(group, now)
        self._door.expire(now)
        self.announce(alerts, now)
        decided: dict[int, Decision] = {}
        burst = Burst()
        for index, alert in enumerate(alerts):
            if burst.alerts and self._breaks(burst, alert, now):
                decided |= self._place(burst)
                burst = Burst()
            decision = self._door.decide(alert, now)
            if decision is None:
                burst.alerts[index] = self._reader.fresh(alert, now)
                burst.fingerprints.add(alert.fingerprint)
            else:
                decided[index] = decision
        decided |= self._place(burst)
        return [decided[index] for index in range(len(alerts))]

    def announce(self, alerts: Sequence[Alert], now: Timestamp) -> None:
        """Alerts that fire, whatever became of them, inhibit by the declared rules."""
        self._door.announce(alerts, now)

    def corrections(self) -> list[Decision]:
        """Alerts moved to another group since the last call, as decisions on their new place.

        When a burst reveals a second root, alerts that were given to the first incident before
        the root was known move over. A caller that stores group ids follows.
        """
        moved, self._corrections = self._corrections, []
        return moved

    def flapping(self, group_id: str, now: Timestamp) -> bool:
        """Whether an alert of the group has started too often of late to believe that it ended."""
        group = self._shelf.get(group_id)
        return group is not None and self._door.flapping(group.members, now)

    def merged(self) -> dict[str, str]:
        """Groups that went into another since the last call: their id to the id they went into."""
        merged, self._merged = self._merged, {}
        return merged

    def groups(self) -> list[AlertGroup]:
        """The open groups that were told, most likely a real incident first."""
        told = [group for group in self._shelf.open() if group.surfaced]
        told.sort(key=lambda group: (-group.rank, group.first_at, group.id))
        return [self._summary(group) for group in told]

    def group(self, group_id: str) -> AlertGroup:
        """One group by its id, open or ended, told or held; KeyError if it is not known.

        One that went into another is that other.
        """
        group = self._shelf.get(group_id)
        while group is not None and group.merged_into:
            group = self._shelf.get(group.merged_into)
        if group is None:
            raise KeyError(f"no group {group_id!r}: never opened here, or ended long ago")
        return self._summary(group)

    def close(self, group_id: str, now: Timestamp) -> None:
        """End a group: no later alert is attached to it. An unknown id is not an error."""
        group = self._shelf.get(group_id)
        if group is not None and not group.closed:
            self._end(group, now)

    def restore(self, stored: Iterable[tuple[Alert, str]], closed: Collection[str] = ()) -> None:
        """Rebuild the state from stored alerts and their group ids (empty: no group)."""
        for alert, group_id in stored:
            if not group_id:
                continue
            fresh = self._reader.fresh(alert, alert.starts_at)
            group = self._shelf.get(group_id)
            if group is None:
                group = Group(group_id, fresh.scope, fresh.at, fresh.at, surfaced=True)
                self._shelf.put(group)
            if alert.status != "resolved" or alert.fingerprint not in group.members:
                self._join(group, fresh, GroupAssignment(group, "restored"))
                self._surfacer.settle(group, fresh.at)
            if alert.status == "resolved":
                self._door.resolve(alert, fresh.at if alert.ends_at is None else alert.ends_at)
        for group_id in closed:
            ended = self._shelf.get(group_id)
            if ended is not None:
                self._shelf.end(ended)

    def _breaks(self, burst: Burst, alert: Alert, now: Timestamp) -> bool:
        """Whether an alert belongs to another burst than the one being collected."""
        return (
            alert.fingerprint in burst.fingerprints
            or abs(self._reader.when(alert, now) - burst.first.at) > self._config.burst
            or self._reader.scope(alert) != burst.first.scope
        )

    def _place(self, burst: Burst) -> dict[int, Decision]:
        """Give every alert of a burst a group, then settle the groups it touched."""
        if not burst.alerts:
            return {}
        candidates = [
            each for each in self._shelf.open_in(burst.first.scope) if not each.background
        ]
        told = {group.id for group in candidates if group.surfaced}
        places = self._placement.place(list(burst.alerts.values()), candidates)
        fresh_alerts = list(burst.alerts.values())
        opened = self._opened(burst.first, fresh_alerts, places, candidates)
        joined: list[tuple[int, UngroupedAlert, Group, str, Action]] = []
        for (index, fresh), place in zip(burst.alerts.items(), places, strict=True):
            group = place.group or opened[fresh.alert.fingerprint]
            action = self._action(fresh, group)
            self._join(group, fresh, place)
            joined.append((index, fresh, group, place.reason, action))
        touched = {group.id: group for _, _, group, _, _ in joined}
        why = {name: self._surfacer.settle(group, group.last_at) for name, group in touched.items()}
        for (_, fresh, group, _, _), place in zip(joined, places, strict=True):
            if place.group is None and place.root and group.surfaced:
                self._correct(group, place.root, candidates)
            elif place.group is not None:
                self._merge(fresh, group, candidates)
        return {
            index: self._told(fresh, group, action, reason, why[group.id], told)
            for index, fresh, group, reason, action in joined
        }

    def _opened(
        self,
        first: UngroupedAlert,
        burst: Sequence[UngroupedAlert],
        places: Sequence[GroupAssignment],
        open_groups: Sequence[Group],
    ) -> dict[str, Group]:
        """By fingerprint, the new group of each alert that has no place: one per related set.

        Two dozen sets that nothing relates, with those that opened just before, are one storm.
        """
        homeless = [fresh for fresh, place in zip(burst, places, strict=True) if not place.group]
        sets = self._placement.related(homeless)
        lonely = [each for each in open_groups if each.lone and self._recent(each, first.at)]
        if len(sets) + len(lonely) >= self._config.storm_subjects:
            storm = next((g for g in open_groups if g.storm and self._recent(g, first.at)), None)
            group = storm or self._new_group(first, storm=True)
            return dict.fromkeys((fresh.alert.fingerprint for fresh in homeless), group)
        opened: dict[str, Group] = {}
        for members in sets:
            group = self._new_group(members[0], lone=len({m.suspect for m in members}) == 1)
            opened |= dict.fromkeys((fresh.alert.fingerprint for fresh in members), group)
        return opened

    def _recent(self, group: Group, at: Timestamp) -> bool:
        return group.gap(at) <= self._config.unrelated_gap

    def _new_group(self, first: UngroupedAlert, storm: bool = False, lone: bool = False) -> Group:
        group = Group(self._new_id(), first.scope, first.at, first.at, storm=storm, lone=lone)
        self._shelf.put(group)
        return group

    def _told(
        self,
        fresh: UngroupedAlert,
        group: Group,
        action: Action,
        reason: str,
        why: str,
        told: set[str],
    ) -> Decision:
        """The decision on a placed alert; the first of a group that has become news opens it."""
        key = fresh.alert.fingerprint
        if not group.surfaced:
            return Decision(key, "noise", group.id, why, group.rank)
        if group.id in told:
            return Decision(key, action, group.id, reason, group.rank)
        told.add(group.id)
        return Decision(key, "opened", group.id, f"{reason}; {why}", group.rank)

    def _action(self, fresh: UngroupedAlert, group: Group) -> Action:
        """What joining a told group means: nothing new, a mere symptom of it, or news."""
        if fresh.alert.fingerprint in group.members:
            return "deduplicated"
        worse = SEVERITIES.index(fresh.alert.severity) > SEVERITIES.index(group.severity)
        burning = group.causes - {fresh.suspect}
        if not worse and any(self._reach.explains(cause, fresh.suspect) for cause in burning):
            return "inhibited"
        return "attached"

    def _join(self, group: Group, fresh: UngroupedAlert, place: GroupAssignment) -> None:
        alert, at = fresh.alert, fresh.at
        surprise = self._surfacer.surprise(alert, fresh.scope, at)
        group.add(
            Member(alert, at, fresh.suspect, place.reason, surprise, fresh.places, fresh.ties)
        )
        group.events += fresh.momentary
        group.companions.add(fresh.companion)
        self._placement.accuse(group, fresh, place)
        self._surfacer.observe(alert, fresh.scope, at)
        self._door.keep(alert, group, at)

    def _correct(self, new: Group, root: str, others: Sequence[Group]) -> None:
        """Move what strayed into other groups before the root of a new group was known."""
        for group, key, reason in list(self._placement.moved(root, new.first_at, others)):
            if key not in group.members or len(group.members) == 1:
                continue
            member = group.take_out(key)
            new.add(member)
            self._door.move(key, group, new)
            self._surfacer.settle(group, new.last_at)
            member.reason = f"moved from {group.id}: {reason}"
            self._corrections.append(Decision(key, "attached", new.id, member.reason, new.rank))

    def _merge(self, fresh: UngroupedAlert, home: Group, others: Sequence[Group]) -> None:
        """Bring groups into the home of an alert that shows them to be one with it."""
        for group, reason in list(self._placement.bridged(fresh, home, others)):
            if group.closed or home.closed:
                continue
            for key in list(group.members):
                member = group.take_out(key)
                home.add(member)
                self._door.move(key, group, home)
                member.reason = f"from {group.id}, {reason}"
                self._corrections.append(
                    Decision(key, "attached", home.id, member.reason, home.rank)
                )
            home.roots |= group.roots
            home.causes |= group.causes
            home.companions |= group.companions
            home.surfaced |= group.surfaced
            self._surfacer.settle(home, home.last_at)
            self._merged[group.id] = group.merged_into = home.id
            self._shelf.end(group)

    def _end(self, group: Group, now: Timestamp) -> None:
        self._shelf.end(group)
        if group.firing:
            group.quiet_since = max(group.quiet_since, now)
        self._surfacer.ended(group, now)

    def _summary(self, group: Group) -> AlertGroup:
        radius: dict[str, None] = {}
        for root in sorted(group.roots):
            radius |= dict.fromkeys((root, *self._reach.callers(root)))
        return group.summary(tuple(n for n in radius if n), self._config.flap_limit)
