"""Who is on call: a file of schedules, each a rotation, a calendar or a platform's.

people:                          # ours, and what schedules call them
  anna: [anna@example.com, Anna Smith]
  bob: [bob@example.com]
schedules:                       # the first is meant where none is named
  - name: primary
    zone: Asia/Shanghai          # left out: UTC; calendars mostly say their own
    rotation:
      people: [anna, bob]
      from: 2026-01-05 09:00     # by the clock of the zone; the first named begins
      every: 1w                  # 12h, 1d, 1w: by that clock, also where it is set to summer
    overrides:
      - {who: bob, from: 2026-02-16 09:00, to: 2026-02-17 09:00}
  - name: database
    ical: calendars/dba.ics      # a file, https://..., or {env: NAME} where the address is secret
  - name: platform
    pagerduty: {schedule: PABC123, token: {env: PAGERDUTY_TOKEN}}
  - name: network                # `id` or name of the schedule there
    opsgenie: {schedule: net_ops, token: {file: /run/secrets/genie}}
  - name: web
    grafana: {schedule: SBM7DV7BKFUYU, url: https://oncall.example.com, token: {env: ONCALL}}

What is read is kept for days ahead: where a platform does not answer, the last that it said goes
on being shown, with its age.
"""

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from copilot.ports import ShiftSource, SourceError
from copilot.types import strict_toml
from copilot.types.on_call import OnCallNow, OnCallPerson, Shift
from copilot.types.secret_place import SecretPlace
from copilot.types.time_format import duration
from tools.clusterer.mute import Zone
from tools.log_retriever.sanitize import plain
from tools.playbook_executor import one_person
from tools.types import FrozenModel, Text, Timestamp, Window

log = logging.getLogger(__name__)

EVERY_S = 60.0
"""Seconds between two looks: as long as a hand-over may be shown late."""

BEHIND_S, AHEAD_S = 86_400.0, 7 * 86_400.0
"""What is read around now: a week of a platform that does not answer can be bridged."""

MOST_SHIFTS = 10_000
"""Of one schedule within that time; source: a shift of a minute each, all week."""

_EVERY = re.compile(r"([1-9]\d{0,2})([hdw])")
_WORDS = re.compile(r"[\w@.+-]+")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


class OnCallFileError(strict_toml.FileError):
    """The file about who is on call is wrong; the message says at which key, and what."""

    setting = "on_call_file"
    page = "docs/console.md"


def _moment(given: object) -> object:
    """A moment by the clock of a zone: written without one."""
    if not isinstance(given, str):
        return given
    try:
        read = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{given!r} is no moment; write it as 2026-01-05 09:00") from None
    if read.tzinfo is not None:
        raise ValueError(f"{given!r} names a zone of its own; `zone` says which clock is meant")
    return read


WallTime = Annotated[datetime, BeforeValidator(_moment)]


class Override(FrozenModel):
    """Somebody stands in."""

    who: str
    start: WallTime = Field(alias="from")
    end: WallTime = Field(alias="to")


class Rotation(FrozenModel):
    """People in turn, each `every` by the clock of the schedule's zone."""

    people: tuple[str, ...] = Field(min_length=1, max_length=200)
    start: WallTime = Field(alias="from")
    every: str = Field(pattern=_EVERY.pattern)

    def shifts(self, zone: ZoneInfo, window: Window) -> Sequence[Shift]:
        """The turns within the window; of 24 h at least in every day, also where it has 23."""
        number, unit = _EVERY.fullmatch(self.every).groups()  # type: ignore[union-attr]
        step = timedelta(hours=int(number) * _HOURS[unit])
        since = datetime.fromtimestamp(window.start, zone).replace(tzinfo=None)
        until = datetime.fromtimestamp(window.end, zone).replace(tzinfo=None)
        turn = max(0, (since - self.start) // step)
        found: list[Shift] = []
        while (begins := self.start + turn * step) <= until and len(found) < MOST_SHIFTS:
            ends = begins + step
            who = self.people[turn % len(self.people)]
            found.append(Shift(who=who, start=_instant(begins, zone), end=_instant(ends, zone)))
            turn += 1
        return found


class PlatformSchedule(FrozenModel):
    """A schedule that a platform keeps: which, where, and what opens it."""

    schedule: str = Field(min_length=1, max_length=200)
    token: SecretPlace
    url: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")


class DeclaredSchedule(FrozenModel):
    """One schedule; exactly one of the ways in which it is kept."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    zone: Zone = "UTC"
    rotation: Rotation | None = None
    overrides: tuple[Override, ...] = ()
    ical: str | SecretPlace = ""
    pagerduty: PlatformSchedule | None = None
    opsgenie: PlatformSchedule | None = None
    grafana: PlatformSchedule | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.rotation, self.ical, self.pagerduty, self.opsgenie, self.grafana)
        if sum(map(bool, ways)) != 1:
            raise ValueError(
                f"schedule {self.name!r} needs one of rotation, ical, pagerduty, opsgenie, grafana"
            )
        if self.grafana and not self.grafana.url:
            raise ValueError(f"schedule {self.name!r}: grafana needs its url")
        return self


class OnCallFile(FrozenModel):
    """The file, read."""

    people: dict[str, tuple[str, ...]] = {}
    schedules: tuple[DeclaredSchedule, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [one.name for one in self.schedules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two schedules are named {name!r}")
        return self


def read(path: Path) -> OnCallFile:
    """The file; a calendar (`.ics`) is a file of one schedule. Raises `OnCallFileError`."""
    if path.suffix == ".ics":
        return OnCallFile(schedules=(DeclaredSchedule(name="calendar", ical=str(path)),))
    return strict_toml.read(path, OnCallFile, OnCallFileError)


class RotaSource:
    """A rotation of the file, with who stands in."""

    def __init__(self, declared: DeclaredSchedule) -> None:
        self._declared, self._zone = declared, ZoneInfo(declared.zone)

    def shifts(self, window: Window) -> Sequence[Shift]:
        """The turns as they are, cut where somebody else stands in."""
        rotation = self._declared.rotation
        found = [*rotation.shifts(self._zone, window)] if rotation else []
        for one in self._declared.overrides:
            start, end = _instant(one.start, self._zone), _instant(one.end, self._zone)
            cut = [(s, (s.start, min(s.end, start)), (max(s.start, end), s.end)) for s in found]
            found = [
                s.model_copy(update={"start": a, "end": b})
                for s, *parts in cut
                for a, b in parts
                if a < b
            ]
            found.append(Shift(who=one.who, start=start, end=end))
        return found


class OnCallRoster:
    """What every schedule says, kept: looking never waits for a platform."""

    def __init__(
        self, people: Mapping[str, Sequence[str]], sources: Mapping[str, ShiftSource]
    ) -> None:
        self._people, self._sources = people, sources
        self._kept: dict[str, tuple[Sequence[Shift], Timestamp]] = {}
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def schedules(self) -> Sequence[str]:
        """Their names; the first is meant where none is."""
        return tuple(self._sources)

    def refresh(self, now: Timestamp) -> None:
        """Read every schedule; what cannot be read stays as it was, and says so."""
        window = Window(start=now - BEHIND_S, end=now + AHEAD_S)
        for name, source in self._sources.items():
            try:
                found = source.shifts(window)
            except SourceError as error:
                if name not in self._problems:
                    log.warning("on-call schedule %s: %s", name, error)
                with self._lock:
                    self._problems[name] = plain(str(error), 200)
                continue
            with self._lock:
                self._kept[name] = (found[:MOST_SHIFTS], now)
                self._problems.pop(name, None)

    def on_call(self, now: Timestamp, schedule: str = "") -> OnCallNow:
        """Whom a schedule names at `now`, by what was read last."""
        name = schedule or next(iter(self._sources), "")
        with self._lock:
            shifts, known_at = self._kept.get(name, ((), None))
            problem = self._problems.get(name, "")
        if name not in self._sources:
            problem = f"there is no schedule {name!r}"
        on = [one for one in shifts if one.start <= now < one.end]
        people: dict[str, OnCallPerson] = {}
        for one in on:
            found = OnCallPerson(name=self._ours(one.who), handle=one.who, until=one.end)
            if found.name not in people or people[found.name].until < found.until:
                people[found.name] = found
        said = _stale(problem, known_at, now) if problem else None
        return OnCallNow(
            schedule=name, people=tuple(people.values()), known_at=known_at, problem=said
        )

    def _ours(self, handle: str) -> str:
        """Our name of whom a schedule names: as listed, else one listed that stands in it."""
        listed = [(name, one) for name, also in self._people.items() for one in (name, *also)]
        for name, one in listed:
            if one_person(one) == one_person(handle):
                return name
        text = f" {' '.join(_WORDS.findall(handle.casefold()))} "
        return next((name for name, one in listed if f" {one.casefold()} " in text), handle)


def _stale(problem: str, known_at: Timestamp | None, now: Timestamp) -> Text:
    if known_at is None:
        return Text(en=f"it could not be read: {problem}", zh=f"无法读取：{problem}")
    age = duration(now - known_at)
    return Text(
        en=f"not read since {age}, this is what it said then: {problem}",
        zh=f"已有 {age} 未能读取，以下为当时的内容：{problem}",
    )


def _instant(wall: datetime, zone: ZoneInfo) -> Timestamp:
    return wall.replace(tzinfo=zone).timestamp()
