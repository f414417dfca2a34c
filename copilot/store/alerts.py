"""Accepted alerts: written before they are answered for, each with what became of it."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, or_, select, update

from copilot.store.alert_leases import renew
from copilot.store.database import Database, GroupCommit
from copilot.store.tables import alerts, incidents
from copilot.types.incident import CLOSED
from tools.clusterer import DECLARED_RULE, SUPPRESSED, Action, Decision
from tools.types import Alert, Timestamp

_CHUNK = 500
_BEGUN = ("firing", "no_data")
_Identity = tuple[str, float, str]


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
            return tuple(stored_alert(row) for row in connection.execute(query))

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
        rows = [
            {
                "row_key": a.key,
                "row_incident": a.incident_id,
                "row_action": a.action,
                "row_reason": a.reason,
            }
            for a in assignments
        ]
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def adopt(
        self, fingerprints: Sequence[str], since: Timestamp, incident_id: str, now: Timestamp
    ) -> None:
        """Give alerts that were held, and turned out to belong to an incident, to it."""
        with self._database.write() as connection:
            for start in range(0, len(fingerprints), _CHUNK):
                held = (
                    alerts.c.fingerprint.in_(fingerprints[start : start + _CHUNK]),
                    alerts.c.action == "noise",
                    alerts.c.incident_id.is_(None),
                    alerts.c.starts_at >= since,
                )
                reason = "held until its group became strange"
                values = {"incident_id": incident_id, "action": "attached", "reason": reason}
                connection.execute(update(alerts).where(*held).values(**values, decided_at=now))

    def move(self, decisions: Sequence[Decision], now: Timestamp) -> tuple[str, ...]:
        """Give alerts of incidents that go on to another incident; the incidents they left.

        The alert that opened an incident stays: an incident without alerts explains nothing.
        """
        left: dict[str, None] = {}
        going = select(incidents.c.id).where(incidents.c.status.not_in(CLOSED))
        with self._database.write() as connection:
            for decision in decisions:
                here = (
                    alerts.c.fingerprint == decision.fingerprint,
                    alerts.c.incident_id.in_(going),
                    alerts.c.incident_id != decision.group_id,
                )
                found = select(alerts.c.incident_id, alerts.c.action).where(*here)
                rows = list(connection.execute(found))
                if not rows or any(action == "opened" for _, action in rows):
                    continue
                left |= dict.fromkeys(incident_id for incident_id, _ in rows)
                statement = (
                    update(alerts)
                    .where(*here)
                    .values(
                        incident_id=decision.group_id,
                        action=decision.action,
                        reason=decision.reason,
                        decided_at=now,
                    )
                )
                connection.execute(statement)
        return tuple(left)

    def of(self, incident_id: str) -> tuple[Alert, ...]:
        """The alerts that count for the incident, in order of arrival; suppressed ones do not."""
        decided = self.decisions(incident_id)
        return tuple(row.alert for row in decided if row.action not in SUPPRESSED)

    def firing(self, fingerprint: str) -> bool:
        """Whether the last thing heard of a fingerprint is that it fires."""
        with self._database.read() as connection:
            last, _ = _known(connection, {fingerprint})
        return fingerprint in last and last[fingerprint].status in _BEGUN

    def give(self, incident_id: str, home: str, now: Timestamp) -> None:
        """Give all alerts of an incident to another one."""
        with self._database.write() as connection:
            connection.execute(
                update(alerts)
                .where(alerts.c.incident_id == incident_id)
                .values(incident_id=home, reason=f"merged from {incident_id}", decided_at=now)
            )
            connection.execute(
                update(alerts)
                .where(alerts.c.incident_id == home, alerts.c.action == "opened")
                .where(alerts.c.reason == f"merged from {incident_id}")
                .values(action="attached")
            )

    def restarts(self, incident_id: str) -> tuple[Alert, ...]:
        """Alerts of the incident that fired again and again, one for each start that was held."""
        return tuple(r.alert for r in self.decisions(incident_id) if r.action == "flapping")

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
        statement = (
            self._database.insert(alerts)
            .on_conflict_do_nothing(index_elements=["fingerprint", "starts_at", "status"])
            .returning(alerts.c.key, alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status)
        )
        dated = _dated(connection, delivered, now)
        distinct = {_identity(alert): (alert, position) for position, alert in enumerate(dated)}
        rows = [
            {
                "fingerprint": alert.fingerprint,
                "starts_at": alert.starts_at,
                "status": alert.status,
                "accepted_at": now,
                "document": documents[position]
                if alert is delivered[position]
                else alert.model_dump_json(),
            }
            for alert, position in distinct.values()
        ]
        stored = [
            StoredAlert(key, distinct[(fingerprint, starts_at, status)][0], now)
            for key, fingerprint, starts_at, status in connection.execute(statement, rows)
        ]
        renew(self._database, connection, dated, now)
        known = {_identity(row.alert) for row in stored}
        _reconsider(connection, [one for one in distinct if one not in known])
        return sorted(stored, key=lambda row: row.key)


def _identity(alert: Alert) -> _Identity:
    return (alert.fingerprint, alert.starts_at, alert.status)


def _reconsider(connection: Connection, repeated: Sequence[_Identity]) -> None:
    """What was muted, still fires and is delivered again is decided anew: silences end.

    So do the alerts whose declared rule inhibits others.
    """
    wanted = set(repeated)
    columns = (alerts.c.key, alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status)
    for chunk in _chunks(sorted({fingerprint for fingerprint, _, _ in repeated})):
        query = select(*columns).where(
            alerts.c.fingerprint.in_(chunk),
            or_(_muted(), alerts.c.status == "resolved"),
        )
        rows = connection.execute(query).all()
        over = {(fingerprint, at) for _, fingerprint, at, status in rows if status == "resolved"}
        again = [
            key
            for key, fingerprint, at, status in rows
            if status != "resolved"
            and (fingerprint, at, status) in wanted
            and (fingerprint, at) not in over
        ]
        if again:
            undecided = update(alerts).where(alerts.c.key.in_(again))
            connection.execute(undecided.values(action="", reason=""))


def _muted() -> ColumnElement[bool]:
    declared = alerts.c.reason.startswith(DECLARED_RULE, autoescape=True)
    return or_(alerts.c.action == "silenced", and_(alerts.c.action == "inhibited", declared))


def _dated(connection: Connection, delivered: Sequence[Alert], now: Timestamp) -> list[Alert]:
    """Give alerts without a start of their own the start of the one they continue."""
    vague = [alert for alert in delivered if alert.starts_at == now or alert.status not in _BEGUN]
    if not vague:
        return list(delivered)
    last, started = _known(connection, {alert.fingerprint for alert in vague})
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


def _known(
    connection: Connection, fingerprints: Set[str]
) -> tuple[dict[str, _Open], set[tuple[str, Timestamp]]]:
    """The last row of each fingerprint, and every start that is known of one."""
    last: dict[str, _Open] = {}
    started: set[tuple[str, Timestamp]] = set()
    columns = (alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status, incidents.c.status)
    joined = alerts.outerjoin(incidents, alerts.c.incident_id == incidents.c.id)
    for chunk in _chunks(sorted(fingerprints)):
        query = (
            select(*columns)
            .select_from(joined)
            .where(alerts.c.fingerprint.in_(chunk))
            .order_by(alerts.c.key)
        )
        for fingerprint, starts_at, status, incident_status in connection.execute(query):
            started.add((fingerprint, starts_at))
            last.pop(fingerprint, None)
            if incident_status not in CLOSED:
                last[fingerprint] = _Open(starts_at, status)
    return last, started


def _chunks(items: list[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def stored_alert(row: Row[tuple[object, ...]]) -> StoredAlert:
    """A row of the table as a value."""
    columns = row._mapping
    return StoredAlert(
        key=columns["key"],
        alert=Alert.model_validate_json(columns["document"]),
        accepted_at=columns["accepted_at"],
        incident_id=columns["incident_id"],
        action=columns["action"],
        reason=columns["reason"],
    )
