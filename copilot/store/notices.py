"""Notices: what channels are told of incidents, written before it is sent, once per change.

The journal is the outbox that changes are written to, in their own transaction. A cursor says up to
which row of it was decided who is told; it moves in the transaction that writes the notices.
"""

from typing import Literal

from sqlalchemy import ColumnElement, RowMapping, delete, func, select, update

from copilot.store.canonical import document
from copilot.store.database import Database, StoreError
from copilot.store.tables import notice_cards, notice_cursor, notices
from copilot.types.notice import Notice
from tools.types import FrozenModel, Timestamp

NoticeState = Literal[
    "waiting",  # what it says, and whether it is said, is found when it is due
    "pending",  # due at its time, or tried and due again
    "sent",
    "overtaken",  # a later one of the same incident says it, too
    "counted",  # told as one of many, in a storm
    "dropped",  # not sent, for the reason that stands with it
    "failed",  # the channel refuses it, or did not take it in time
]


STORM = "storm-"
"""How the id begins under which a storm is told; no incident's begins so."""

DIGEST = "digest-"
"""How the id begins under which a digest is told; the time it is due follows."""

REFUSED = "refused: "
"""How the reason of a notice begins that was tried, and is due again."""

MOST_COUNTED = 10_000
"""Rows of one storm that are read for its counts."""


class StoredNotice(FrozenModel):
    """A notice for one target, and what became of it; `reason` says why, in English."""

    key: str
    target: str
    notice: Notice
    status: NoticeState
    due_at: Timestamp
    attempts: int = 0
    created_at: Timestamp
    changed_at: Timestamp
    reason: str = ""


class TargetFigures(FrozenModel):
    """How it stands with one target: notices by state; how often and why it refuses one now."""

    target: str
    by_state: dict[str, int]
    failing_since: Timestamp | None = None
    tried: int = 0
    problem: str = ""


class Notices:
    """One row per target and change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cursor(self) -> int | None:
        """The row of the journal up to which it was decided; None: nobody was ever told."""
        with self._database.read() as connection:
            return connection.execute(select(notice_cursor.c.seq)).scalar()

    def move(self, before: int | None, seq: int) -> None:
        """Decide up to `seq`; raises `StoreError` where another process did so meanwhile."""
        with self._database.write() as connection:
            if before is None:
                insert = self._database.insert(notice_cursor).on_conflict_do_nothing()
                moved = connection.execute(insert, [{"id": 1, "seq": seq}])
            else:
                where = notice_cursor.c.seq == before
                moved = connection.execute(update(notice_cursor).where(where).values(seq=seq))
            if moved.rowcount != 1:
                problem = "another process decides who is told; this one leaves it to that"
                raise StoreError(problem, recoverable=True)

    def add(self, row: StoredNotice) -> None:
        """Write a notice; of one key the first stays as it is."""
        insert = self._database.insert(notices).on_conflict_do_nothing()
        with self._database.write() as connection:
            connection.execute(insert, [_columns(row)])

    def of(self, incident_id: str, target: str = "") -> tuple[StoredNotice, ...]:
        """What was or will be said of an incident, oldest first; to everybody, or to one target."""
        where = notices.c.incident_id == incident_id
        return self._listed(where & (notices.c.target == target) if target else where)

    def recent(self, target: str, since: Timestamp) -> tuple[int, str]:
        """How many incidents a target was told of since then, and its storm, if one goes on."""
        mine = (notices.c.target == target) & (notices.c.created_at >= since)
        storms = notices.c.incident_id.startswith(STORM)
        alone = ~storms & (notices.c.status != "waiting") & ~notices.c.reason.startswith(DIGEST)
        alone &= ~notices.c.incident_id.startswith(DIGEST)
        number = select(func.count(notices.c.incident_id.distinct())).where(mine, alone)
        newest = select(notices.c.incident_id).where(mine, storms).order_by(notices.c.seq.desc())
        with self._database.read() as connection:
            count = int(connection.execute(number).scalar_one())
            return count, connection.execute(newest.limit(1)).scalar() or ""

    def counted(self, target: str, storm: str) -> tuple[StoredNotice, ...]:
        """The last notice of every incident that a storm's message stands for."""
        where = (notices.c.target == target) & (notices.c.reason == storm)
        found = self._listed(where & (notices.c.status == "counted"), MOST_COUNTED)
        return tuple({row.notice.incident_id: row for row in found}.values())

    def due(self, target: str, now: Timestamp) -> tuple[StoredNotice, ...]:
        """What a target has to be told by now, oldest first."""
        where = (notices.c.target == target) & (notices.c.status == "pending")
        return self._listed(where & (notices.c.due_at <= now))

    def ripe(self, now: Timestamp) -> tuple[StoredNotice, ...]:
        """What waited, of all targets, and is to be decided by now."""
        return self._listed((notices.c.status == "waiting") & (notices.c.due_at <= now))

    def decide(self, row: StoredNotice) -> bool:
        """Put a decided notice in the place of the one that waited; False where none does."""
        values = _columns(row)
        where = (notices.c.key == row.key) & (notices.c.status == "waiting")
        with self._database.write() as connection:
            return connection.execute(update(notices).where(where).values(values)).rowcount == 1

    def _listed(self, where: ColumnElement[bool], most: int = 1000) -> tuple[StoredNotice, ...]:
        query = select(notices).where(where).order_by(notices.c.seq).limit(most)
        with self._database.read() as connection:
            return tuple(_stored(row._mapping) for row in connection.execute(query))

    def mark(
        self,
        keys: tuple[str, ...],
        status: NoticeState,
        now: Timestamp,
        reason: str = "",
        due_at: Timestamp | None = None,
    ) -> None:
        """Write what became of notices, or when they are due again."""
        values: dict[str, object] = {"status": status, "changed_at": now, "reason": reason}
        if due_at is not None:
            values["due_at"] = due_at
        with self._database.write() as connection:
            connection.execute(update(notices).where(notices.c.key.in_(keys)).values(**values))

    def begin(self, key: str, now: Timestamp) -> int:
        """Write that it is being sent; returns how often that was begun, this time included."""
        values = {"attempts": notices.c.attempts + 1, "changed_at": now}
        with self._database.write() as connection:
            connection.execute(update(notices).where(notices.c.key == key).values(**values))
            query = select(notices.c.attempts).where(notices.c.key == key)
            return int(connection.execute(query).scalar_one())

    def card(self, target: str, incident_id: str) -> str:
        """What the channel calls the message of an incident; empty where it shows none."""
        columns = notice_cards.c
        query = select(columns.reference).where(
            columns.target == target, columns.incident_id == incident_id
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def incident_of(self, target: str, reference: str) -> str:
        """The incident whose message a channel calls so; empty where none is."""
        columns = notice_cards.c
        query = select(columns.incident_id).where(
            columns.target == target, columns.reference == reference
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def keep_card(self, target: str, incident_id: str, reference: str) -> None:
        """Remember the message of an incident."""
        columns = notice_cards.c
        row = {"target": target, "incident_id": incident_id, "reference": reference}
        with self._database.write() as connection:
            old = (columns.target == target) & (columns.incident_id == incident_id)
            connection.execute(delete(notice_cards).where(old))
            connection.execute(self._database.insert(notice_cards), [row])

    def figures(self) -> tuple[TargetFigures, ...]:
        """How it stands with every target that was ever told."""
        columns = notices.c
        counts = select(columns.target, columns.status, func.count().label("number"))
        refused = (
            select(columns.target, columns.reason, columns.attempts, columns.created_at)
            .where(columns.status == "pending", columns.reason.startswith(REFUSED))
            .order_by(columns.changed_at)
        )
        with self._database.read() as connection:
            rows = connection.execute(counts.group_by(columns.target, columns.status)).all()
            failing = {row.target: row for row in connection.execute(refused)}
        by_target: dict[str, dict[str, int]] = {}
        for row in rows:
            by_target.setdefault(row.target, {})[row.status] = row.number
        return tuple(
            TargetFigures(
                target=target,
                by_state=by_state,
                failing_since=last.created_at if (last := failing.get(target)) else None,
                tried=last.attempts if last else 0,
                problem=last.reason.removeprefix(REFUSED) if last else "",
            )
            for target, by_state in sorted(by_target.items())
        )


def _columns(row: StoredNotice) -> dict[str, object]:
    return {
        **row.model_dump(exclude={"notice"}),
        "incident_id": row.notice.incident_id,
        "seq": row.notice.seq,
        "document": document(row.notice),
    }


def _stored(row: RowMapping) -> StoredNotice:
    return StoredNotice(
        notice=Notice.model_validate_json(row["document"]),
        **{name: row[name] for name in StoredNotice.model_fields if name != "notice"},
    )
