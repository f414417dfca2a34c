"""From the journal to notices: who is told what, decided once, and written before it is sent.

`NoticeRouter` reads the journal from where it left off and writes notices. Killed at any
instruction it goes on: what was decided stands with the place up to which it was decided. An
escalation or a digest waits in the store, and is decided when it is due.
"""

from collections.abc import Callable, Mapping, Sequence

from copilot.case.answers import RESERVED
from copilot.store import NoticeState, Store, StoredNotice
from copilot.store.notices import DIGEST, STORM
from copilot.surfaces.notify.channels import AnyChannel
from copilot.surfaces.notify.routing import NextTold, NotifyFile, facets
from copilot.surfaces.notify.wording import counts_of, moment_of, notice_of
from copilot.types.incident import CLOSED, Event, Incident
from copilot.types.notice import LAST_MOMENTS, Moment, Notice
from copilot.types.time_format import duration
from tools.clusterer.mute import all_match
from tools.types import Plan, Timestamp

PAGE = 200
"""Rows of the journal decided in one transaction."""

STALE_S = 3600.0
"""A change that was written so long ago, while nothing was told, is told no more."""

STORM_GATHER_S = 5.0
"""How long the first message of a storm waits for the rest of it."""

TOLD: frozenset[NoticeState] = frozenset({"sent", "pending", "counted"})
"""States of a notice whose target knows of the incident, or is about to."""

STILL_ASKS: frozenset[Moment] = frozenset({"approved", "taken", "escalated"})
"""Moments that leave a plan waiting: another person is needed, or nobody answered yet."""

BY_PERSON = frozenset(
    {"taken", "passed_on", "approved", "rejected", "edited", "noted", "settled", "confirmed"}
)
"""Rows of the journal that show that a person is at work on an incident."""


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
        decision = self._file.decide(known, moment, self._wall())
        notice: Notice | None = None
        for channel in self._file.targets:
            mine = self._said_to(channel, incident.id)
            why = decision.told.get(channel.name) or self._goes_on(channel, moment, mine)
            if not why:
                continue
            notice = notice or self._said(event, moment, incident, len(alerts))
            if mine and _says_nothing_new(notice, mine[-1].notice):
                continue
            if self._kept(channel, notice, known):
                continue
            going_on = storms.get(channel.name, ("", event))[0]
            storm = self._storm_of(channel, event, mine, going_on)
            if storm:
                self._add(channel, notice, "counted", self._wall(), storm)
                storms[channel.name] = storm, event
            else:
                self._add(channel, notice, "pending", self._due(channel, notice, known), why)
        if notice is not None and moment not in LAST_MOMENTS - {"handed_over", "failed"}:
            self._escalate_later(decision.next_told, notice, known)

    def _said_to(self, channel: AnyChannel, incident_id: str) -> tuple[StoredNotice, ...]:
        """What was decided for a target; an escalation that was not needed told it nothing."""
        rows = self._store.notices.of(incident_id, channel.name)
        unsaid = ("waiting", "dropped")
        return tuple(
            one for one in rows if not (one.status in unsaid and one.notice.moment == "escalated")
        )

    def _kept(
        self, channel: AnyChannel, notice: Notice, known: Sequence[Mapping[str, str]]
    ) -> bool:
        """Keep it for the target's digest, where it is one of those that are."""
        hours = channel.digest
        if hours is None or notice.moment in hours.at_once:
            return False
        if not any(all_match(hours.match, {**one}) for one in known):
            return False
        due = hours.after(self._wall())
        digest = f"{DIGEST}{due:.0f}"
        self._add(channel, notice, "counted", self._wall(), digest)
        waits = counts_of("digest", digest, (), notice.seq, due, self._base)
        self._add(channel, waits, "waiting", due, "its digest", key=f"{channel.name}/{digest}")
        return True

    def _escalate_later(
        self, after: Sequence[NextTold], notice: Notice, known: Sequence[Mapping[str, str]]
    ) -> None:
        """Write down who is told next, once for each time that an incident begins."""
        rows = self._store.notices.of(notice.incident_id) if after else ()
        before = [one for one in rows if one.notice.moment == "escalated"]
        if before and notice.moment != "reopened":
            return
        # What waits since it began before would come too early now.
        waits_still = tuple(one.key for one in before if one.status == "waiting")
        self._store.notices.mark(waits_still, "dropped", self._wall(), "it began again")
        waits = notice.model_copy(update={"moment": "escalated"})
        for one in after:
            channel = self._file.target(one.target)
            first = [found for name in one.first if (found := self._file.target(name))]
            told_at = min(self._due(told, notice, known) for told in first)
            if channel is None:
                continue
            why = f"nobody took it within {duration(one.after_s)}: {one.route}"
            key = f"{channel.name}/{notice.incident_id}/{notice.seq}/{one.after_s:g}"
            self._add(channel, waits, "waiting", told_at + one.after_s, why, key=key)

    def ripen(self) -> int:
        """Decide on what waited until now; returns how many those were."""
        ripe = self._store.notices.ripe(self._wall())
        if not ripe:
            return 0
        with self._store.transaction():
            storms: dict[str, tuple[str, Event]] = {}
            for row in ripe:
                channel = self._file.target(row.target)
                if channel is None:
                    self._decided(row, row.notice, "dropped", "the notify_file has no such target")
                elif row.notice.moment == "digest":
                    self._tell_digest(channel, row)
                else:
                    self._escalate(channel, row, storms)
            for target, (storm, event) in storms.items():
                self._count(target, storm, event)
        return len(ripe)

    def _tell_digest(self, channel: AnyChannel, row: StoredNotice) -> None:
        digest = row.notice.incident_id
        rows = self._store.notices.counted(channel.name, digest)
        said = counts_of("digest", digest, rows, row.notice.seq, self._wall(), self._base)
        self._decided(row, said, "pending", "its digest")

    def _escalate(
        self, channel: AnyChannel, row: StoredNotice, storms: dict[str, tuple[str, Event]]
    ) -> None:
        incident = self._store.incidents.get(row.notice.incident_id)
        events = self._store.journal.events(row.notice.incident_id, limit=10_000)
        why_not = _in_hand(incident, events)
        if incident is None or why_not:
            self._decided(row, row.notice, "dropped", why_not)
            return
        alerts = self._store.alerts.of(incident.id)
        said = self._said(events[-1], "escalated", incident, len(alerts))
        going_on = storms.get(channel.name, ("", events[-1]))[0]
        mine = self._said_to(channel, incident.id)
        storm = self._storm_of(channel, events[-1], mine, going_on)
        if storm:
            self._decided(row, said, "counted", storm)
            storms[channel.name] = storm, events[-1]
        else:
            due = self._due(channel, said, facets(incident, alerts))
            self._decided(row, said, "pending", row.reason, due)

    def _decided(
        self,
        row: StoredNotice,
        notice: Notice,
        status: NoticeState,
        reason: str,
        due: Timestamp | None = None,
    ) -> None:
        now = self._wall()
        changed = {"notice": notice, "status": status, "reason": reason, "created_at": now}
        self._store.notices.decide(
            row.model_copy(update={**changed, "changed_at": now, "due_at": due or now})
        )

    def _said(self, event: Event, moment: Moment, incident: Incident, alerts: int) -> Notice:
        passed: list[tuple[Timestamp, Moment]] = []
        for one in self._store.journal.events(incident.id):
            was = moment_of(one, incident) if one.seq <= event.seq else None
            if was is not None and (not passed or passed[-1][1] != was):
                passed.append((one.at, was))
        waits = self._waiting(incident, moment)
        return notice_of(event, moment, incident, alerts, passed, self._base, waits)

    def _waiting(self, incident: Incident, moment: Moment) -> Plan | None:
        """The plan that a message asks for an answer to."""
        plan = incident.plan
        if plan is None or moment in ("plan", "edited"):
            return plan
        asked = self._store.approvals.get(plan.id)
        waits = asked is not None and asked.status == "pending"
        return plan if waits and moment in STILL_ASKS else None

    def _goes_on(self, channel: AnyChannel, moment: Moment, mine: Sequence[StoredNotice]) -> str:
        """Who was told that it began is told how it goes on, where the route tells such moments."""
        if not any(one.status in TOLD for one in mine):
            return ""
        mine_too = [one for one in self._file.routes if channel.name in one.reaches]
        told = any(not one.moments or moment in one.moments for one in mine_too)
        return "told of it before" if told else ""

    def _storm_of(
        self, channel: AnyChannel, event: Event, mine: Sequence[StoredNotice], going_on: str
    ) -> str:
        """The storm that the incident is counted in; empty where it is told by itself."""
        counted = (one.reason for one in mine if one.status == "counted")
        joined = next((one for one in counted if one.startswith(STORM)), "")
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
        said = counts_of("storm", storm, rows, event.seq, event.at, self._base)
        key = f"{target}/{storm}/{event.seq}.{len(rows)}"
        self._add(channel, said, "pending", due, "a storm", key=key)

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
        self,
        channel: AnyChannel,
        notice: Notice,
        status: NoticeState,
        due: Timestamp,
        reason: str,
        key: str = "",
    ) -> None:
        now = self._wall()
        row = StoredNotice(
            key=key or f"{channel.name}/{notice.incident_id}/{notice.seq}",
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


def _in_hand(incident: Incident | None, events: Sequence[Event]) -> str:
    """Why nobody else has to be told; empty where nobody works on it since it last began."""
    if incident is None:
        return "there is no such incident any more"
    if incident.status in CLOSED:
        return f"it is {incident.status}"
    who = ""
    for event in events:
        if event.kind in ("opened", "reopened"):
            who = ""
        elif event.kind in BY_PERSON and event.by not in RESERVED:
            who = f"in hand: {event.kind.replace('_', ' ')} by {event.by}"
    return who
