"""Read what placing an alert needs: its time, its scope, and whom it accuses."""

from dataclasses import dataclass

from tools.clusterer.call_paths import CallPaths
from tools.clusterer.config import ClustererConfig
from tools.clusterer.group import GroupScope
from tools.clusterer.wording import accused, names_cause
from tools.log_retriever.sanitize import sanitize
from tools.types import Alert, Timestamp


@dataclass(frozen=True, slots=True)
class UngroupedAlert:
    """An alert that needs a place. `by_call`: it points past its own service at a callee.

    `places` says where it runs.
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


class AlertReader:
    """Reads alerts under one configuration and topology."""

    def __init__(self, reach: CallPaths, config: ClustererConfig) -> None:
        self._reach = reach
        self._config = config

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
        return UngroupedAlert(
            alert=alert,
            at=self.when(alert, now),
            scope=self.scope(alert),
            suspect=suspect,
            by_call=by_call,
            cause=names_cause(alert),
            momentary=momentary(alert),
            places=frozenset(
                sanitize(f"{name}={alert.labels[name]}", 120)
                for name in self._config.place_labels
                if name in alert.labels
            ),
        )


def momentary(alert: Alert) -> bool:
    """Whether the alert is over in the moment it starts."""
    return alert.ends_at is not None and alert.ends_at <= alert.starts_at
