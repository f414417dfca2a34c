"""Schedules of people that others keep: calendars (RFC 5545), PagerDuty, Opsgenie, Grafana OnCall.

Sources: developer.pagerduty.com (`GET /oncalls`), docs.opsgenie.com (Schedule API, timeline),
grafana.com/docs/oncall (Schedules HTTP API, `final_shifts`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
from dateutil.rrule import rruleset, rrulestr  # type: ignore[import-untyped]
from icalendar import Calendar

from copilot.ports import ShiftSource, SourceError
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.on_call import (
    DeclaredSchedule,
    OnCallRoster,
    PlatformSchedule,
    RotaSource,
    read,
)
from copilot.types.on_call import Shift
from tools.log_retriever.sanitize import plain
from tools.types import Window

MOST_EVENTS, MOST_REPEATS = 20_000, 200_000
"""Events of a calendar, and repetitions of one that are looked through: an hourly one of 20 years.
Who repeats more often is on no call."""

Fields = Mapping[str, Any]
"""An event's properties, each of a type of its own."""

PAGES = 20
"""Of an answer in pages; of 100 shifts each."""

MOST_CALENDAR = 16 * 1024 * 1024

LONGEST_S = 20.0
"""Of laying out one calendar; a rule that never comes true, such as every 30 February, is searched
for to the year 9999, in 0.4 to 10 s (`rrulestr("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")`)."""

MISREAD = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
"""What reading a document of another shape raises, or a date that no calendar has."""


class CalendarSource:
    """A calendar: who is named by an event is on call while it lasts.

    The name is that of the attendees, else the summary. An event that repeats does so by the clock
    of its zone (RRULE, RDATE, EXDATE); one that was moved or called off stands for that time alone.
    """

    def __init__(self, name: str, text: Callable[[], bytes], zone: str) -> None:
        self._name, self._text, self._zone = f"calendar {name}", text, ZoneInfo(zone)

    def shifts(self, window: Window) -> Sequence[Shift]:
        """The events within the window."""
        try:
            calendar = Calendar.from_ical(self._text())
            events: list[Fields] = [*islice(calendar.walk("VEVENT"), MOST_EVENTS)]
            return [*self._expanded(events, window)]
        except MISREAD as error:
            problem = f"it is no calendar that can be read: {plain(str(error), 120)}"
            raise SourceError(self._name, problem, recoverable=False) from error

    def _expanded(self, events: Sequence[Fields], window: Window) -> Iterator[Shift]:
        moved = {
            (str(one.get("UID", "")), self._moment(one["RECURRENCE-ID"].dt))
            for one in events
            if "RECURRENCE-ID" in one
        }
        until = monotonic() + LONGEST_S
        for one in events:
            if monotonic() > until:
                raise ValueError(f"its rules take longer than {LONGEST_S:g} s")
            if str(one.get("STATUS", "")).upper() == "CANCELLED":
                continue
            begins = self._moment(one["DTSTART"].dt)
            lasts = self._length(one, begins)
            uid, alone = str(one.get("UID", "")), "RECURRENCE-ID" in one
            starts = [begins] if alone else self._starts(one, begins, lasts, window)
            for start in starts:
                end = start + lasts
                if end.timestamp() <= window.start or start.timestamp() > window.end:
                    continue
                if not alone and (uid, start) in moved:
                    continue
                for who in _named(one):
                    yield Shift(who=who, start=start.timestamp(), end=end.timestamp())

    def _moment(self, given: date | datetime) -> datetime:
        """In its own zone; a day, or a time of no zone, by the calendar's clock."""
        if not isinstance(given, datetime):
            given = datetime.combine(given, time())
        return given if given.tzinfo else given.replace(tzinfo=self._zone)

    def _length(self, event: Fields, begins: datetime) -> timedelta:
        if "DTEND" in event:
            # Of wall clocks, as repetitions last: a night of the change is an hour shorter.
            ends = self._moment(event["DTEND"].dt).astimezone(begins.tzinfo)
            return ends.replace(tzinfo=None) - begins.replace(tzinfo=None)
        if "DURATION" in event:
            lasts: timedelta = event["DURATION"].dt
            return lasts
        whole = not isinstance(event["DTSTART"].dt, datetime)
        return timedelta(days=1) if whole else timedelta(0)

    def _starts(
        self, event: Fields, begins: datetime, lasts: timedelta, window: Window
    ) -> Iterator[datetime]:
        """When it begins, by the clock of its zone, from a length before the window on."""
        zone = begins.tzinfo
        since = datetime.fromtimestamp(window.start, UTC) - lasts
        until = _wall(datetime.fromtimestamp(window.end, UTC), zone)
        for number, wall in enumerate(self._repeated(event, begins)):
            if number > MOST_REPEATS:
                raise ValueError(f"an event repeats more than {MOST_REPEATS} times")
            if wall > until:
                return
            if (start := wall.replace(tzinfo=zone)) >= since:
                yield start

    def _repeated(self, event: Fields, begins: datetime) -> rruleset:
        zone, first = begins.tzinfo, begins.replace(tzinfo=None)
        rules = rruleset()
        rules.rdate(first)
        for rule in _listed(event.get("RRULE")):
            if {str(one) for one in rule.get("FREQ", ())} & {"SECONDLY", "MINUTELY"}:
                raise ValueError("an event repeats every minute or second")
            if until := [_wall(self._moment(one), zone) for one in rule.get("UNTIL", ())]:
                rule["UNTIL"] = until
            rules.rrule(rrulestr(rule.to_ical().decode(), dtstart=first))
        for name, add in (("RDATE", rules.rdate), ("EXDATE", rules.exdate)):
            for one in (one for many in _listed(event.get(name)) for one in many.dts):
                add(_wall(self._moment(one.dt), zone))
        return rules


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def _wall(moment: datetime, zone: Any) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _named(event: Fields) -> list[str]:
    people = [str(one).removeprefix("mailto:").removeprefix("MAILTO:")
              for one in _listed(event.get("ATTENDEE"))]  # fmt: skip
    summary = str(event.get("SUMMARY", "")).removeprefix("On Call - ")
    return [plain(one, 200) for one in people or [summary] if one.strip()]


class PlatformSource:
    """A schedule of a platform, asked for what it comes to after overrides."""

    def __init__(self, api: Callable[[], JsonApi], ask: "Asking", schedule: str) -> None:
        self._api, self._ask, self._schedule = api, ask, schedule

    def shifts(self, window: Window) -> Sequence[Shift]:
        """The shifts that the platform tells of the window."""
        start, end = (datetime.fromtimestamp(at, UTC) for at in (window.start, window.end))
        api = self._api()
        try:
            found = [*self._ask(api, self._schedule, start, end)]
        except MISREAD as error:
            problem = f"the answer has another shape: {plain(str(error), 120)}"
            raise SourceError(api.source, problem, recoverable=False) from error
        finally:
            api.close()
        return [Shift(who=plain(who, 200), start=a, end=b) for who, a, b in found if who and a < b]


Asked = Iterator[tuple[str, float, float]]
Asking = Callable[[JsonApi, str, datetime, datetime], Asked]


def pagerduty(api: JsonApi, schedule: str, start: datetime, end: datetime) -> Asked:
    """`GET /oncalls`: an entry for each escalation policy; without an end it is for good."""
    found: dict[tuple[str, str, str], int] = {}
    for page in range(PAGES):
        query = {
            "schedule_ids[]": schedule, "since": start.isoformat(), "until": end.isoformat(),
            "include[]": "users", "limit": 100, "offset": 100 * page,
        }  # fmt: skip
        answer = api.get("/oncalls", query)
        for one in answer["oncalls"]:
            who = str(one["user"].get("email") or one["user"]["summary"])
            told = (who, one["start"] or start.isoformat(), one["end"] or end.isoformat())
            found[told] = min(found.get(told, 99), int(one["escalation_level"]))
        if not answer.get("more"):
            break
    for who, begins, ends in sorted(found, key=lambda told: found[told]):
        yield who, _at(begins), _at(ends)


def opsgenie(api: JsonApi, schedule: str, start: datetime, end: datetime) -> Asked:
    """`GET /v2/schedules/{id}/timeline`: its final timeline; a team or an escalation is named."""
    by = "id" if len(schedule) == 36 and schedule.count("-") == 4 else "name"
    query = {
        "identifierType": by, "date": start.isoformat(),
        "interval": max(1, (end - start).days), "intervalUnit": "days",
    }  # fmt: skip
    answer = api.get(f"/v2/schedules/{quote(schedule, safe='')}/timeline", query)
    for rotation in answer["data"]["finalTimeline"]["rotations"]:
        for one in rotation.get("periods") or ():
            who = one.get("recipient") or {}
            if who.get("type") != "none":
                named = str(who.get("name") or who.get("id") or "")
                yield named, _at(one["startDate"]), _at(one["endDate"])


def grafana(api: JsonApi, schedule: str, start: datetime, end: datetime) -> Asked:
    """`GET /api/v1/schedules/{id}/final_shifts`, in pages."""
    path = f"/api/v1/schedules/{quote(schedule, safe='')}/final_shifts"
    for page in range(1, PAGES + 1):
        query = {"start_date": start.date(), "end_date": end.date(), "page": page}
        answer = api.get(path, {name: str(value) for name, value in query.items()})
        for one in answer["results"]:
            named = str(one.get("user_email") or one["user_username"])
            yield named, _at(one["shift_start"]), _at(one["shift_end"])
        if not answer.get("next"):
            return


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


_PLATFORMS: Mapping[str, tuple[Asking, str, str, Mapping[str, str]]] = {
    "pagerduty": (pagerduty, "https://api.pagerduty.com", "Token token=",
                  {"accept": "application/vnd.pagerduty+json;version=2"}),
    "opsgenie": (opsgenie, "https://api.opsgenie.com", "GenieKey ", {}),
    "grafana": (grafana, "", "", {}),
}  # fmt: skip
"""How each is asked, where unless it is said, how its key is sent, and further headers."""


def fetched(name: str, where: str, folder: Path, timeout_s: float) -> bytes:
    """A calendar's text, of a file or an address, which may be secret and is not repeated."""
    said = f"calendar {name}"
    try:
        if not where.startswith(("https://", "http://")):
            return (folder / where).expanduser().read_bytes()[:MOST_CALENDAR]
        kept, until = bytearray(), monotonic() + timeout_s
        with (
            httpx.Client(timeout=timeout_s, trust_env=False) as client,
            client.stream("GET", where) as answer,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                kept += chunk
                if len(kept) > MOST_CALENDAR:
                    problem = f"it has more than {MOST_CALENDAR} bytes"
                    raise SourceError(said, problem, recoverable=False)
                if monotonic() > until:
                    problem = f"no whole answer within {timeout_s:g} s"
                    raise SourceError(said, problem, recoverable=True)
        return bytes(kept)
    except httpx.HTTPStatusError as error:
        status = f"its server answered {error.response.status_code}"
        raise SourceError(said, status, recoverable=True) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        problem = getattr(error, "strerror", None) or f"no answer ({type(error).__name__})"
        raise SourceError(said, problem, recoverable=True) from None


def source(
    declared: DeclaredSchedule, folder: Path, environment: Mapping[str, str], timeout_s: float
) -> ShiftSource:
    """What reads a declared schedule; calendars lie in the folder. Raises `ChannelSecretError`."""
    if declared.rotation:
        return RotaSource(declared)
    if kept := declared.ical:
        where = kept if isinstance(kept, str) else kept.read(environment).get_secret_value()
        text = partial(fetched, declared.name, where, folder, timeout_s)
        return CalendarSource(declared.name, text, declared.zone)
    for name, (ask, url, scheme, headers) in _PLATFORMS.items():
        there: PlatformSchedule | None = getattr(declared, name)
        if there:
            key = there.token.read(environment).get_secret_value()
            told = {**headers, "authorization": scheme + key}
            endpoint = ApiEndpoint(there.url or url, headers=told)
            api = partial(JsonApi, name, endpoint, timeout_s=timeout_s)
            return PlatformSource(api, ask, there.schedule)
    raise AssertionError("a schedule is kept in one way")


def roster(path: Path, environment: Mapping[str, str], timeout_s: float) -> OnCallRoster:
    """Every schedule of the file; raises `OnCallFileError` and `ChannelSecretError`."""
    declared = read(path)
    found = {
        one.name: source(one, path.parent, environment, timeout_s) for one in declared.schedules
    }
    return OnCallRoster(declared.people, found)
