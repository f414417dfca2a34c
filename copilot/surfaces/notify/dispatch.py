"""From the journal to the channels: decide who is told, write it down, send it, and try again.

`NoticeRouter` reads the journal from where it left off and writes notices; `NoticeCourier` sends
those of one target, one after the other. Either may be killed at any instruction: what was decided
is decided once, and what was written is sent, again where its end was not seen, with the same key.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence

from copilot.case.briefing import plain
from copilot.ports import NoticeError, NoticeSender
from copilot.store import NoticeState, Store, StoredNotice
from copilot.store.notices import REFUSED, STORM
from copilot.surfaces.notify.routing import AnyChannel, NotifyFile, facets
from copilot.surfaces.notify.wording import moment_of, notice_of, storm_of
from copilot.types.incident import Event, Incident
from copilot.types.notice import LAST_MOMENTS, Moment, Notice
from tools.clusterer.mute import all_match
from tools.types import Timestamp

log = logging.getLogger(__name__)

PAGE = 200
"""Rows of the journal decided in one transaction."""

STALE_S = 3600.0
"""A change that was written so long ago, while nothing was told, is told no more."""

STORM_GATHER_S = 5.0
"""How long the first message of a storm waits for the rest of it."""

PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
"""Before a target is tried again: doubled each time up to the longest."""

LONGEST_WAIT_S = 3600.0
"""Longest pause that a channel may ask for."""

_REASON = 200
_JITTER = random.Random()
"""Of its own: a thread must not draw from the generator that others seed."""


class NoticeRouter:
    """Decides for each row of the journal which targets are told; one process of several does."""

    def __init__(
        self,
        store: Store,
        file: NotifyFile,
        now: Callable[[], Timestamp],
        wall: Callable[[], Timestamp],
        base: str = "",
    ) -> None:
        self._store = store
        self._file = file
        self._now, self._wall = now, wall
        self._base = base

    def route(self) -> int:
        """Decide on the next rows; returns how many those were."""
        notices = self._store.notices
        before = notices.cursor()
        if before is None:
            # What happened before anybody was to be told is told to nobody.
            notices.move(None, self._store.journal.last())
            return 0
        events = self._store.journal.events(after=before, limit=PAGE)
        if not events:
            return 0
        with self._store.transaction():
            notices.move(before, events[-1].seq)
            storms: dict[str, tuple[str, Event]] = {}
            for event in events:
                self._decide(event, storms)
            for target, (storm, event) in storms.items():
                self._count(target, storm, event)
        return len(events)

    def _decide(self, event: Event, storms: dict[str, tuple[str, Event]]) -> None:
        incident = self._store.incidents.get(event.incident_id) if event.incident_id else None
        moment = moment_of(event, incident) if incident else None
        if incident is None or moment is None or self._now() - event.at > STALE_S:
            return
        alerts = self._store.alerts.of(incident.id)
        known = facets(incident, alerts)
        routed = self._file.decide(known, moment, self._wall()).told
        notice: Notice | None = None
        for channel in self._file.targets:
            mine = self._store.notices.of(incident.id, channel.name)
            why = routed.get(channel.name) or self._goes_on(channel, moment, mine)
            if not why:
                continue
            notice = notice or self._said(event, moment, incident, len(alerts))
            if mine and _says_nothing_new(notice, mine[-1].notice):
                continue
            going_on = storms.get(channel.name, ("", event))[0]
            storm = self._storm_of(channel, event, mine, going_on)
            if storm:
                self._add(channel, notice, "counted", self._wall(), storm)
                storms[channel.name] = storm, event
            else:
                self._add(channel, notice, "pending", self._due(channel, notice, known), why)

    def _said(self, event: Event, moment: Moment, incident: Incident, alerts: int) -> Notice:
        passed: list[tuple[Timestamp, Moment]] = []
        for one in self._store.journal.events(incident.id):
            was = moment_of(one, incident) if one.seq <= event.seq else None
            if was is not None and (not passed or passed[-1][1] != was):
                passed.append((one.at, was))
        return notice_of(event, moment, incident, alerts, passed, self._base)

    def _goes_on(self, channel: AnyChannel, moment: Moment, mine: Sequence[StoredNotice]) -> str:
        """Who was told that it began is told how it goes on, where the route tells such moments."""
        if not any(one.status in ("sent", "pending", "counted") for one in mine):
            return ""
        mine_too = [one for one in self._file.routes if channel.name in one.to]
        told = any(not one.moments or moment in one.moments for one in mine_too)
        return "told of it before" if told else ""

    def _storm_of(
        self, channel: AnyChannel, event: Event, mine: Sequence[StoredNotice], going_on: str
    ) -> str:
        """The storm that the incident is counted in; empty where it is told by itself."""
        joined = next((one.reason for one in mine if one.status == "counted"), "")
        if joined or mine or channel.each_change:
            return joined
        limit = self._file.storm
        number, storm = self._store.notices.recent(channel.name, self._wall() - limit.within_s)
        if going_on or storm:
            return going_on or storm
        return f"{STORM}{event.seq}" if number >= limit.incidents else ""

    def _count(self, target: str, storm: str, event: Event) -> None:
        """Bring the message of a storm up to date, no sooner than it may be."""
        channel = self._file.target(target)
        rows = self._store.notices.counted(target, storm)
        if channel is None or not rows:
            return
        sent = [one for one in self._store.notices.of(storm, target) if one.status == "sent"]
        due = self._wall() + STORM_GATHER_S
        if sent:
            due = max(due, sent[-1].changed_at + self._file.storm.every_s)
        self._add(channel, storm_of(storm, rows, event, self._base), "pending", due, "a storm")

    def _due(
        self, channel: AnyChannel, notice: Notice, known: Sequence[Mapping[str, str]]
    ) -> Timestamp:
        now = self._wall()
        quiet = channel.quiet
        ends = quiet.closes_at(now) if quiet else None
        if quiet is not None and ends is not None:
            loud = any(quiet.but and all_match(quiet.but, {**one}) for one in known)
            if not loud:
                return ends
        waits = notice.moment == "opened" and not channel.each_change
        return now + (self._file.wait_s if waits else 0.0)

    def _add(
        self, channel: AnyChannel, notice: Notice, status: NoticeState, due: Timestamp, reason: str
    ) -> None:
        now = self._wall()
        row = StoredNotice(
            key=f"{channel.name}/{notice.incident_id}/{notice.seq}",
            target=channel.name,
            notice=notice,
            status=status,
            due_at=due,
            created_at=now,
            changed_at=now,
            reason=reason,
        )
        self._store.notices.add(row)


def _says_nothing_new(notice: Notice, last: Notice) -> bool:
    """A run that hands over says so twice in the journal, and a second look may find the same."""
    if notice.moment != last.moment:
        return False
    same = (notice.heads, notice.lines) == (last.heads, last.lines)
    return same or notice.moment in LAST_MOMENTS


class NoticeCourier:
    """Sends what one target has to be told."""

    def __init__(
        self,
        store: Store,
        channel: AnyChannel,
        sender: NoticeSender,
        give_up_s: float,
        wall: Callable[[], Timestamp],
        chance: Callable[[], float] = _JITTER.random,
    ) -> None:
        self._notices, self._transaction = store.notices, store.transaction
        self._redacted = store.redactor.text
        self._channel = channel
        self._sender = sender
        self._give_up_s = give_up_s
        self._wall, self._chance = wall, chance
        self._rests_until = 0.0
        self._complaint = ""

    def deliver(self) -> bool:
        """Send the oldest that is due; False where there is none, or the target is left alone."""
        now = self._wall()
        if now < self._rests_until:
            return False
        due = self._notices.due(self._channel.name, now)
        if not due:
            return False
        row, *late = due
        if not self._channel.each_change:
            of_one = [one for one in due if one.notice.incident_id == row.notice.incident_id]
            *late, row = of_one
            self._mark(late, "overtaken", f"said together with {row.key}")
        why_not = self._why_not(row)
        if why_not:
            self._mark([row], "dropped", why_not)
        else:
            self._send(row)
        return True

    def _why_not(self, row: StoredNotice) -> str:
        """Why it is not sent; empty where it is. What can be edited is not counted."""
        if self._channel.each_change:
            return ""
        others = self._notices.of(row.notice.incident_id, row.target)
        sent = [one for one in others if one.status == "sent"]
        if self._notices.card(row.target, row.notice.incident_id):
            return ""
        most = self._channel.most_per_incident
        kept_free = 0 if row.notice.moment in LAST_MOMENTS else 1
        if row.notice.moment != "storm" and len(sent) >= most - kept_free:
            return f"{len(sent)} messages of this incident were sent: most_per_incident is {most}"
        return ""

    def _send(self, row: StoredNotice) -> None:
        attempt = self._notices.begin(row.key, self._wall())
        before = self._notices.card(row.target, row.notice.incident_id)
        try:
            reference = self._sender.send(row.notice, row.key, before)
        except NoticeError as error:
            self._refused(row, attempt, error)
            return
        with self._transaction():
            self._mark([row], "sent", row.reason)
            if reference and reference != before:
                self._notices.keep_card(row.target, row.notice.incident_id, reference)
        if self._complaint:
            log.warning("target %r is reached again", row.target)
            self._complaint = ""

    def _refused(self, row: StoredNotice, attempt: int, error: NoticeError) -> None:
        now = self._wall()
        problem = plain(self._redacted(error.problem), _REASON)
        if error.fault == "message" or now - row.due_at > self._give_up_s:
            self._mark([row], "failed", problem)
        else:
            longest = min(PAUSE_S * 2.0 ** min(attempt - 1, 20), LONGEST_PAUSE_S)
            pause = LONGEST_PAUSE_S if error.fault == "target" else longest
            pause *= 1.0 - 0.25 * self._chance()
            self._rests_until = now + max(pause, min(error.wait_s, LONGEST_WAIT_S))
            self._mark([row], "pending", f"{REFUSED}{problem}")
        if problem != self._complaint:
            log.warning("target %r does not take notices: %s", row.target, problem)
        self._complaint = problem

    def _mark(self, rows: Sequence[StoredNotice], status: NoticeState, reason: str) -> None:
        if rows:
            keys = tuple(one.key for one in rows)
            self._notices.mark(keys, status, self._wall(), reason)


class Wakeup:
    """Lets couriers sleep until something was decided, or for a while."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rounds = 0

    def ring(self) -> None:
        """Something was decided."""
        with self._condition:
            self._rounds += 1
            self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Sleep until the next ring, for so long at most."""
        with self._condition:
            before = self._rounds
            self._condition.wait_for(lambda: self._rounds != before, seconds)
