"""Which groups a person is told of, and in what order."""

from tools.clusterer.config import ClustererConfig
from tools.clusterer.group import SEVERITIES, Group, GroupScope
from tools.clusterer.noise import NoiseModel
from tools.clusterer.reading import companion_key, subject_key
from tools.log_retriever.sanitize import sanitize
from tools.types import Alert, Severity, Timestamp

_PRESUMED_INCIDENTS_PER_DAY = 1.0
"""What a scope is taken to have; turns a return rate into a rank between 0 and 1."""

_GRAVITY: dict[Severity, float] = {
    "critical": 1.5,
    "high": 1.25,
    "warning": 1.0,
    "info": 0.5,
    "low": 0.5,
}
"""The rule's author knew something too: surprise counts more where the severity is higher."""


class NoiseFilter:
    """Scores groups by how seldom their scope shows one as strange; holds the common ones.

    `rank = c / (c + E)` with E the return rate a day (see `NoiseModel.return_rate`) and c one
    incident a day: about the share of real incidents among groups that strange. A group is told
    once E is at most `surface_per_day`. The `rules` arm tells every group and ranks by severity,
    then by the number of kinds of alerts.
    """

    def __init__(self, noise: NoiseModel, config: ClustererConfig) -> None:
        self.noise = noise
        self._config = config
        self._learned = config.arm == "ml"

    def surprise(self, alert: Alert, scope: GroupScope, at: Timestamp) -> float:
        """Nats that the alert adds to its group."""
        if not self._learned:
            return 1.0
        nats = self.noise.surprise(alert.fingerprint, (*scope, alert.name), at)
        return nats * _GRAVITY[alert.severity]

    def observe(self, alert: Alert, scope: GroupScope, at: Timestamp) -> bool:
        """Learn an occurrence; True if it surges."""
        if self._learned:
            kind, subject = companion_key(alert, scope), subject_key(alert) or alert.fingerprint
            self.noise.companions.observe(kind, subject, at)
        return self._learned and self.noise.observe(alert.fingerprint, (*scope, alert.name), at)

    def chronic(self, alert: Alert, scope: GroupScope, at: Timestamp) -> bool:
        """Whether the alert alone says nothing."""
        return self._learned and self.noise.chronic(alert.fingerprint, (*scope, alert.name), at)

    def settle(self, group: Group, at: Timestamp) -> str:
        """Rank a group anew and decide whether it is told; the reason of the decision."""
        if not self._learned:
            kinds = len(group.names)
            worst = SEVERITIES.index(group.severity) / len(SEVERITIES)
            group.rank = worst + 0.2 * kinds / (kinds + 3)
            group.surfaced = True
            return "every group is told"
        rate = self.noise.return_rate(group.scope, group.score, at)
        group.rank = _PRESUMED_INCIDENTS_PER_DAY / (_PRESUMED_INCIDENTS_PER_DAY + rate)
        if rate <= self._config.surface_per_day:
            group.surfaced = True
            return f"its scope shows a group this strange {rate:.1f} times a day or less"
        rare = self._rare(group, at)
        if rare:
            group.surfaced = True
            return f"its scope has hardly ever raised {rare!r}"
        known = self.noise.as_strange(group.scope, group.score, at)
        grave = SEVERITIES.index(group.severity) >= SEVERITIES.index("high")
        needed = self._config.learn_grave_for if grave else self._config.learn_for
        if self.noise.age(at) < needed or known < self._config.learn_groups:
            group.surfaced = True
            return "too little history to call this noise"
        return (
            f"its scope shows a group like this {rate:.0f} times a day, more than the "
            f"{self._config.surface_per_day:.0f} that are told"
        )

    def _rare(self, group: Group, at: Timestamp) -> str:
        """The name of an alert that is too new to be called noise, "" if there is none."""
        for name in group.names:
            if self.noise.family_count((*group.scope, name), at) <= self._config.learn_episodes:
                return sanitize(name, 80)
        return ""

    def ended(self, group: Group, at: Timestamp) -> None:
        """Learn from a group that is over."""
        if group.background or not self._learned:
            return
        self.noise.learn_group(group.scope, group.score, at)
        if group.surfaced:
            for fingerprint in group.members:
                self.noise.learn_real(fingerprint)
