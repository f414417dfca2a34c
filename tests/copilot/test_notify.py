"""From the journal to the channels: who is told what, when, how often, and what is never lost."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from copilot.ports import NoticeError
from copilot.store import Store, StoreError
from copilot.surfaces.notify.courier import NoticeCourier
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.wording import BRIEF_LINES, notice_of, summary
from copilot.testing.channels import ListedSender
from copilot.testing.store_faults import StoreFaults
from copilot.types.incident import Event, Incident, IncidentStatus
from copilot.types.notice import Moment
from prompts import LANGUAGES, load, word
from tools.types import Plan, PlanStep, Severity

NOON = 1_700_049_600.0  # Wednesday 12:00 UTC
HEAD_EN, SECRET = "[critical] cart is slow", {"env": "X"}
TARGET = {"name": "sre", "kind": "apprise", "url": SECRET}
ROUTES = [{"match": ["severity=~critical|high"], "to": ["sre"]}]


@dataclass
class Desk:
    """A store, a router and a courier of one target, on a clock of the test's."""

    store: Store
    file: NotifyFile
    now: float = NOON
    sender: ListedSender = field(default_factory=ListedSender)
    second: ListedSender = field(default_factory=ListedSender)

    def __post_init__(self) -> None:
        self.start()
        self.router.route()

    def start(self) -> None:
        """As after a restart: only the store remembers."""
        self.router = NoticeRouter(self.store, self.file, lambda: self.now, lambda: self.now)
        self.couriers = [
            NoticeCourier(self.store, one, sender, 3600, lambda: self.now, lambda: 0.0)
            for one, sender in zip(self.file.targets, (self.sender, self.second), strict=False)
        ]

    def happens(self, kind: str, incident: str = "I1", by: str = "copilot", **detail: str) -> None:
        """A row of the journal is written."""
        self.store.journal.append(incident, kind, by, {**detail}, self.now)

    def becomes(self, status: IncidentStatus, incident: str = "I1") -> None:
        """The incident has another status."""
        self.store.incidents.update(incident, self.now, status=status)

    def after(self, seconds: float) -> list[str]:
        """Let time pass, tell what is due, and return every moment that was sent so far."""
        while self.router.route():
            pass
        self.now += seconds
        while self.router.ripen() + sum(one.deliver() for one in self.couriers):
            pass
        return self.sent

    @property
    def sent(self) -> list[str]:
        return [notice.moment for _, notice in self.sender.sent]

    def states(self, incident: str = "I1") -> list[str]:
        return [one.status for one in self.store.notices.of(incident)]


def file(**given: object) -> NotifyFile:
    declared = {"hosts": ["x"], "targets": [TARGET], "routes": ROUTES, "wait_s": 10, **given}
    return NotifyFile.model_validate(declared, strict=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    open_incident(opened, "I1")
    yield opened
    opened.close()


def open_incident(store: Store, name: str, severity: Severity = "critical") -> None:
    store.incidents.open(
        Incident(
            id=name, title="cart is slow", severity=severity, services=("cart",),
            opened_at=NOON, updated_at=NOON, brief=dict.fromkeys(LANGUAGES, ""),
        )
    )  # fmt: skip


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store, file())


def test_what_happened_before_anybody_was_to_be_told_is_told_to_nobody(store: Store) -> None:
    store.journal.append("I1", "opened", "copilot", {}, NOON)
    desk = Desk(store, file())
    assert desk.after(60) == []
    desk.happens("failed")
    assert desk.after(1) == ["failed"]


def test_an_incident_is_told_from_its_beginning_to_its_end(desk: Desk) -> None:
    desk.happens("opened")
    assert desk.after(5) == [], "what it is may be known in a moment"
    desk.happens("briefed")
    assert desk.after(1) == ["located"]
    for kind, by in (("triaged", "copilot"), ("planned", "copilot"), ("approved", "ann")):
        desk.happens(kind, by=by)
        desk.after(1)
    desk.happens("acted", step="restart")
    desk.after(1)
    desk.becomes("recovered")
    desk.happens("verified", outcome="recovered")
    desk.happens("reported")
    assert desk.after(1) == ["located", "plan", "approved", "step", "recovered"]
    assert desk.states()[:2] == ["overtaken", "sent"]


def test_what_is_only_opened_is_told_after_a_while(desk: Desk) -> None:
    desk.happens("opened")
    assert desk.after(11) == ["opened"]


def test_who_was_told_that_it_began_is_told_its_end_whatever_the_route_says_now(
    desk: Desk, store: Store
) -> None:
    desk.happens("briefed")
    desk.after(1)
    store.incidents.update("I1", desk.now, severity="info", status="resolved")
    desk.happens("resolved", reason="its source says so")
    open_incident(store, "I2", "info")
    desk.happens("opened", "I2")
    assert desk.after(60) == ["located", "resolved"]


def test_moments_that_a_route_does_not_tell_are_not_told(store: Store) -> None:
    desk = Desk(store, file(routes=[{"to": ["sre"], "moments": ["plan", "handed_over"]}]))
    for kind in ("opened", "briefed", "planned", "approved", "failed"):
        desk.happens(kind)
        desk.after(20)
    assert desk.sent == ["plan"]


def test_a_hand_over_is_told_once_though_the_journal_says_it_twice(desk: Desk) -> None:
    desk.becomes("handed_over")
    desk.happens("abstained", reason="no playbook fits")
    desk.happens("reported")
    assert desk.after(1) == ["handed_over"]


def test_a_dry_run_is_not_said_not_to_have_helped(desk: Desk) -> None:
    desk.happens("verified", outcome="unknown")
    assert desk.after(1) == []
    desk.happens("verified", outcome="worse")
    assert desk.after(1) == ["not_recovered"]


def test_what_was_written_while_the_service_was_down_is_told_unless_it_is_old(desk: Desk) -> None:
    desk.happens("planned")
    desk.now += 600
    desk.start()
    assert desk.after(0) == ["plan"]
    desk.happens("failed")
    desk.now += 7200
    desk.start()
    assert desk.after(0) == ["plan"]


def test_whatever_the_database_fails_at_all_is_told_once(desk: Desk, store: Store) -> None:
    open_incident(store, "I2")
    for kind, incident in (("planned", "I1"), ("failed", "I2"), ("failed", "I1")):
        desk.happens(kind, incident)
    faults = StoreFaults(store, of={threading.current_thread().name})
    faults.each_once()
    for _ in range(40):
        with suppress(StoreError):
            desk.after(1)
    assert len(faults.failed) > 8
    assert sorted(dict.fromkeys(key for key, _ in desk.sender.sent)) == ["sre/I1/3", "sre/I2/2"]
    with suppress(StoreError):
        desk.states()
    assert (desk.states("I1"), desk.states("I2")) == (["overtaken", "sent"], ["sent"])


def test_a_message_whose_end_was_not_seen_is_sent_again_under_the_same_key(desk: Desk) -> None:
    desk.happens("planned")
    desk.router.route()
    (row,) = desk.store.notices.due("sre", desk.now)
    desk.store.notices.begin(row.key, desk.now)  # and killed before it was marked
    desk.sender.sent.append((row.key, row.notice))
    desk.start()
    desk.after(0)
    assert {key for key, _ in desk.sender.sent} == {"sre/I1/1"}
    assert desk.sender.sent[0] == desk.sender.sent[1], "a receiver can tell that it is the same"


def test_a_passing_fault_is_tried_again_later_and_later(desk: Desk) -> None:
    desk.sender.failures.extend([NoticeError("again", "busy")] * 3)
    desk.happens("planned")
    desk.after(0)
    left = [desk.after(1) or len(desk.sender.failures) for _ in range(7)]
    assert left == [1, 1, 0, 0, 0, 0, ["plan"]], "tried again after 1, then 2, then 4 s"
    (told,) = desk.store.notices.figures()
    assert (told.by_state, told.tried) == ({"sent": 1}, 0)


def test_a_channel_is_left_alone_for_as_long_as_it_asks(desk: Desk) -> None:
    desk.sender.failures.append(NoticeError("again", "slow down", wait_s=90))
    desk.happens("planned")
    desk.after(0)
    desk.happens("failed", "I1")
    assert desk.after(89) == []
    assert desk.after(2) == ["failed"]


def test_a_dead_target_is_named_and_given_up_after_hours(desk: Desk) -> None:
    desk.sender.failures.extend([NoticeError("target", "401: no such hook")] * 99)
    desk.happens("planned")
    desk.after(0)
    desk.after(200)
    assert len(desk.sender.failures) == 98, "it is not hammered"
    (told,) = desk.store.notices.figures()
    assert (told.tried, told.problem) == (1, "401: no such hook")
    for _ in range(14):
        desk.after(301)
    assert desk.states() == ["failed"]


def test_a_message_that_is_refused_does_not_keep_back_the_next(desk: Desk) -> None:
    desk.sender.failures.append(NoticeError("message", "400: too long"))
    desk.happens("planned")
    desk.after(0)
    desk.happens("failed")
    assert desk.after(0) == ["failed"]
    assert desk.states() == ["failed", "sent"]


def test_quiet_hours_hold_back_all_but_what_is_excepted(store: Store) -> None:
    quiet = {"hours": ["11:00-13:00"], "but": ['severity="critical"']}
    desk = Desk(store, file(targets=[{**TARGET, "quiet": quiet}]))
    open_incident(store, "I2", "high")
    desk.happens("briefed", "I2")
    desk.happens("failed", "I2")
    desk.happens("briefed", "I1")
    desk.after(60)
    assert [one.incident_id for _, one in desk.sender.sent] == ["I1"]
    desk.after(3600)
    assert [(one.incident_id, one.moment) for _, one in desk.sender.sent][1:] == [("I2", "failed")]


def test_an_incident_tells_so_many_messages_and_its_end(store: Store) -> None:
    desk = Desk(store, file(targets=[{**TARGET, "most_per_incident": 4}]))
    for number in range(9):
        desk.happens("acted", step=f"step {number}")
        desk.after(1)
    desk.becomes("handed_over")
    desk.happens("reported")
    assert desk.after(1) == ["step", "step", "step", "handed_over"]
    assert "most_per_incident is 4" in store.notices.of("I1")[5].reason


def test_messages_that_can_be_edited_are_and_are_not_counted(store: Store) -> None:
    declared = file(targets=[{**TARGET, "most_per_incident": 2}])
    desk = Desk(store, declared, sender=ListedSender(edits=True))
    for number in range(5):
        desk.happens("acted", step=f"step {number}")
        desk.after(1)
    desk.start()
    desk.happens("failed")
    assert desk.after(1) == ["step"]
    assert [one.moment for _, one in desk.sender.edited] == ["step"] * 4 + ["failed"]


def test_a_storm_is_one_message_with_counts_that_is_brought_up_to_date(store: Store) -> None:
    desk = Desk(store, file(storm={"incidents": 3, "within_s": 300, "every_s": 100}))
    for number in range(12):
        open_incident(store, f"S{number}", "high" if number % 4 else "critical")
        desk.happens("opened", f"S{number}")
    assert desk.after(12) == ["opened"] * 3 + ["storm"]
    storm = desk.sender.sent[-1][1]
    assert storm.heads["en"] == "[critical] 9 incidents: many incidents at once"
    assert storm.heads["zh"] == "[critical] 9 个事件:大量事件同时发生"
    assert storm.lines["en"][:2] == ("high 7, critical 2", "investigating 9")
    for number in range(3, 12):
        desk.becomes("resolved", f"S{number}")
        desk.happens("resolved", f"S{number}")
    assert desk.after(50) == ["opened"] * 3 + ["storm"]
    assert desk.after(60) == ["opened"] * 3 + ["storm"] * 2
    assert desk.sender.sent[-1][1].lines["en"][1] == "resolved 9"
    open_incident(store, "late")
    desk.happens("opened", "late")
    assert desk.after(400)[-1] == "storm", "one more of it while it goes on"
    open_incident(store, "other")
    desk.happens("opened", "other")
    assert desk.after(11)[-1] == "opened"


TEAM = [TARGET, {**TARGET, "name": "boss"}]
NEXT = [{"to": ["boss"], "after_s": 600}]
STEPS = [{**ROUTES[0], "escalate": NEXT}]


def escalating(store: Store, **given: object) -> Desk:
    return Desk(store, file(**{"targets": TEAM, "routes": STEPS, **given}))


def test_what_nobody_takes_is_told_to_the_next_once_and_with_its_plan(store: Store) -> None:
    desk = escalating(store)
    desk.happens("opened")
    desk.after(0)
    desk.happens("briefed")
    desk.after(300)
    assert [one.status for one in store.notices.of("I1", "boss")] == ["waiting"]
    desk.start()  # killed and started again: only the store remembers
    desk.after(309)
    assert desk.second.sent == []
    desk.after(1)
    desk.start()
    desk.after(3600)
    ((key, told),) = desk.second.sent
    assert (key, told.moment) == ("boss/I1/1/600", "escalated")
    assert told.heads["en"] == "[critical] cart is slow: nobody has taken it yet"
    desk.becomes("resolved")
    desk.happens("resolved")
    desk.after(1)
    assert desk.second.sent[-1][1].moment == "resolved", "who was told hears how it ends"


IN_HAND = {
    "somebody takes it": ("taken", "ann", "in hand: taken by ann"),
    "somebody decides": ("rejected", "ann", "in hand: rejected by ann"),
    "somebody notes something": ("noted", "ann", "in hand: noted by ann"),
}


@pytest.mark.parametrize("row", IN_HAND)
def test_what_is_in_hand_is_not_escalated(row: str, store: Store) -> None:
    kind, by, why = IN_HAND[row]
    desk = escalating(store)
    desk.happens("briefed")
    desk.after(300)
    desk.happens(kind, by=by)
    desk.after(600)
    assert desk.second.sent == []
    (waited,) = store.notices.of("I1", "boss")
    assert (waited.status, waited.reason) == ("dropped", why)


def test_what_a_policy_approves_or_is_over_is_in_nobodys_hand(store: Store) -> None:
    desk = escalating(store)
    desk.happens("briefed")
    desk.happens("approved", by="policy")
    desk.after(601)
    assert len(desk.second.sent) == 1
    open_incident(store, "I2")
    desk.happens("briefed", "I2")
    desk.becomes("recovered", "I2")
    desk.after(601)
    assert len(desk.second.sent) == 1
    assert store.notices.of("I2", "boss")[0].reason == "it is recovered"


def test_who_took_it_the_first_time_has_to_take_it_again(store: Store) -> None:
    desk = escalating(store)
    desk.happens("briefed")
    desk.happens("taken", by="ann")
    desk.after(700)
    desk.happens("reopened")
    desk.after(601)
    assert [one.moment for _, one in desk.second.sent] == ["escalated"]


def test_what_begins_again_is_escalated_from_then_on_and_no_sooner(store: Store) -> None:
    desk = escalating(store)
    desk.happens("opened")
    desk.after(400)
    desk.happens("resolved")
    desk.after(100)
    desk.happens("reopened")
    desk.after(300)
    assert desk.second.sent == [], "800 s since it opened, 300 since it began again"
    desk.after(400)
    assert [one.moment for _, one in desk.second.sent] == ["escalated"]


def test_the_clock_of_an_escalation_begins_when_the_first_is_told(store: Store) -> None:
    quiet = {"hours": ["11:00-13:00"]}
    desk = escalating(store, targets=[{**TARGET, "quiet": quiet}, TEAM[1]])
    desk.happens("briefed")
    assert desk.after(3600) == ["located"]
    assert desk.second.sent == []
    desk.after(600)
    assert len(desk.second.sent) == 1


def test_many_escalations_at_once_are_one_message(store: Store) -> None:
    desk = escalating(store, storm={"incidents": 3, "within_s": 300, "every_s": 100})
    for number in range(9):
        open_incident(store, f"S{number}")
        desk.happens("briefed", f"S{number}")
    desk.after(601)
    desk.after(6)
    assert [one.moment for _, one in desk.second.sent] == ["escalated"] * 3 + ["storm"]
    assert desk.second.sent[-1][1].heads["en"].startswith("[critical] 6 incidents")


def test_a_failing_database_neither_loses_nor_doubles_an_escalation(store: Store) -> None:
    desk = escalating(store)
    desk.happens("briefed")
    desk.after(1)
    faults = StoreFaults(store, of={threading.current_thread().name})
    faults.each_once()
    for _ in range(40):
        with suppress(StoreError):
            desk.after(60)
    assert len(faults.failed) > 5
    assert {key for key, _ in desk.second.sent} == {"boss/I1/1/600"}


DIGEST = {"match": ["severity=~info|low"], "at": ["09:00", "17:00"]}


def test_what_is_of_low_importance_is_told_together_at_its_time(store: Store) -> None:
    desk = Desk(store, file(targets=[{**TARGET, "digest": DIGEST}], routes=[{"to": ["sre"]}]))
    for number in range(12):
        open_incident(store, f"L{number}", "info")
        desk.happens("opened", f"L{number}")
        desk.after(60)
        desk.becomes("resolved", f"L{number}")
        desk.happens("resolved", f"L{number}")
    assert desk.after(60) == []
    desk.happens("briefed")
    assert desk.after(1) == ["located"], "what is critical does not wait"
    desk.start()
    assert desk.after(5 * 3600) == ["located", "digest"]
    told = desk.sender.sent[-1][1]
    assert told.heads["en"] == "[info] 12 incidents: since the last digest"
    assert told.lines["en"][:3] == ("info 12", "resolved 12", "cart 12")
    assert len(told.lines["en"]) == 8
    desk.after(24 * 3600)
    assert desk.sent == ["located", "digest"], "there is no digest of nothing"


def test_a_digest_is_no_incident_of_a_storm(store: Store) -> None:
    storm = {"incidents": 2, "within_s": 300, "every_s": 100}
    target = {**TARGET, "digest": DIGEST}
    desk = Desk(store, file(targets=[target], routes=[{"to": ["sre"]}], storm=storm, wait_s=0))
    open_incident(store, "L1", "info")
    desk.happens("opened", "L1")
    assert desk.after(5 * 3600) == ["digest"]
    for name in ("I1", "I2"):
        if name == "I2":
            open_incident(store, name)
        desk.happens("opened", name)
    assert desk.after(1) == ["digest", "opened", "opened"]


def test_a_target_of_another_kind_posts_anew(store: Store) -> None:
    """What the kind before called its message is nothing to it."""
    desk = Desk(store, file(wait_s=0), sender=ListedSender(edits=True))
    desk.happens("opened")
    desk.after(1)
    other = {"name": "sre", "kind": "wecom", "url": SECRET}
    desk.file, desk.sender = file(targets=[other], wait_s=0), ListedSender(edits=True)
    desk.start()
    desk.happens("briefed")
    desk.after(1)
    desk.happens("failed")
    desk.after(1)
    assert (len(desk.sender.sent), len(desk.sender.edited)) == (1, 1)


def test_a_plan_does_not_wait_for_the_digest(store: Store) -> None:
    desk = Desk(store, file(targets=[{**TARGET, "digest": DIGEST}], routes=[{"to": ["sre"]}]))
    open_incident(store, "L", "low")
    desk.happens("planned", "L")
    assert desk.after(1) == ["plan"]


BRIEF = """# cart is slow

**What**: gateway p95 rose to 900 ms [E1][E2]

**Who**: users of gateway

**Since**: 2026-11-22 14:02:10 UTC

**Cause**: likely: **cart**, CPU saturation (84 %) [E3]

**Changed just before**: no change is recorded in the hour before

**Next**: look at cart

**Not known**: every configured source answered

## Evidence
**Next**: not this
"""


def notice(kind: str, title: str = "cart is slow", **detail: str) -> tuple[str, ...]:
    plan = Plan(
        id="p", incident_id="I1", playbook_id="restart", title="Restart", risk="B",
        component="cart", steps=(PlanStep(index=0, title="go", title_zh="走", action="wait"),),
        created_at=NOON, expires_at=NOON + 900, digest="ab" * 32,
    )  # fmt: skip
    held = Incident(
        id="I1", title=title, opened_at=NOON, updated_at=NOON, plan=plan,
        brief={"en": BRIEF, "zh": ""}, severity="critical",
    )  # fmt: skip
    event = Event(
        seq=7, at=NOON, incident_id="I1", kind=kind, by="ann", detail={**detail}, previous="",
        digest="",
    )  # fmt: skip
    moment = {"planned": "plan", "acted": "step", "passed_on": "taken"}.get(kind, kind)
    asks = plan if moment == "plan" else None
    passed: list[tuple[float, Moment]] = [(NOON, "opened")]
    said = notice_of(event, moment, held, 3, passed, "https://c.example", asks)  # type: ignore[arg-type]
    return (said.heads["en"], *said.lines["en"], said.heads["zh"])


def test_a_plan_is_told_in_eight_lines_with_its_digest() -> None:
    head, *lines, _ = notice("planned")
    assert head == "[critical] cart is slow: a plan waits for a yes or no"
    assert lines == [
        "**What**: gateway p95 rose to 900 ms",
        "**Who**: users of gateway",
        "**Since**: 2026-11-22 14:02:10 UTC",
        "**Cause**: likely: **cart**, CPU saturation (84 %)",
        "**Changed just before**: no change is recorded in the hour before",
        "**Next**: look at cart",
        f"**Digest**: {'ab' * 32}, until 12:15:00 UTC",
        "**So far**: 12:00:00 opened",
    ]


def test_a_decision_says_who_and_why() -> None:
    head, *lines, _ = notice("rejected", reason="not on a Friday")
    assert head.endswith(": plan rejected, by ann")
    assert lines[:2] == [
        "**Cause**: likely: **cart**, CPU saturation (84 %)",
        "**Why**: not on a Friday",
    ]
    assert notice("acted", step="go")[-1].endswith(":步骤 走")
    assert notice("taken")[0].endswith(": taken, by ann")
    assert notice("passed_on", to="bob", reason="to bob")[0].endswith(": handed over → bob, by ann")


HOSTILE = {
    "a call to everybody": ("@everyone and @here, @channel", "@everyone", "@here", "@channel"),
    "Slack's own": ("<!channel> <@U123>", "<!", "<@"),
    "Feishu's own": ('<at id="all"></at>', "<at"),
    "a link": ("[click](https://evil.example)", "](",),
    "more lines": ("a\n**Digest**: 00", "\n"),
    "Chinese": ("@所有人", "@所有人"),
}  # fmt: skip


@pytest.mark.parametrize("row", HOSTILE)
def test_text_from_outside_calls_nobody_and_formats_nothing(row: str) -> None:
    title, *never = HOSTILE[row]
    for line in (notice("planned", title)[0], *notice("rejected", reason=title)):
        assert not [one for one in never if one in line], line


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lines_that_are_told_are_those_of_the_brief(language: str) -> None:
    body = load("brief", language).body
    labels = [word("answer", one, language) for one in BRIEF_LINES]  # type: ignore[arg-type]
    assert [one for one in labels if f"**{one}**" not in body] == []


def test_a_long_line_is_cut_without_leaving_a_mark_open() -> None:
    long = f"**What**: x\n\n**Next**: run **{'y' * 300}**"
    (_, line) = summary(long, "plan", "en")
    assert len(line) <= 240
    assert line.count("**") % 2 == 0
