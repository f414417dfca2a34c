"""Sends what one target has to be told, one after the other, and tries again.

Killed at any instruction it goes on: what was written is sent, again where its end was not seen,
with the same key.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence

from copilot.case.briefing import plain
from copilot.ports import NoticeError, NoticeSender
from copilot.store import NoticeState, Store, StoredNotice
from copilot.store.notices import REFUSED
from copilot.surfaces.notify.channels import AnyChannel
from copilot.surfaces.notify.pictures import DrawnOf, no_picture
from copilot.types.notice import LAST_MOMENTS, PICTURED, Notice
from tools.types import Timestamp

log = logging.getLogger(__name__)

PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
"""Before a target is tried again: doubled each time up to the longest."""

LONGEST_WAIT_S = 3600.0
"""Longest pause that a channel may ask for."""

_REASON = 200
_JITTER = random.Random()
"""Of its own: a thread must not draw from the generator that others seed."""


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
        pictures: DrawnOf = no_picture,
    ) -> None:
        self._notices, self._transaction = store.notices, store.transaction
        self._redacted = store.redactor.text
        self._channel = channel
        self._sender = sender
        self._give_up_s = give_up_s
        self._wall, self._chance, self._pictures = wall, chance, pictures
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
        if row.notice.moment not in ("storm", "digest") and len(sent) >= most - kept_free:
            return f"{len(sent)} messages of this incident were sent: most_per_incident is {most}"
        return ""

    def _send(self, row: StoredNotice) -> None:
        attempt = self._notices.begin(row.key, self._wall())
        # What another kind of target called a message means nothing to this one.
        kind = f"{self._channel.kind}:"
        known = self._notices.card(row.target, row.notice.incident_id)
        before = known.removeprefix(kind) if known.startswith(kind) else ""
        try:
            reference = self._sender.send(self._pictured(row), row.key, before)
        except NoticeError as error:
            self._refused(row, attempt, error)
            return
        with self._transaction():
            self._mark([row], "sent", row.reason)
            called = f"{kind}{reference}" if reference else ""
            if called != known:
                self._notices.keep_card(row.target, row.notice.incident_id, called)
        if self._complaint:
            log.warning("target %r is reached again", row.target)
            self._complaint = ""

    def _pictured(self, row: StoredNotice) -> Notice:
        """The notice with its picture, from the first moment on at which that tells something."""
        notice = row.notice
        if self._channel.each_change or notice.moment in ("storm", "digest"):
            return notice
        told = self._notices.of(notice.incident_id, row.target)
        before = any(one.status == "sent" and one.notice.moment in PICTURED for one in told)
        if not before and notice.moment not in PICTURED:
            return notice
        picture = self._pictures(notice.incident_id)
        return notice.model_copy(update={"picture": picture, "pictured": before})

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
