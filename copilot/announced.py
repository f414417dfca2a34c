"""Announced: the maintenance people declared in a file, and the silences as they stand now."""

from collections.abc import Sequence

from copilot.alerting import Alerting
from tools.clusterer import Inhibition, MaintenanceWindow, Silence
from tools.types import Timestamp


class Announced:
    """What the operator's file declares, and the silences of Alertmanager once they are known."""

    def __init__(self, alerting: Alerting | None = None) -> None:
        declared = alerting or Alerting()
        self.inhibitions: tuple[Inhibition, ...] = declared.inhibition
        self._windows: tuple[MaintenanceWindow, ...] = declared.windows
        self._silences: tuple[Silence, ...] = ()

    def silence(self, silences: Sequence[Silence]) -> None:
        """What people asked not to be told of, as it stands now."""
        self._silences = tuple(silences)

    @property
    def mutes(self) -> tuple[Silence | MaintenanceWindow, ...]:
        """All of it, whether in force or not."""
        return (*self._windows, *self._silences)

    def work_on(self, service: str, now: Timestamp) -> str:
        """Why a service is expected to misbehave: all its alerts are muted; empty where not.

        What mutes some alerts of it, by their name or severity, announces no work on the service.
        """
        labels = {"service": service}
        whole = (one for one in self.mutes if all(m.label == "service" for m in one.matchers))
        return next((one.reason for one in whole if one.mutes(labels, now)), "")
