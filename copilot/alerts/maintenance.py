"""What an operator declares about alerts: one strict TOML file, read at the start.

info_inhibitor = true            # while InfoInhibitor fires, severity=info of its namespace is not
                                 # told; in force without this line, too (kube-prometheus' rule)

[[maintenance]]                  # kept and listed with the reason; opens no incident
name = "nightly backup"
match = [{ label = "service", operator = "=~", value = "store|worker" }]
hours = ["22:00-02:30"]          # by the clock of the zone; this one ends on the next day
days = ["sat", "sun"]            # the day it begins; left out: every day
zone = "Asia/Shanghai"           # left out: UTC
comment = "dumps and vacuum"

[[inhibition]]                   # while a source fires, its targets are listed and not told
source = [{ label = "alertname", value = "NodeDown" }]
target = [{ label = "severity", operator = "!=", value = "critical" }]
equal = ["cluster"]              # labels whose values both must share; an absent one is empty

# Expressions (`=~`, `!~`) are RE2 and match the whole value. The other inhibitions of
# kube-prometheus, if your rules keep to them: copy what you want.
# [[inhibition]]
# source = [{ label = "severity", value = "critical" }]
# target = [{ label = "severity", operator = "=~", value = "warning|info" }]
# equal = ["namespace", "alertname"]
# [[inhibition]]
# source = [{ label = "severity", value = "warning" }]
# target = [{ label = "severity", value = "info" }]
# equal = ["namespace", "alertname"]
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from copilot.store import Silences
from copilot.types import strict_toml
from tools.clusterer import Inhibition, MaintenanceWindow, Matcher, Silence
from tools.clusterer.mute import DAYS, Weekday, Zone
from tools.types import FrozenModel, Timestamp

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24(?=:00)):([0-5]\d)")
_DAY_MIN = 24 * 60


class AlertingFileError(strict_toml.FileError):
    """The file about alerts is wrong; the message says in which file, at which key, and what."""

    setting = "alerting_file"


class WeeklyHours(FrozenModel):
    """Ranges of the day by the clock of a zone, on some days of the week."""

    hours: tuple[str, ...] = Field(min_length=1)
    days: tuple[Weekday, ...] = Field(default=DAYS, min_length=1)
    zone: Zone = "UTC"

    @field_validator("hours")
    @classmethod
    def _ranges(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        for one in hours:
            start, _, end = one.partition("-")
            if not _HOURS.fullmatch(one):
                raise ValueError(f"{one!r} is no range of hours; write it as '22:00-02:30'")
            if start == end:
                raise ValueError(f"{one!r} ends as it begins; a whole day is '00:00-24:00'")
        return hours

    def windows(
        self, name: str = "", match: tuple[Matcher, ...] = (), comment: str = ""
    ) -> tuple[MaintenanceWindow, ...]:
        """One window per range of hours."""
        return tuple(
            MaintenanceWindow(
                id=name,
                matchers=match,
                days=self.days,
                start=one.partition("-")[0],
                minutes=_minutes(one),
                zone=self.zone,
                comment=comment,
            )
            for one in self.hours
        )

    def closes_at(self, now: Timestamp) -> Timestamp | None:
        """When the range that holds `now` ends, the last where several do; None: none does."""
        ends = [end for one in self.windows() if (end := one.closes_at(now)) is not None]
        return max(ends, default=None)


class Maintenance(WeeklyHours):
    """Hours in which matching alerts are expected; `match` holds where all its conditions do."""

    name: str = Field(min_length=1)
    match: tuple[Matcher, ...] = Field(min_length=1)
    comment: str = ""

    @field_validator("match")
    @classmethod
    def _names_something(cls, match: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
        # A misspelt label is missing everywhere, and would then mute every alert there is.
        if all(matcher.matches({}) for matcher in match):
            raise ValueError(
                "it holds for alerts that have none of these labels, so for all of them; add a "
                'condition such as { label = "service", value = "store" }'
            )
        return match


def _minutes(hours: str) -> int:
    """How long a range lasts; one whose end is not after its start ends on the next day."""
    start, end = (
        60 * int(hour) + int(minute) for hour, minute in (t.split(":") for t in hours.split("-"))
    )
    return end - start if end > start else end - start + _DAY_MIN


INFO_INHIBITOR = Inhibition(
    source=(Matcher(label="alertname", value="InfoInhibitor"),),
    target=(Matcher(label="severity", value="info"),),
    equal=("namespace",),
)
"""What the alert InfoInhibitor of kube-prometheus exists for: info is told beside something worse.

Source: `content/runbooks/general/InfoInhibitor.md` of prometheus-operator/runbooks, and the rules
in `manifests/alertmanager-secret.yaml` of kube-prometheus.
"""


class AlertingFile(FrozenModel):
    """The file, read."""

    info_inhibitor: bool = True
    maintenance: tuple[Maintenance, ...] = ()
    inhibition: tuple[Inhibition, ...] = ()

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [one.name for one in self.maintenance]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"two maintenance windows are named {name!r}; the name is the reason that "
                    "people read, so give each its own, or put both ranges into `hours`"
                )
        return self

    @property
    def windows(self) -> tuple[MaintenanceWindow, ...]:
        """Every window of every `[[maintenance]]`."""
        return tuple(
            window
            for one in self.maintenance
            for window in one.windows(one.name, one.match, one.comment)
        )


def read(path: Path | None) -> AlertingFile:
    """The file, or `AlertingFileError` with the key that is wrong; no file declares nothing."""
    if path is None:
        return AlertingFile()
    return strict_toml.read(path, AlertingFile, AlertingFileError)


class MaintenanceSchedule:
    """What the operator's file declares, our own silences, and those of an Alertmanager."""

    def __init__(
        self, alerting: AlertingFile | None = None, silences: Sequence[Silence] = ()
    ) -> None:
        declared = alerting or AlertingFile()
        shipped = (INFO_INHIBITOR,) if declared.info_inhibitor else ()
        self.inhibitions: tuple[Inhibition, ...] = (*declared.inhibition, *shipped)
        self.windows: tuple[MaintenanceWindow, ...] = declared.windows
        self._ours = tuple(silences)
        self._pulled: tuple[Silence, ...] = ()

    @classmethod
    def of(cls, path: Path | None, kept: Silences, now: Timestamp) -> Self:
        """From the operator's file, with the silences of the store."""
        return cls(read(path), kept.standing(now))

    def silence(self, silences: Sequence[Silence]) -> None:
        """What people asked of an Alertmanager that we follow, as it stands now."""
        self._pulled = tuple(silences)

    def keep(self, silences: Sequence[Silence]) -> None:
        """What people asked of us, as the store has it now."""
        self._ours = tuple(silences)

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Ours, then those of an Alertmanager; each may be over or to come."""
        return (*self._ours, *self._pulled)

    @property
    def mutes(self) -> tuple[Silence | MaintenanceWindow, ...]:
        """All of it, whether in force or not."""
        return (*self.windows, *self.silences)

    def work_on(self, service: str, now: Timestamp) -> str:
        """Why a service is expected to misbehave: all its alerts are muted; empty where not.

        What mutes some alerts of it, by their name or severity, announces no work on the service.
        """
        labels = {"service": service}
        whole = (one for one in self.mutes if all(m.label == "service" for m in one.matchers))
        return next((one.reason for one in whole if one.mutes(labels, now)), "")
