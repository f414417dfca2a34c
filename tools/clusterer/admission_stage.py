"""What can be said of an alert without looking for a place: muted, seen before, chronic; and what
is remembered of each fingerprint for it: firing or not, its group, how it flaps.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tools.clusterer.config import SECONDS_PER_DAY, ClustererConfig
from tools.clusterer.decision import DECLARED_RULE, Decision
from tools.clusterer.group import Group, GroupScope, GroupStore, Member
from tools.clusterer.grouping import BurstGrouper
from tools.clusterer.inhibition import Inhibitor
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Silence, matching_labels
from tools.clusterer.noise_filter import NoiseFilter
from tools.clusterer.reading import AlertReader, momentary
from tools.types import Alert, Timestamp


@dataclass(slots=True)
class Track:
    """The last firing of one fingerprint."""

    starts_at: Timestamp
    group: Group | None
    firing: bool
    ended_at: Timestamp = 0.0
    restarts: float = 0.0
    restarted_at: Timestamp = 0.0

    def restart(self, at: Timestamp, window: float) -> float:
        """Count one more start after an end; old ones fade with `window` as time constant."""
        self.restarts = self.restarts_at(at, window) + 1.0
        self.restarted_at = at
        return self.restarts

    def restarts_at(self, at: Timestamp, window: float) -> float:
        """How many restarts are remembered at a time."""
        past = max(0.0, at - self.restarted_at)
        return self.restarts * math.exp2(-past / window)


class Tracks:
    """A bounded map of fingerprint to track; the one unseen longest goes first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._tracks: OrderedDict[str, Track] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tracks)

    def get(self, fingerprint: str) -> Track | None:
        """The track of a fingerprint, None if it is new or forgotten."""
        return self._tracks.get(fingerprint)

    def put(self, fingerprint: str, track: Track) -> None:
        """Remember a track as the latest one."""
        self._tracks[fingerprint] = track
        self._tracks.move_to_end(fingerprint)
        if len(self._tracks) > self._keep:
            self._tracks.popitem(last=False)


class AdmissionStage:
    """Decides first: silence and inhibition as Alertmanager does, then repetition, then noise."""

    def __init__(
        self,
        config: ClustererConfig,
        silences: Sequence[Silence | MaintenanceWindow],
        inhibitions: Sequence[Inhibition],
        reader: AlertReader,
        placement: BurstGrouper,
        surfacer: NoiseFilter,
        shelf: GroupStore,
        new_id: Callable[[], str],
    ) -> None:
        self._config = config
        self._silences = tuple(silences)
        self._inhibitor = Inhibitor(inhibitions)
        self._reader = reader
        self._placement = placement
        self._surfacer = surfacer
        self._shelf = shelf
        self._new_id = new_id
        self._background: dict[GroupScope, Group] = {}
        self.tracks = Tracks(config.keep_alerts)

    def silence(self, silences: Sequence[Silence | MaintenanceWindow]) -> None:
        """Take other silences in the place of the present ones."""
        self._silences = tuple(silences)

    def decide(self, alert: Alert, now: Timestamp) -> Decision | None:
        """The decision, None if the alert needs a place."""
        if alert.status == "resolved":
            return self.resolve(alert, now if alert.ends_at is None else min(alert.ends_at, now))
        # A silenced alert inhibits others all the same: they are its symptoms.
        self._inhibitor.fire(alert, self._until(alert, now))
        return (
            (self._silenced(alert, now) if self._silences else None)
            or self._unaddressed(alert)
            or self._inhibited(alert, now)
            or self._again(alert, now)
            or self._chronic(alert, now)
        )

    def announce(self, alerts: Sequence[Alert], now: Timestamp) -> None:
        """Let what fires at the end of a batch inhibit before any of it is decided.

        Who sends a target before its source, or both at once in any order, means the same.
        """
        last = {alert.fingerprint: alert for alert in alerts}
        for alert in last.values():
            if alert.status != "resolved":
                self._inhibitor.fire(alert, self._until(alert, now))

    def _until(self, alert: Alert, at: Timestamp) -> Timestamp:
        """When a firing counts as ended if nobody repeats or resolves it."""
        return at + self._config.firing_for if alert.lease is None else alert.lease

    def _unaddressed(self, alert: Alert) -> Decision | None:
        """What is meant for no person: heartbeats, and rules whose author wrote severity none."""
        if alert.heartbeat:
            reason = "it fires while all is well; an incident opens when it stops"
            return Decision(alert.fingerprint, "heartbeat", "", reason)
        if alert.labels.get("severity", "").strip().lower() == "none":
            reason = "its severity is none: its rule is meant for other rules, not for people"
            return Decision(alert.fingerprint, "noise", "", reason)
        return None

    def resolve(self, alert: Alert, at: Timestamp) -> Decision:
        """The end of a firing."""
        key = alert.fingerprint
        self._inhibitor.resolve(alert)
        track = self.tracks.get(key)
        if track is None:
            return Decision(key, "resolved", "", "ended; its start is not known")
        where = track.group.id if track.group is not None else ""
        if alert.starts_at < track.starts_at:
            return Decision(key, "resolved", where, "ended, but it fires again since")
        track.firing = False
        track.ended_at = at
        if track.group is not None:
            track.group.ended(key, at)
        return Decision(key, "resolved", where, "its source says it ended")

    def flapping(self, fingerprints: Iterable[str], now: Timestamp) -> bool:
        """Whether one of these has restarted `flap_limit` times, as remembered now."""
        tracks = (self.tracks.get(fingerprint) for fingerprint in fingerprints)
        window, limit = self._config.flap_window, self._config.flap_limit
        return any(t is not None and t.restarts_at(now, window) >= limit for t in tracks)

    def keep(self, alert: Alert, group: Group, at: Timestamp) -> None:
        """Remember that an alert belongs to a group, and that it fires."""
        self._inhibitor.fire(alert, self._until(alert, at))
        brief = momentary(alert)
        if brief:
            group.quiet_since = max(group.quiet_since, at)
        else:
            until = self._until(alert, at)
            known_end = until if alert.ends_at is None else alert.ends_at
            group.fire(alert.fingerprint, max(until, known_end))
        track = self.tracks.get(alert.fingerprint)
        if track is None:
            self.tracks.put(alert.fingerprint, Track(alert.starts_at, group, not brief))
            return
        track.starts_at, track.group, track.firing = alert.starts_at, group, not brief
        self.tracks.put(alert.fingerprint, track)

    def move(self, fingerprint: str, old: Group, new: Group) -> None:
        """An alert changed its group."""
        until = old.firing.pop(fingerprint, None)
        if until is not None:
            new.fire(fingerprint, until)
        track = self.tracks.get(fingerprint)
        if track is not None and track.group is old:
            track.group = new

    def expire(self, now: Timestamp) -> None:
        """Forget what nobody repeated in time."""
        self._inhibitor.expire(now)

    def _silenced(self, alert: Alert, now: Timestamp) -> Decision | None:
        labels = matching_labels(alert)
        for silence in self._silences:
            if silence.mutes(labels, now):
                return Decision(alert.fingerprint, "silenced", "", silence.reason)
        return None

    def _again(self, alert: Alert, now: Timestamp) -> Decision | None:
        """The alert was seen before: the same firing, a restart, or an event of its group."""
        track = self.tracks.get(alert.fingerprint)
        if track is None:
            return None
        if track.firing and alert.starts_at == track.starts_at:
            return self._repeated(alert, track, now)
        if not momentary(alert):
            # A new firing may belong elsewhere than the one before: it is placed anew.
            return None if track.firing else self._flaps(alert, track, now)
        group = track.group
        if group is None or group.closed or group.background:
            return None
        at = self._reader.when(alert, now)
        if not self._placement.near(group, at, momentary=True, related=True):
            return None
        group.again(alert.fingerprint, at)
        group.events += 1
        group.quiet_since = max(group.quiet_since, at)
        self._surfacer.observe(alert, self._reader.scope(alert), at)
        track.starts_at = alert.starts_at
        if not group.surfaced:
            return Decision(alert.fingerprint, "noise", group.id, "again, in a group that is held")
        return Decision(alert.fingerprint, "deduplicated", group.id, "again, as before", group.rank)

    def _repeated(self, alert: Alert, track: Track, now: Timestamp) -> Decision | None:
        """A firing that was delivered before."""
        group = track.group
        if group is None:
            return None
        if not group.closed:
            group.fire(alert.fingerprint, self._until(alert, now))
            reason = "the same firing was delivered before"
            return Decision(alert.fingerprint, "deduplicated", group.id, reason, group.rank)
        if now - group.quiet_since > self._config.firing_for:
            return None
        reason = f"this firing was told in group {group.id}, which is over"
        return Decision(alert.fingerprint, "deduplicated", "", reason)

    def _flaps(self, alert: Alert, track: Track, now: Timestamp) -> Decision | None:
        """A start after an end: soon after it the group goes on, and again and again it flaps."""
        at, window = self._reader.when(alert, now), self._config.flap_window
        restarts, group = track.restart(at, window), track.group
        flapping = restarts >= self._config.flap_limit
        soon = group is not None and at - group.quiet_since <= self._config.reopen_within
        if group is not None and group.closed and not soon:
            group = None
        if not flapping and (group is None or not group.closed):
            return None
        track.starts_at, track.firing = alert.starts_at, True
        if group is not None:
            if group.closed:
                self._shelf.reopen(group)
            group.again(alert.fingerprint, at)
            group.fire(alert.fingerprint, self._until(alert, at))
        where = group.id if group is not None else ""
        if not flapping:
            reason = f"it fires again {at - track.ended_at:.0f} s after it ended"
            return Decision(alert.fingerprint, "reopened", where, reason)
        reason = (
            f"it restarted about {restarts:.0f} times in {window / 60:.0f} min; "
            "held until it settles"
        )
        return Decision(alert.fingerprint, "flapping", where, reason)

    def _inhibited(self, alert: Alert, now: Timestamp) -> Decision | None:
        """Declared inhibition; the alert is listed under the group of what inhibits it."""
        source = self._inhibitor.source_of(alert, now)
        if source is None:
            return None
        track = self.tracks.get(source.fingerprint)
        group = track.group if track is not None else None
        where = group.id if group is not None and not group.closed else ""
        reason = f"{DECLARED_RULE} inhibits it while {source.said} fires"
        return Decision(alert.fingerprint, "inhibited", where, reason)

    def _chronic(self, alert: Alert, now: Timestamp) -> Decision | None:
        """A chronic alert goes to the background of its scope, unless it surges."""
        at, scope = self._reader.when(alert, now), self._reader.scope(alert)
        if not self._surfacer.chronic(alert, scope, at):
            return None
        if self._surfacer.observe(alert, scope, at):
            return None
        group = self._background_of(scope, at)
        if alert.fingerprint not in group.members:
            history = self._surfacer.noise.history(alert.fingerprint, at)
            group.add(Member(alert, at, alert.service, f"chronic: {history}", 0.0))
        else:
            group.again(alert.fingerprint, at)
        self.keep(alert, group, at)
        return Decision(alert.fingerprint, "noise", group.id, "chronic: it fires all the time")

    def _background_of(self, scope: GroupScope, at: Timestamp) -> Group:
        """Chronic alerts are collected by the day."""
        group = self._background.get(scope)
        if group is not None and not group.closed:
            if at - group.first_at <= SECONDS_PER_DAY:
                return group
            self._shelf.end(group)
        group = Group(self._new_id(), scope, at, at, background=True)
        self._shelf.put(group)
        self._background[scope] = group
        return group
