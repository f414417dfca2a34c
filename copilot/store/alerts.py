"""Accepted alerts: written before they are answered for, each with what became of it."""

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from copilot.store.alert_leases import renew
from copilot.store.database import Database
from copilot.store.group_commit import GroupCommit
from copilot.store.tables import alerts, incidents
from copilot.types.incident import CLOSED
from tools.clusterer import DECLARED_RULE, SUPPRESSED, Action
from tools.types import Alert, Timestamp

_CHUNK = 500
_DECIDED = select(alerts).where(alerts.c.action != "").order_by(alerts.c.key)
_OF_ONE = _DECIDED.where(alerts.c.incident_id == bindparam("this"))
_LAST = select(func.max(alerts.c.key))
_WHICH = (alerts.c.key, alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status)
_NEW = select(*_WHICH).where(alerts.c.key > bindparam("last")).order_by(alerts.c.key)
_DECLARED = alerts.c.reason.startswith(DECLARED_RULE, autoescape=True)
_MUTED = or_(alerts.c.action == "silenced", and_(alerts.c.action == "inhibited", _DECLARED))
_SINCE = select(*_WHICH, _MUTED.label("muted")).where(
    alerts.c.fingerprint.in_(bindparam("these", expanding=True)),
    alerts.c.starts_at >= bindparam("since"),
)
_GIVEN = ("fingerprint", "starts_at", "status", "accepted_at", "document", "action", "reason")
_BEGUN = ("firing", "no_data")
_Identity = tuple[str, float, str]
_Start = tuple[str, float]
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An accepted alert; `action` is empty until triage decided, then `reason` says why."""

    key: int
    alert: Alert
    accepted_at: Timestamp
    incident_id: str | None = None
    action: Action | Literal[""] = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What triage decided on one stored alert: the incident it belongs to, if any, and why."""

    key: int
    incident_id: str | None
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class AcceptedAlerts:
    """What one delivery brought: alerts not seen before, ends of alerts, and repetitions."""

    new: tuple[StoredAlert, ...] = ()
    repeated: int = 0
    resolved: tuple[StoredAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class _Open:
    """The newest row of a fingerprint, unless its incident is closed."""

    starts_at: Timestamp
    status: str


class Alerts:
    """The inbox: idempotent on (fingerprint, starts_at, status)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grouped = GroupCommit[list[StoredAlert]](database)

    def accept(self, delivered: Sequence[Alert], now: Timestamp) -> AcceptedAlerts:
        """Write the alerts that are not known yet, all or none; they are on disk on return.

        `starts_at == now` means that the sender gave no start: such an alert continues the last
        one of its fingerprint, unless that one ended or its incident is closed. An end or an
        acknowledgement whose start is not known applies to the last alert of its fingerprint.
        """
        if not delivered:
            return AcceptedAlerts()
        # Serialized here, so that an alert no JSON can hold fails before it meets the database.
        documents = [alert.model_dump_json() for alert in delivered]
        rows = self._grouped.write(lambda c: self._write(c, delivered, documents, now))
        return AcceptedAlerts(
            new=tuple(row for row in rows if row.alert.status != "resolved"),
            repeated=len(delivered) - len(rows),
            resolved=tuple(row for row in rows if row.alert.status == "resolved"),
        )

    def unassigned(self, limit: int = 1000) -> tuple[StoredAlert, ...]:
        """Alerts and ends of alerts on which nothing was decided yet, in order of arrival."""
        query = select(alerts).where(alerts.c.action == "").order_by(alerts.c.key).limit(limit)
        with self._database.read() as connection:
            return tuple(map(stored_alert, connection.execute(query)))

    def undecided(self, now: Timestamp) -> tuple[int, float]:
        """How many alerts wait for a decision, and for how long the first has."""
        query = select(func.count(), func.min(alerts.c.accepted_at)).where(alerts.c.action == "")
        with self._database.read() as connection:
            number, since = connection.execute(query).one()
        return number, 0.0 if since is None else max(0.0, now - since)

    def assign(
        self,
        keys: Iterable[int],
        incident_id: str | None,
        reason: str,
        action: Action,
        now: Timestamp,
    ) -> None:
        """Record one decision on several alerts; a later decision replaces an earlier one."""
        self.assign_all([Assignment(key, incident_id, action, reason) for key in keys], now)

    def assign_all(self, assignments: Sequence[Assignment], now: Timestamp) -> None:
        """Record a decision for each alert, all or none."""
        if not assignments:
            return
        statement = (
            update(alerts)
            .where(alerts.c.key == bindparam("row_key"))
            .values(
                incident_id=bindparam("row_incident"),
                action=bindparam("row_action"),
                reason=bindparam("row_reason"),
                decided_at=now,
            )
        )
        names = ("row_key", "row_incident", "row_action", "row_reason")
        rows = [
            dict(zip(names, (a.key, a.incident_id, a.action, a.reason), strict=True))
            for a in assignments
        ]
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def of(self, incident_id: str) -> tuple[Alert, ...]:
        """The alerts that count for the incident, in order of arrival; suppressed ones do not."""
        return self.with_restarts(incident_id)[0]

    def with_restarts(self, incident_id: str) -> tuple[tuple[Alert, ...], tuple[Alert, ...]]:
        """What `of` returns, and those that fired again and again: one for each start held."""
        with self._database.read() as connection:
            decided = [*map(stored_alert, connection.execute(_OF_ONE, {"this": incident_id}))]
        counted = tuple(row.alert for row in decided if row.action not in SUPPRESSED)
        return counted, tuple(row.alert for row in decided if row.action == "flapping")

    def all_ended(self, incident_id: str) -> bool:
        """Whether each firing that counts for the incident has its resolution; not without any."""
        columns = (alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status)
        counts = (alerts.c.incident_id == incident_id, alerts.c.action.not_in(("", *SUPPRESSED)))
        firing: set[tuple[str, Timestamp]] = set()
        ended: set[tuple[str, Timestamp]] = set()
        with self._database.read() as connection:
            for fingerprint, at, status in connection.execute(select(*columns).where(*counts)):
                (ended if status == "resolved" else firing).add((fingerprint, at))
        return bool(firing) and firing <= ended

    def firing(self, fingerprint: str) -> bool:
        """Whether the last thing heard of a fingerprint is that it fires."""
        with self._database.read() as connection:
            last = _last(connection, {fingerprint})
        return fingerprint in last and last[fingerprint].status in _BEGUN

    def decisions(
        self, incident_id: str | None, limit: int | None = None, *, newest_first: bool = False
    ) -> tuple[StoredAlert, ...]:
        """What was decided on the alerts of an incident; `None`: on those that belong to none."""
        query = (
            select(alerts)
            .where(alerts.c.incident_id == incident_id, alerts.c.action != "")
            .order_by(alerts.c.key.desc() if newest_first else alerts.c.key)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(stored_alert(row) for row in connection.execute(query))

    def _write(
        self,
        connection: Connection,
        delivered: Sequence[Alert],
        documents: Sequence[str],
        now: Timestamp,
    ) -> list[StoredAlert]:
        dated = _dated(connection, delivered, now)
        distinct = {_identity(alert): (alert, position) for position, alert in enumerate(dated)}
        last = connection.execute(_LAST).scalar() or 0
        rows = [
            (
                *identity,
                now,
                documents[position] if alert is delivered[position] else alert.model_dump_json(),
                "",
                "",
            )
            for identity, (alert, position) in distinct.items()
        ]
        self._database.insert_many(connection, alerts, _GIVEN, rows, "DO NOTHING")
        # Nobody else writes meanwhile: what has a higher key is new, and of this delivery.
        new = connection.execute(_NEW, {"last": last}).all()
        stored = [
            StoredAlert(key, distinct[(one, at, status)][0], now) for key, one, at, status in new
        ]
        renew(self._database, connection, dated, now)
        known = {_identity(row.alert) for row in stored}
        _reconsider(connection, [one for one in distinct if one not in known])
        return stored


def _identity(alert: Alert) -> _Identity:
    return (alert.fingerprint, alert.starts_at, alert.status)


def _reconsider(connection: Connection, repeated: Sequence[_Identity]) -> None:
    """What was muted, still fires and is delivered again is decided anew: silences end.

    So do the alerts whose declared rule inhibits others.
    """
    rows = list(_rows_at(connection, {(fingerprint, at) for fingerprint, at, _ in repeated}))
    wanted = set(repeated)
    over = {(fingerprint, at) for _, fingerprint, at, status, _ in rows if status == "resolved"}
    again = [
        key
        for key, fingerprint, at, status, muted in rows
        if muted
        and status != "resolved"
        and (fingerprint, at, status) in wanted
        and (fingerprint, at) not in over
    ]
    for chunk in _chunks(again):
        undecided = update(alerts).where(alerts.c.key.in_(chunk))
        connection.execute(undecided.values(action="", reason=""))


def _dated(connection: Connection, delivered: Sequence[Alert], now: Timestamp) -> list[Alert]:
    """Give alerts without a start of their own the start of the one they continue."""
    vague = [alert for alert in delivered if alert.starts_at == now or alert.status not in _BEGUN]
    if not vague:
        return list(delivered)
    last = _last(connection, {alert.fingerprint for alert in vague})
    asked = {(a.fingerprint, a.starts_at) for a in vague if a.status not in _BEGUN}
    started = {(row.fingerprint, row.starts_at) for row in _rows_at(connection, asked)}
    started |= {(a.fingerprint, a.starts_at) for a in delivered if a.status in _BEGUN}
    return [_continued(alert, last.get(alert.fingerprint), started, now) for alert in delivered]


def _continued(
    alert: Alert, last: _Open | None, started: Set[tuple[str, Timestamp]], now: Timestamp
) -> Alert:
    if last is None:
        return alert
    if alert.status in _BEGUN:
        continues = alert.starts_at == now and last.status != "resolved"
    else:
        continues = (alert.fingerprint, alert.starts_at) not in started
    if not continues:
        return alert
    return alert.model_copy(update={"starts_at": last.starts_at})


def _last(connection: Connection, fingerprints: Iterable[str]) -> dict[str, _Open]:
    """The newest row of each fingerprint, unless its incident is closed.

    However often it fired before: only keys of the index are looked at for that.
    """
    found: dict[str, _Open] = {}
    columns = (alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status, incidents.c.status)
    joined = alerts.outerjoin(incidents, alerts.c.incident_id == incidents.c.id)
    for chunk in _chunks(sorted(fingerprints)):
        of_chunk = alerts.c.fingerprint.in_(chunk)
        newest = select(func.max(alerts.c.key)).where(of_chunk).group_by(alerts.c.fingerprint)
        query = select(*columns).select_from(joined).where(alerts.c.key.in_(newest))
        for fingerprint, starts_at, status, incident_status in connection.execute(query):
            if incident_status not in CLOSED:
                found[fingerprint] = _Open(starts_at, status)
    return found


def _rows_at(connection: Connection, starts: Collection[_Start]) -> Iterator[Any]:
    """What is known of firings that began then: their beginnings and their ends.

    Of what fired before the first of them nothing is read. A list of pairs would be exact, but
    SQLite answers it by reading the whole table.
    """
    since = min((at for _, at in starts), default=0.0)
    for chunk in _chunks(sorted({fingerprint for fingerprint, _ in starts})):
        for row in connection.execute(_SINCE, {"these": chunk, "since": since}).all():
            if (row[1], row[2]) in starts:
                yield row


def _chunks(items: list[ItemT]) -> Iterator[list[ItemT]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


# Looks at an incident read its alerts again and again. Reading one takes 8 µs and keeping it 4 kB
# (tracemalloc, alerts of `evals soak`): so few that what fires in a week does not stay in memory.
_read_again, _KEPT_CHARS = lru_cache(2_048)(Alert.model_validate_json), 2048


def stored_alert(row: Row[tuple[object, ...]]) -> StoredAlert:
    """A row of the table as a value."""
    columns = row._mapping
    document: str = columns["document"]
    read = _read_again if len(document) <= _KEPT_CHARS else Alert.model_validate_json
    return StoredAlert(
        key=columns["key"],
        alert=read(document),
        accepted_at=columns["accepted_at"],
        incident_id=columns["incident_id"],
        action=columns["action"],
        reason=columns["reason"],
    )
