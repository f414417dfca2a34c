"""Who is on call: rotations, calendars and platforms, where clocks are set and people stand in."""

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.ports import ShiftSource, SourceError
from copilot.settings import load
from copilot.sources import on_call_remote
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.sources.on_call import OnCallFileError, OnCallRoster, read
from copilot.store import Store
from copilot.surfaces.chat import ToolContext
from copilot.surfaces.chat.tools.people import owners
from copilot.surfaces.chat.tools.tool import ServiceArguments
from copilot.surfaces.commands.on_call import who_is_on_call
from copilot.testing.service import CountedEngine
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving
from copilot.types.on_call import OnCallNow, OnCallPerson, Shift
from tests.copilot import people_world as world
from tests.copilot.people_world import NOW, signed_in
from tools.types import Text, Window

empty, planned, waiting, store = world.empty, world.planned, world.waiting, world.store
clock, access = world.clock, world.access
engine, app, client = world.engine, world.app, world.client

SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def file(folder: Path, text: str) -> Path:
    path = folder / "on-call.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def roster(path: Path, text: bytes = b"") -> OnCallRoster:
    if text:
        path.with_name("dba.ics").write_bytes(text)
    return on_call_remote.roster(path, {"KEY": "k3y"}, 2.0)


def named(one: OnCallRoster, now: float, schedule: str = "") -> list[str]:
    one.refresh(now)
    return [person.name for person in one.on_call(now, schedule).people]


ROTATION = """
people: {anna: [anna@example.com], bob: [], chen: []}
schedules:
  - name: primary
    zone: %s
    rotation: {people: [anna, bob, chen], from: 2026-03-23 09:00, every: %s}
    overrides: [{who: chen, from: 2026-03-24 12:00, to: 2026-03-24 18:00}]
"""

TURNS = {
    "before the first turn nobody is": ("1w", "2026-03-23 08:59", BERLIN, []),
    "the first named begins": ("1w", "2026-03-23 09:00", BERLIN, ["anna"]),
    "until the hand-over": ("1w", "2026-03-30 08:59", BERLIN, ["anna"]),
    "which stays at nine where clocks are set to summer": (
        "1w", "2026-03-30 09:00", BERLIN, ["bob"],
    ),
    "round again": ("1w", "2026-04-13 09:00", BERLIN, ["anna"]),
    "somebody stands in": ("1w", "2026-03-24 12:00", BERLIN, ["chen"]),
    "and no longer": ("1w", "2026-03-24 18:00", BERLIN, ["anna"]),
    "by day, over the night of the change": ("1d", "2026-03-29 09:00", BERLIN, ["anna"]),
    "by half days": ("12h", "2026-03-23 21:00", SHANGHAI, ["bob"]),
    "years later": ("1w", "2031-03-24 10:00", SHANGHAI, ["anna"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TURNS)
def test_a_rotation_goes_by_the_clock_of_its_zone(case: str, tmp_path: Path) -> None:
    every, moment, zone, wanted = TURNS[case]
    one = roster(file(tmp_path, ROTATION % (zone, every)))
    assert named(one, at(moment, zone)) == wanted


def calendar(*events: str, zone: str = "") -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//t//t//EN"]
    for event in events:
        lines += ["BEGIN:VEVENT", *event.split("|"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


WEEKLY = (
    "UID:a|SUMMARY:On Call - Anna Smith - Payments|DTSTART;TZID=Europe/Berlin:20260302T090000"
    "|DTEND;TZID=Europe/Berlin:20260303T090000|RRULE:FREQ=WEEKLY;BYDAY=MO"
)
UNTIL = WEEKLY.replace("BYDAY=MO", "BYDAY=MO;UNTIL=20260316T080000Z")
MOVED = (
    "UID:a|RECURRENCE-ID;TZID=Europe/Berlin:20260330T090000|SUMMARY:bob@example.com"
    "|DTSTART;TZID=Europe/Berlin:20260331T090000|DTEND;TZID=Europe/Berlin:20260401T090000"
)
CALENDARS = {
    "an event that repeats, before clocks change": ((WEEKLY,), "2026-03-23 08:30", ["anna"]),
    "and after: an hour earlier by the sun": ((WEEKLY,), "2026-03-30 07:30", ["anna"]),
    "not before it": ((WEEKLY,), "2026-03-30 06:59", []),
    "an exception": (
        (WEEKLY + "|EXDATE;TZID=Europe/Berlin:20260330T090000",), "2026-03-30 10:00", [],
    ),
    "one exception more, in UTC": ((WEEKLY + "|EXDATE:20260330T070000Z",), "2026-03-30 10:00", []),
    "a turn in addition": (
        (WEEKLY + "|RDATE;TZID=Europe/Berlin:20260326T090000",), "2026-03-26 10:00", ["anna"],
    ),
    "the last turn of a series": ((UNTIL,), "2026-03-16 10:00", ["anna"]),
    "none after it": ((UNTIL,), "2026-03-23 10:00", []),
    "a turn that was moved is not where it was": ((WEEKLY, MOVED), "2026-03-30 10:00", []),
    "but where it went, with who took it": ((WEEKLY, MOVED), "2026-03-31 10:00", ["bob"]),
    "a turn that was called off": (
        (WEEKLY, MOVED + "|STATUS:CANCELLED"), "2026-03-31 10:00", [],
    ),
    "a whole day, by the clock of the file": (
        ("UID:d|SUMMARY:chen|DTSTART;VALUE=DATE:20260310",), "2026-03-09 16:30", ["chen"],
    ),
    "a length instead of an end": (
        ("UID:l|SUMMARY:chen|DTSTART:20260310T100000Z|DURATION:PT8H",),
        "2026-03-10 17:59", ["chen"],
    ),
    "attendees before the summary": (
        ("UID:p|SUMMARY:Payments|ATTENDEE:mailto:ANNA@example.com|DTSTART:20260310T100000Z"
         "|DTEND:20260310T180000Z",), "2026-03-10 12:00", ["anna"],
    ),
    "two at once": (
        ("UID:1|SUMMARY:anna|DTSTART:20260310T100000Z|DTEND:20260310T180000Z",
         "UID:2|SUMMARY:Who Ever|DTSTART:20260310T100000Z|DTEND:20260310T180000Z"),
        "2026-03-10 12:00", ["anna", "Who Ever"],
    ),
}  # fmt: skip

CALENDAR_FILE = f"""
people: {{anna: [anna@example.com, Anna Smith], bob: [bob@example.com], chen: []}}
schedules: [{{name: dba, ical: dba.ics, zone: {SHANGHAI}}}]
"""


@pytest.mark.parametrize("case", CALENDARS)
def test_a_calendar_says_who_is_on_call(case: str, tmp_path: Path) -> None:
    events, moment, wanted = CALENDARS[case]
    one = roster(file(tmp_path, CALENDAR_FILE), calendar(*events))
    assert named(one, at(moment)) == wanted


NO_CALENDAR = {
    "no calendar": b"<html>sign in</html>",
    "no start": calendar("UID:x|SUMMARY:anna"),
    "every second": calendar("UID:x|SUMMARY:a|DTSTART:20260101T000000Z|RRULE:FREQ=SECONDLY"),
    "a rule that is none": calendar("UID:x|SUMMARY:a|DTSTART:20260101T000000Z|RRULE:FREQ=OFTEN"),
    "too often": calendar(
        "UID:x|SUMMARY:a|DTSTART:19700101T000000Z|RRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8,9,10"
        ";BYMINUTE=1,2,3,4,5"
    ),
    "longer than time has": calendar("UID:x|SUMMARY:a|DTSTART:20260101T000000Z|DURATION:P9999999D"),
}


@pytest.mark.parametrize("case", NO_CALENDAR)
def test_what_is_no_calendar_is_said(case: str, tmp_path: Path) -> None:
    one = roster(file(tmp_path, CALENDAR_FILE), NO_CALENDAR[case])
    assert named(one, at("2026-03-10 12:00")) == []
    problem = one.on_call(at("2026-03-10 12:00")).problem
    assert problem is not None
    assert "no calendar that can be read" in problem.en
    assert problem.zh.startswith("无法读取")


def test_rules_that_take_long_to_lay_out_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_call_remote, "LONGEST_S", -1.0)
    one = roster(file(tmp_path, CALENDAR_FILE), calendar(WEEKLY))
    assert named(one, WHEN) == []
    assert "its rules take longer than" in str(one.on_call(WHEN).problem)


WHEN = at("2026-03-10 12:00")
ANSWERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "pagerduty": (
        "PABC", "Token token=k3y", "/oncalls",
        {"oncalls": [
            {"user": {"summary": "Bob B"}, "escalation_level": 2,
             "start": None, "end": None},
            {"user": {"summary": "Anna S", "email": "anna@example.com"}, "escalation_level": 1,
             "start": "2026-03-09T09:00:00Z", "end": "2026-03-16T09:00:00Z"},
            {"user": {"summary": "Anna S", "email": "anna@example.com"}, "escalation_level": 3,
             "start": "2026-03-09T09:00:00Z", "end": "2026-03-16T09:00:00Z"},
        ], "limit": 100, "offset": 0, "more": False, "total": None},
    ),
    "opsgenie": (
        "net_ops", "GenieKey k3y", "/v2/schedules/net_ops/timeline",
        {"data": {"finalTimeline": {"rotations": [{"name": "r", "periods": [
            {"startDate": "2026-03-09T09:00:00Z", "endDate": "2026-03-16T09:00:00Z",
             "type": "override", "recipient": {"type": "user", "name": "anna@example.com"}},
            {"startDate": "2026-03-10T09:00:00Z", "endDate": "2026-03-10T19:00:00Z",
             "type": "default", "recipient": {"type": "none"}},
            {"startDate": "2026-03-10T11:00:00+00:00", "endDate": "2026-03-10T19:00:00+00:00",
             "type": "default", "recipient": {"type": "user", "name": "Bob B"}},
        ]}, {"name": "empty"}]}}, "took": 0.1, "requestId": "r"},
    ),
    "grafana": (
        "SBM7", "k3y", "/api/v1/schedules/SBM7/final_shifts",
        {"count": 2, "next": None, "previous": None, "results": [
            {"user_pk": "U1", "user_email": "anna@example.com", "user_username": "as",
             "shift_start": "2026-03-09T09:00:00Z", "shift_end": "2026-03-16T09:00:00Z"},
            {"user_pk": "U2", "user_email": "", "user_username": "Bob B",
             "shift_start": "2026-03-10T09:00:00Z", "shift_end": "2026-03-10T17:00:00Z"},
        ]},
    ),
}  # fmt: skip


class SchedulePlatform(StrictServer):
    """Answers the one question of its schedule, with its key and the parameters it knows."""

    name = "platform"
    KNOWN = frozenset(
        {"schedule_ids[]", "since", "until", "include[]", "limit", "offset", "identifierType",
         "date", "interval", "intervalUnit", "start_date", "end_date", "page"}
    )  # fmt: skip

    def __init__(self, key: str, path: str, answer: object) -> None:
        super().__init__()
        self.key, self.path, self.answer = key, path, answer

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.headers.get("authorization", "") != self.key:
            return HttpReply(401, {"error": "unauthorized"})
        if asked.path != self.path or set(asked.query) - self.KNOWN:
            return HttpReply(404, {"error": "not found"})
        return HttpReply(200, self.answer)


def declared(platform: str, schedule: str, url: str) -> str:
    return (
        "people: {anna: [anna@example.com], bob: [Bob B]}\n"
        f"schedules: [{{name: p, {platform}: "
        f"{{schedule: {schedule}, url: '{url}', token: {{env: KEY}}}}}}]\n"
    )


@pytest.mark.parametrize("platform", ANSWERS)
def test_a_platform_is_asked_as_it_wants_to_be(platform: str, tmp_path: Path) -> None:
    schedule, key, path, answer = ANSWERS[platform]
    with serving(SchedulePlatform(key, path, answer)) as server:
        one = roster(file(tmp_path, declared(platform, schedule, server.url)))
        assert named(one, WHEN) == ["anna", "bob"]
        assert one.on_call(WHEN).people[0].until == at("2026-03-16 09:00")
        server.failures.append("forbidden")
        assert named(one, WHEN + 60) == ["anna", "bob"]
        problem = one.on_call(WHEN + 60).problem
        assert problem is not None
        assert "403" in problem.en
        server.answer = {"oncalls": 7, "data": [], "results": None}
        one.refresh(WHEN + 120)
        assert "another shape" in str(one.on_call(WHEN + 120).problem)
        server.answer = b'{"oncalls": [{"user": {"email": "a"}, "escalation_level": 1e999,' + (
            b'"start": null, "end": null}], "data": [], "results": []}'
        )
        one.refresh(WHEN + 180)  # a number without an end is one more of them


def test_a_calendar_is_fetched_from_an_address_that_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = calendar("UID:1|SUMMARY:anna|DTSTART:20260310T100000Z|DTEND:20260310T180000Z")
    with serving(SchedulePlatform("", "/s3cret/team.ics", text)) as server:
        (tmp_path / "address").write_text(f"{server.url}/s3cret/team.ics?key=s3cret")
        server.KNOWN = frozenset({"key"})
        place = f"{{file: '{tmp_path / 'address'}'}}"
        one = roster(file(tmp_path, f"schedules: [{{name: a, ical: {place}}}]"))
        assert named(one, WHEN) == ["anna"]
        with monkeypatch.context() as slow:
            slow.setattr(on_call_remote, "monotonic", count(0, 10).__next__)
            one.refresh(WHEN)
        dribbles = str(one.on_call(WHEN).problem)
        assert "no whole answer within 2 s" in dribbles
        server.failures.append("unavailable")
        one.refresh(WHEN)
    problem = str(one.on_call(WHEN).problem)
    assert "503" in problem
    assert "s3cret" not in problem


class Fickle:
    """A schedule that answers while it is `up`."""

    up = True

    def shifts(self, window: Window) -> Sequence[Shift]:
        if not self.up:
            raise SourceError("pager", "503 Service Unavailable", recoverable=True)
        return [Shift(who="anna", start=WHEN - 60, end=WHEN + 3600),
                Shift(who="bob", start=WHEN + 3600, end=WHEN + 7200)]  # fmt: skip


def test_what_cannot_be_read_is_shown_as_it_was_with_its_age() -> None:
    fickle = Fickle()
    sources: dict[str, ShiftSource] = {"pager": fickle}
    one = OnCallRoster({}, sources)
    one.refresh(WHEN)
    assert one.on_call(WHEN).problem is None
    fickle.up = False
    one.refresh(WHEN + 3600)
    told = one.on_call(WHEN + 3600)
    assert [person.name for person in told.people] == [
        "bob"
    ]  # the hand-over is on time all the same
    assert told.problem is not None
    assert "not read since 1 h" in told.problem.en
    assert "503" in told.problem.zh
    fickle.up = True
    one.refresh(WHEN + 3660)
    assert one.on_call(WHEN + 3660).problem is None


WRONG = {
    "two ways": ("schedules: [{name: a, ical: x.ics, rotation: {people: [a], from: '2026-01-01', "
                 "every: 1w}}]", "needs one of rotation"),
    "no way": ("schedules: [{name: a}]", "needs one of rotation"),
    "the same name": ("schedules: [{name: a, ical: x}, {name: a, ical: y}]", "two schedules"),
    "a moment with a zone": (
        ROTATION.replace("09:00", "09:00Z") % ("UTC", "1w"), "zone of its own",
    ),
    "a length that is none": (ROTATION % ("UTC", "fortnight"), "every"),
    "a zone that is none": (ROTATION % ("Mars/Base", "1w"), "zone"),
    "a secret in the file": ("schedules: [{name: a, pagerduty: {schedule: x, token: s3cret}}]",
                             "does not stand in this file"),
    "grafana without its address": ("schedules: [{name: a, grafana: {schedule: x, token: "
                                    "{env: K}}}]", "needs its url"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    text, said = WRONG[case]
    with pytest.raises(OnCallFileError, match=said) as refused:
        read(file(tmp_path, text))
    assert "s3cret" not in str(refused.value)


def test_a_calendar_file_is_a_schedule_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "team.ics"
    path.write_bytes(calendar("UID:1|SUMMARY:anna|DTSTART:20260310T100000Z|DTEND:20260310T180000Z"))
    one = roster(path)
    assert named(one, WHEN) == ["anna"]
    assert one.on_call(WHEN, "nights").problem is not None


# --- where it is shown ---


class Standing(OnCallRoster):
    """A roster that says what it was given."""

    def __init__(self, *told: OnCallNow) -> None:
        super().__init__({}, {})
        self.told = told

    @property
    def schedules(self) -> Sequence[str]:
        return [one.schedule for one in self.told]

    def on_call(self, now: float, schedule: str = "") -> OnCallNow:
        return next(one for one in self.told if schedule in ("", one.schedule))


ANNA = OnCallNow(
    schedule="primary", people=(OnCallPerson(name="anna", handle="a@x", until=NOW + 3600),),
    known_at=NOW - 1500, problem=Text(en="not read since 25 min", zh="已有 25 min 未能读取"),
)  # fmt: skip


def test_the_pages_say_who_is_on_call_and_hand_over_goes_to_them(
    client: TestClient, engine: CountedEngine, store: Store
) -> None:
    engine.rota = Standing(ANNA, OnCallNow(schedule="dba", known_at=NOW))
    signed_in(client, "the responder")
    text = client.get("/?lang=zh").text
    assert "已有 25 min 未能读取" in text
    assert "无人" in text
    assert "anna" in text
    page = client.get("/console/incidents/I1?lang=en").text
    assert "not read since 25 min" in page
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"csrf": csrf, "action": "hand_over", "text": "I sleep"}
    assert client.post("/console/incidents/I1/on-call", data=form).status_code == 303
    assert store.incidents.require("I1").taken_by == "anna"


def test_programs_are_told_who_is_on_call(client: TestClient, engine: CountedEngine) -> None:
    signed_in(client, "the viewer")
    assert client.get("/on-call").json() == {"schedules": []}
    engine.rota = Standing(ANNA)
    assert client.get("/on-call").json()["schedules"][0]["people"][0]["name"] == "anna"


def test_the_chat_says_who_is_on_call(store: Store) -> None:
    clock = SystemClock()
    deps = Deps(store, Sources(), clock, DryRunRunner(clock), (), rota=Standing(ANNA))
    (said,) = owners(ServiceArguments(), ToolContext(deps)).lead
    assert said.en.startswith("On call (primary): anna until")
    assert "25 min" in said.zh


def test_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path, ROTATION % ("UTC", "1w"))
    settings = load(data_dir=tmp_path / "home", on_call_file=path)
    assert who_is_on_call(settings) == 0
    assert capsys.readouterr().out.startswith("primary: ")
    assert who_is_on_call(load(data_dir=tmp_path / "home")) == 1
