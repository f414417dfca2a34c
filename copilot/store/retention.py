"""Retention: what is over is kept for so long, or in so many bytes; the journal goes to files.

Each step is a transaction of its own, small enough that an alert does not wait for it.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from copilot.store.canonical import canonical
from copilot.store.database import Database
from copilot.store.journal import Journal
from copilot.store.tables import (
    alert_leases,
    alerts,
    approvals,
    conversations,
    incidents,
    journal,
    journal_archives,
    metadata,
    notice_cards,
    notices,
    outbox,
    runs,
    turns,
)
from copilot.types.incident import CLOSED
from tools.types import Timestamp

DAY_S = 86_400.0
_BATCH = 200
_LEAST_DAYS = 1.0
_CITED = re.compile(r"\bE[1-9][0-9]*\b")

PruneReport = dict[str, int]
"""How many rows of which kind were (or would be) taken out."""


class RetentionLimits(NamedTuple):
    """How long what is kept; `0` bytes or days: no limit of that kind."""

    incident_days: float = 90.0
    evidence_days: float = 30.0
    alert_days: float = 14.0
    journal_days: float = 0.0
    most_bytes: int = 0

    def tightened(self) -> "RetentionLimits":
        """Half the days, down to one; the journal is not cut for want of room."""
        return self._replace(
            incident_days=max(_LEAST_DAYS, self.incident_days / 2),
            evidence_days=max(_LEAST_DAYS, self.evidence_days / 2),
            alert_days=max(_LEAST_DAYS, self.alert_days / 2),
        )


class Retention:
    """Takes out of a database what its limits no longer cover."""

    def __init__(self, database: Database, archive: Path) -> None:
        self._database = database
        self._archive = archive
        self._thinned_to, self._thinned_at = -math.inf, -math.inf

    def prune(
        self, limits: RetentionLimits, now: Timestamp, *, dry_run: bool = False
    ) -> PruneReport:
        """Take out what is too old, then more until it fits; `dry_run` only counts."""
        report = self._once(limits, now, dry_run)
        if dry_run:
            return report
        while limits.most_bytes and used_bytes(self._database) > limits.most_bytes:
            tighter = limits.tightened()
            if tighter == limits:
                break
            limits = tighter
            for kind, rows in self._once(limits, now, dry_run).items():
                report[kind] += rows
        self._give_back_pages()
        return report

    def _once(self, limits: RetentionLimits, now: Timestamp, dry_run: bool) -> PruneReport:
        old = _closed_before(now - limits.incident_days * DAY_S)
        lean_before = now - limits.evidence_days * DAY_S
        lean = _closed_before(lean_before)
        lone = _lone_before(now - limits.alert_days * DAY_S, now)
        talked = conversations.c.updated_at < now - limits.incident_days * DAY_S
        journaled = journal.c.at < now - limits.journal_days * DAY_S
        if dry_run:
            counts = {
                "incidents": self._count(incidents, old),
                "evidence": self._count(incidents, and_(lean, ~old)),
                "alerts": self._count(alerts, lone),
                "conversations": self._count(conversations, talked),
            }
            archived = self._count(journal, journaled) if limits.journal_days else 0
            return {**counts, "journal": archived}
        return {
            "incidents": self._in_batches(incidents, old, self._forget),
            "evidence": self._thin(lean, lean_before, now),
            "alerts": self._in_batches(alerts, lone, self._delete(alerts)),
            "conversations": self._in_batches(conversations, talked, self._silence),
            "journal": self._archived(journaled) if limits.journal_days else 0,
        }

    def _count(self, table: Table, where: ColumnElement[bool]) -> int:
        with self._database.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(table).where(where)) or 0)

    def _in_batches(
        self,
        table: Table,
        where: ColumnElement[bool],
        act: Callable[[Connection, Sequence[object]], None],
    ) -> int:
        (key,) = table.primary_key.columns
        taken = 0
        while True:
            with self._database.write() as connection:
                found = connection.scalars(select(key).where(where).limit(_BATCH)).all()
                if not found:
                    return taken
                act(connection, found)
            taken += len(found)

    def _delete(self, table: Table) -> Callable[[Connection, Sequence[object]], None]:
        (key,) = table.primary_key.columns

        def act(connection: Connection, keys: Sequence[object]) -> None:
            connection.execute(delete(table).where(key.in_(keys)))

        return act

    def _forget(self, connection: Connection, ids: Sequence[object]) -> None:
        """Incidents and all that hangs on them; the journal keeps what was done."""
        plans = select(approvals.c.plan_id).where(approvals.c.incident_id.in_(ids))
        for plan in connection.scalars(plans).all():
            done = outbox.c.key.startswith(f"{plan}:", autoescape=True)
            connection.execute(delete(outbox).where(done, outbox.c.finished_at.is_not(None)))
        for table in (alerts, approvals, runs, notices, notice_cards):
            connection.execute(delete(table).where(table.c.incident_id.in_(ids)))
        self._delete(incidents)(connection, ids)

    def _silence(self, connection: Connection, ids: Sequence[object]) -> None:
        connection.execute(delete(turns).where(turns.c.conversation_id.in_(ids)))
        self._delete(conversations)(connection, ids)

    def _thin(self, where: ColumnElement[bool], before: Timestamp, now: Timestamp) -> int:
        """Of old incidents, the telemetry that nothing cites goes.

        Those that were old at the last pass are not read again, but once a day for what was closed
        late: a pass costs what became old since, not all that is kept.
        """
        if not 0.0 <= now - self._thinned_at < DAY_S:
            self._thinned_to, self._thinned_at = -math.inf, now
        where = and_(where, incidents.c.opened_at >= self._thinned_to)
        self._thinned_to = max(self._thinned_to, before)
        thinned, last = 0, ""
        page = select(incidents.c.id, incidents.c.document).order_by(incidents.c.id).limit(_BATCH)
        while True:
            with self._database.write() as connection:
                rows = connection.execute(page.where(where, incidents.c.id > last)).all()
                for row in rows:
                    lean = _without_uncited(row.document)
                    if lean is not None:
                        mine = update(incidents).where(incidents.c.id == row.id)
                        connection.execute(mine.values(document=lean))
                        thinned += 1
            if not rows:
                return thinned
            last = rows[-1].id

    def _archived(self, where: ColumnElement[bool]) -> int:
        """Write the oldest rows to a file, its chain whole; then let the table begin after it."""
        rows = 0
        with self._database.write() as connection:
            last = connection.scalar(select(func.max(journal.c.seq)).where(where))
            if last is None:
                return 0
            first = connection.scalar(select(func.min(journal.c.seq)))
            self._archive.mkdir(parents=True, exist_ok=True)
            path = self._archive / f"journal-{first:012}-{last:012}.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for event in Journal.rows(connection, until=last):
                    file.write(canonical(event.model_dump()) + "\n")
                    rows += 1
            row = {"last_seq": last, "digest": event.digest, "file": path.name, "at": event.at}
            connection.execute(self._database.insert(journal_archives), [row])
            connection.execute(delete(journal).where(journal.c.seq <= last))
        return rows

    def _give_back_pages(self) -> None:
        if self._database.sqlite:
            self._database.outside(
                "PRAGMA incremental_vacuum(10000)", "PRAGMA wal_checkpoint(TRUNCATE)"
            )


def used_bytes(database: Database) -> int:
    """What the store takes, free pages of a file aside."""
    with database.read() as connection:
        if database.sqlite:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            return int((pages - free) * size)
        sizes = (
            "SELECT sum(pg_total_relation_size(to_regclass(name)))"
            " FROM unnest(CAST(:names AS text[])) name"
        )
        names = [table.name for table in metadata.sorted_tables]
        return int(connection.execute(text(sizes), {"names": names}).scalar_one() or 0)


def _closed_before(at: Timestamp) -> ColumnElement[bool]:
    """Over, and nobody works on it, nor waits for a word on one of its steps."""
    busy = exists().where(
        runs.c.incident_id == incidents.c.id, runs.c.status.in_(("accepted", "running"))
    )
    return and_(incidents.c.status.in_(sorted(CLOSED)), incidents.c.opened_at < at, ~busy)


def _lone_before(at: Timestamp, now: Timestamp) -> ColumnElement[bool]:
    """Of no incident, decided on long ago, and not firing under a lease."""
    leased = exists().where(
        alert_leases.c.fingerprint == alerts.c.fingerprint,
        alert_leases.c.starts_at == alerts.c.starts_at,
        or_(alert_leases.c.until.is_(None), alert_leases.c.until > now),
    )
    return and_(
        alerts.c.incident_id.is_(None), alerts.c.action != "", alerts.c.accepted_at < at, ~leased
    )


def _without_uncited(document: str) -> str | None:
    """The incident without evidence that nothing else of it names; None: all of it is named."""
    read = json.loads(document)
    evidence = read.pop("evidence", [])
    cited = set(_CITED.findall(json.dumps(read)))
    kept = [one for one in evidence if one["id"] in cited]
    if len(kept) == len(evidence):
        return None
    return json.dumps({**read, "evidence": kept}, ensure_ascii=False)
