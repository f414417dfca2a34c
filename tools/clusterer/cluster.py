"""The clusterer: alerts in, one decision with a reason for each."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count

from tools.clusterer.config import ClustererConfig
from tools.clusterer.decision import SUPPRESSED, Action, Decision
from tools.clusterer.mute import Inhibition, MaintenanceWindow, Silence, matching_labels
from tools.clusterer.noise import NoiseModel
from tools.types import Alert, AlertGroup, Timestamp, Topology


class Clusterer:
    """Groups a stream of alerts into incidents; deterministic given its inputs."""

    def __init__(
        self,
        topology: Topology | None = None,
        config: ClustererConfig | None = None,
        silences: Sequence[Silence | MaintenanceWindow] = (),
        inhibitions: Sequence[Inhibition] = (),
        noise: NoiseModel | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._topology = topology or Topology()
        self._config = config or ClustererConfig()
        self._silences = tuple(silences)
        self._inhibitions = tuple(inhibitions)
        self._noise = noise or NoiseModel()
        numbers = count(1)
        self._new_id = new_id or (lambda: f"G{next(numbers)}")
        self._members: dict[str, list[Alert]] = {}
        self._last: dict[str, Timestamp] = {}
        self._closed: set[str] = set()
        self._firing: dict[str, tuple[Timestamp, str]] = {}
        self._suppressed: list[Decision] = []

    def update(self, alerts: Sequence[Alert], now: Timestamp) -> list[Decision]:
        """Decide about a batch: exactly one decision per alert, in the order given."""
        decisions = [self._decide(alert, now) for alert in alerts]
        self._suppressed.extend(each for each in decisions if each.action in SUPPRESSED)
        return decisions

    def groups(self) -> list[AlertGroup]:
        """Every group that is still open, most likely a real incident first."""
        return [self.group(name) for name in self._members if name not in self._closed]

    def group(self, group_id: str) -> AlertGroup:
        """One group by its id, open or closed; KeyError if it was never opened."""
        members = self._members[group_id]
        first = min(members, key=lambda alert: alert.starts_at)
        services = tuple(dict.fromkeys(alert.service for alert in members if alert.service))
        return AlertGroup(
            id=group_id,
            title=f"{first.name} on {first.service or 'unknown service'}",
            fingerprints=tuple(alert.fingerprint for alert in members),
            services=services,
            first_service=first.service,
            started_at=first.starts_at,
            severity=first.severity,
        )

    def suppressed(self) -> list[Decision]:
        """What was kept from the screen, each with its reason."""
        return list(self._suppressed)

    def close(self, group_id: str, now: Timestamp) -> None:
        """End a group: no later alert is attached to it."""
        self._closed.add(group_id)
        self._firing = {key: entry for key, entry in self._firing.items() if entry[1] != group_id}

    def restore(self, stored: Iterable[tuple[Alert, str]], closed: Collection[str] = ()) -> None:
        """Rebuild the state from stored alerts and their group ids (empty: no group)."""
        for alert, group_id in stored:
            if group_id:
                self._join(alert, group_id)
        self._closed.update(closed)

    def _join(self, alert: Alert, group_id: str) -> None:
        self._members.setdefault(group_id, []).append(alert)
        self._last[group_id] = max(self._last.get(group_id, alert.starts_at), alert.starts_at)
        self._firing[alert.fingerprint] = (alert.starts_at, group_id)

    def _decide(self, alert: Alert, now: Timestamp) -> Decision:
        labels = matching_labels(alert)
        for silence in self._silences:
            if silence.mutes(labels, now):
                return Decision(alert.fingerprint, "silenced", "", silence.reason)
        if alert.status == "resolved":
            _, group_id = self._firing.pop(alert.fingerprint, (0.0, ""))
            return Decision(alert.fingerprint, "resolved", group_id, "its source says it ended")
        known = self._firing.get(alert.fingerprint)
        if known is not None and known[1] not in self._closed:
            return Decision(alert.fingerprint, "deduplicated", known[1], "the same alert is firing")
        return self._assign(alert)

    def _assign(self, alert: Alert) -> Decision:
        action: Action = "attached"
        for group_id, last in reversed(self._last.items()):
            same = all(
                self._members[group_id][0].labels.get(name) == alert.labels.get(name)
                for name in self._config.scope_labels
            )
            if group_id not in self._closed and same and alert.starts_at - last < self._config.gap:
                reason = f"within {self._config.gap:.0f} s of group {group_id}"
                break
        else:
            group_id, action = self._new_id(), "opened"
            reason = "no open group is near in time and scope"
        self._join(alert, group_id)
        return Decision(alert.fingerprint, action, group_id, reason, 0.5)
