"""The clusterer: alerts in, one decision with a reason for each."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count

from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import SUPPRESSED, Decision
from tools.clusterer.group import SEVERITIES, Group, Scope
from tools.clusterer.inhibition import Inhibitor
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Silence, matching_labels
from tools.clusterer.noise import NoiseModel
from tools.clusterer.placement import Fresh, PairJudge, Place, Placement, accuse
from tools.clusterer.reach import Reach
from tools.clusterer.shelf import Shelf
from tools.clusterer.surface import Surfacer
from tools.clusterer.tracks import Track, Tracks
from tools.types import Alert, AlertGroup, Timestamp, Topology


class Clusterer:
    """Groups a stream of alerts into incidents; deterministic given its inputs.

    Every alert passes, in this order: silences and windows, its own past (the same firing again,
    a flapping alert), declared inhibition, chronic noise, then a place by call path and time (see
    `Placement`), and last the question whether its group is told (see `Surfacer`). A group that
    is held as noise keeps its id and its alerts: it is told, with the decision `opened`, by the
    first alert that makes it strange enough. The learned state (`noise`) may be handed from one
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
        judge: PairJudge | None = None,
    ) -> None:
        self._config = config or ClustererConfig()
        self._reach = Reach(topology or Topology())
        self._silences = tuple(silences)
        self._inhibitor = Inhibitor(inhibitions) if inhibitions else None
        self._surfacer = Surfacer(noise if noise is not None else NoiseModel(), self._config)
        self._placement = Placement(self._reach, self._config, judge)
        numbers = count(1)
        self._new_id = new_id or (lambda: f"G{next(numbers)}")
        self._tracks = Tracks(self._config.keep_alerts)
        self._shelf = Shelf(self._config.keep_groups)
        self._background: dict[Scope, Group] = {}
        self._suppressed: OrderedDict[str, Decision] = OrderedDict()

    @property
    def noise(self) -> NoiseModel:
        """What was learned so far; it may be dumped, and given to the next clusterer."""
        return self._surfacer.noise

    def update(self, alerts: Sequence[Alert], now: Timestamp) -> list[Decision]:
        """Decide about a batch: exactly one decision per alert, in the order given."""
        self._end_idle(now)
        decided: dict[int, Decision] = {}
        burst: dict[int, Fresh] = {}
        for index, alert in enumerate(alerts):
            if burst and self._breaks(burst, alert, now):
                decided |= self._place(burst)
                burst = {}
            decision = self._known(alert, now)
            if decision is None:
                burst[index] = self._placement.fresh(alert, *self._when(alert, now))
            else:
                decided[index] = decision
        decided |= self._place(burst)
        decisions = [decided[index] for index in range(len(alerts))]
        self._remember(decisions)
        return decisions

    def groups(self) -> list[AlertGroup]:
        """The open groups that were told, most likely a real incident first."""
        told = [group for group in self._shelf.open() if group.surfaced]
        told.sort(key=lambda group: (-group.rank, group.first_at, group.id))
        return [self._summary(group) for group in told]

    def group(self, group_id: str) -> AlertGroup:
        """One group by its id, open or ended, told or held; KeyError if it is not known."""
        group = self._shelf.get(group_id)
        if group is None:
            raise KeyError(f"no group {group_id!r}: never opened here, or ended long ago")
        return self._summary(group)

    def suppressed(self) -> list[Decision]:
        """The last decision on each alert that is kept from the screen, with its reason."""
        return list(self._suppressed.values())

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
            at, momentary = self._when(alert, alert.starts_at)
            group = self._shelf.get(group_id)
            if group is None:
                group = Group(group_id, self._scope(alert), at, at, surfaced=True)
                self._shelf.put(group)
            if alert.status == "resolved":
                self._resolve(alert, at if alert.ends_at is None else alert.ends_at)
            else:
                self._join(group, self._placement.fresh(alert, at, momentary), Place(group, ""))
        for group_id in closed:
            group = self._shelf.get(group_id)
            if group is not None:
                self._shelf.end(group)

    def _when(self, alert: Alert, now: Timestamp) -> tuple[Timestamp, bool]:
        """The time an alert is placed by, and whether it is over in the moment it starts."""
        at = min(alert.starts_at, now)
        momentary = alert.ends_at is not None and alert.ends_at <= alert.starts_at
        return (at if now - at <= self._config.late else now), momentary

    def _scope(self, alert: Alert) -> Scope:
        labels = alert.labels
        return tuple(labels.get(name, "") for name in self._config.scope_labels)

    def _breaks(self, burst: dict[int, Fresh], alert: Alert, now: Timestamp) -> bool:
        """Whether an alert belongs to another burst than the one being collected."""
        first = next(iter(burst.values()))
        return (
            abs(self._when(alert, now)[0] - first.at) > self._config.burst
            or self._scope(alert) != self._scope(first.alert)
            or any(alert.fingerprint == fresh.alert.fingerprint for fresh in burst.values())
        )

    def _known(self, alert: Alert, now: Timestamp) -> Decision | None:
        """Decide without looking for a place; None if the alert needs one."""
        key = alert.fingerprint
        if alert.status == "resolved":
            ended = alert.ends_at if alert.ends_at is not None else now
            return self._resolve(alert, min(ended, now))
        if self._silences:
            labels = matching_labels(alert)
            for silence in self._silences:
                if silence.mutes(labels, now):
                    return Decision(key, "silenced", "", silence.reason)
        track = self._tracks.get(key)
        decision = self._again(alert, track, now) if track is not None else None
        if decision is None and self._inhibitor is not None:
            decision = self._inhibited(alert, now)
        if decision is None and self._config.arm == "ml":
            decision = self._chronic(alert, now)
        return decision

    def _again(self, alert: Alert, track: Track, now: Timestamp) -> Decision | None:
        """The alert was seen before: the same firing, or a restart within its group."""
        group = track.group
        if track.firing and alert.starts_at == track.starts_at:
            return self._repeated(alert, track, now)
        at, momentary = self._when(alert, now)
        if not track.firing and not momentary:
            decision = self._flaps(alert, track, at)
            if decision is not None:
                return decision
        if group is None or group.closed or group.background:
            return None
        if not self._placement.near(group, Fresh(alert, at, "", False, momentary), related=True):
            return None
        group.add(alert, at, "")
        group.events += momentary
        self._surfacer.observe(alert, group.scope, at)
        self._fire(group, alert, at, momentary)
        track.starts_at, track.seen_at, track.firing = alert.starts_at, now, not momentary
        if not group.surfaced:
            return Decision(alert.fingerprint, "noise", group.id, "again, in a held group")
        reason = f"again, the same alert of group {group.id}"
        return Decision(alert.fingerprint, "deduplicated", group.id, reason, group.rank)

    def _repeated(self, alert: Alert, track: Track, now: Timestamp) -> Decision | None:
        """A firing that was delivered before."""
        group = track.group
        if group is None or (group.closed and now - group.quiet_since > self._config.firing_for):
            return None
        if group.closed:
            reason = f"this firing was told in group {group.id}, which is over"
            return Decision(alert.fingerprint, "deduplicated", "", reason)
        self._fire(group, alert, now, False)
        track.seen_at = now
        reason = "the same firing was delivered before"
        return Decision(alert.fingerprint, "deduplicated", group.id, reason, group.rank)

    def _flaps(self, alert: Alert, track: Track, at: Timestamp) -> Decision | None:
        restarts = track.restart(at, self._config.flap_window)
        if restarts < self._config.flap_limit:
            return None
        track.starts_at, track.firing = alert.starts_at, True
        group = track.group if track.group is not None and not track.group.closed else None
        if group is not None:
            group.add(alert, at, "")
            self._fire(group, alert, at, False)
        window = self._config.flap_window / 60
        reason = f"it restarted about {restarts:.0f} times in {window:.0f} min; held until it stays"
        return Decision(alert.fingerprint, "flapping", group.id if group else "", reason)

    def _resolve(self, alert: Alert, at: Timestamp) -> Decision:
        if self._inhibitor is not None:
            self._inhibitor.resolve(alert.fingerprint, matching_labels(alert))
        track = self._tracks.get(alert.fingerprint)
        if track is None:
            return Decision(alert.fingerprint, "resolved", "", "ended; its start is not known")
        track.firing = False
        group = track.group
        if group is not None:
            group.ended(alert.fingerprint, at)
        return Decision(
            alert.fingerprint, "resolved", group.id if group else "", "its source says it ended"
        )

    def _inhibited(self, alert: Alert, now: Timestamp) -> Decision | None:
        """Declared inhibition; the alert is listed under the group of what inhibits it."""
        if self._inhibitor is None:
            return None
        labels = matching_labels(alert)
        self._inhibitor.fire(alert.fingerprint, labels, now + self._config.firing_for)
        source = self._inhibitor.source_of(alert.fingerprint, labels, now)
        if not source:
            return None
        track = self._tracks.get(source)
        group = track.group if track is not None else None
        where = group.id if group is not None and not group.closed else ""
        reason = f"inhibited by the firing alert {source} by a declared rule"
        return Decision(alert.fingerprint, "inhibited", where, reason)

    def _chronic(self, alert: Alert, now: Timestamp) -> Decision | None:
        """A chronic alert goes to the background of its scope, unless it surges."""
        at, momentary = self._when(alert, now)
        scope = self._scope(alert)
        if not self._surfacer.chronic(alert, scope, at):
            return None
        if self._surfacer.observe(alert, scope, at):
            return None
        group = self._background.get(scope)
        if group is None or group.closed or self._surfacer.background_is_full(group, at):
            if group is not None:
                self._end(group, at)
            group = Group(self._new_id(), scope, at, at, background=True)
            self._shelf.put(group)
            self._background[scope] = group
        group.add(alert, at, "chronic")
        self._track(alert, group, now, momentary)
        history = self._surfacer.noise.history(alert.fingerprint, at)
        return Decision(alert.fingerprint, "noise", group.id, f"chronic: {history}")

    def _place(self, burst: dict[int, Fresh]) -> dict[int, Decision]:
        """Give every alert of a burst a group, then settle the groups it touched."""
        if not burst:
            return {}
        scope = self._scope(next(iter(burst.values())).alert)
        candidates = [each for each in self._shelf.open_in(scope) if not each.background]
        places = self._placement.place(list(burst.values()), candidates)
        told = {group.id for group in candidates if group.surfaced}
        joined: list[tuple[int, Fresh, Group, str, bool]] = []
        new: Group | None = None
        for (index, fresh), place in zip(burst.items(), places, strict=True):
            group = place.group
            if group is None:
                if new is None:
                    new = Group(self._new_id(), scope, fresh.at, fresh.at)
                    self._shelf.put(new)
                group = new
            explained = group.id in told and self._explained(fresh, group)
            self._join(group, fresh, place)
            joined.append((index, fresh, group, place.reason, explained))
        why = {group.id: self._surfacer.settle(group, fresh.at) for _, fresh, group, _, _ in joined}
        decided = {}
        for index, fresh, group, reason, explained in joined:
            key = fresh.alert.fingerprint
            if not group.surfaced:
                decided[index] = Decision(key, "noise", group.id, why[group.id], group.rank)
            elif group.id not in told:
                told.add(group.id)
                opened = f"{reason}; {why[group.id]}"
                decided[index] = Decision(key, "opened", group.id, opened, group.rank)
            elif explained:
                decided[index] = Decision(key, "inhibited", group.id, reason, group.rank)
            else:
                decided[index] = Decision(key, "attached", group.id, reason, group.rank)
        return decided

    def _explained(self, fresh: Fresh, group: Group) -> bool:
        """A symptom above a burning cause, no worse than what is known: nothing new to tell."""
        worse = SEVERITIES.index(fresh.alert.severity) > SEVERITIES.index(group.severity)
        return not worse and any(
            fresh.suspect != cause and self._reach.explains(cause, fresh.suspect)
            for cause in group.causes
        )

    def _join(self, group: Group, fresh: Fresh, place: Place) -> None:
        alert = fresh.alert
        surprise = self._surfacer.surprise(alert, group.scope, fresh.at)
        if group.add(alert, fresh.at, place.reason):
            group.score += surprise
        group.events += fresh.momentary
        accuse(group, fresh, place)
        self._surfacer.observe(alert, group.scope, fresh.at)
        self._fire(group, alert, fresh.at, fresh.momentary)
        self._track(alert, group, fresh.at, fresh.momentary)

    def _fire(self, group: Group, alert: Alert, at: Timestamp, momentary: bool) -> None:
        if momentary:
            group.quiet_since = max(group.quiet_since, at)
        else:
            until = at + self._config.firing_for
            group.firing[alert.fingerprint] = max(until, alert.ends_at or 0.0)

    def _track(self, alert: Alert, group: Group, seen: Timestamp, momentary: bool) -> None:
        track = self._tracks.get(alert.fingerprint)
        if track is None:
            track = Track(alert.starts_at, seen, group, not momentary)
        track.starts_at, track.seen_at = alert.starts_at, seen
        track.group, track.firing = group, not momentary
        self._tracks.put(alert.fingerprint, track)

    def _end_idle(self, now: Timestamp) -> None:
        gap = self._config.related_gap
        for group in self._shelf.idle(now, gap, self._config.firing_for):
            self._end(group, now)

    def _end(self, group: Group, now: Timestamp) -> None:
        self._shelf.end(group)
        group.quiet_since = max(group.quiet_since, now) if group.firing else group.quiet_since
        self._surfacer.ended(group, now)

    def _remember(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if decision.action in SUPPRESSED:
                self._suppressed[decision.fingerprint] = decision
                self._suppressed.move_to_end(decision.fingerprint)
        while len(self._suppressed) > self._config.keep_alerts:
            self._suppressed.popitem(last=False)

    def _summary(self, group: Group) -> AlertGroup:
        radius: dict[str, None] = {}
        for root in sorted(group.roots):
            radius |= dict.fromkeys((root, *self._reach.callers(root)))
        return group.summary(tuple(name for name in radius if name))
