"""Silences people declared to us: kept on disk, each change in the journal.

The rules of change are those of prometheus/alertmanager `silence/silence.go`: what was in force
stays as it was, so a change that would rewrite the past ends the silence and makes another one.
"""

from typing import Literal
from uuid import uuid4

from sqlalchemy import RowMapping, delete, func, select

from copilot.store.database import Database, StoreError
from copilot.store.journal import Journal
from copilot.store.tables import silences
from copilot.types.redaction import Redactor
from tools.clusterer import Silence
from tools.types import FrozenModel, Timestamp

RETENTION_S = 120 * 3600.0
"""How long an ended silence can still be looked at; Alertmanager's `--data.retention`."""

SilenceState = Literal["active", "pending", "expired"]


class UnknownSilenceError(StoreError):
    """No silence has that id, or it ended long ago."""


class StoredSilence(FrozenModel):
    """A silence, and when it was last changed."""

    silence: Silence
    updated_at: Timestamp

    def state(self, now: Timestamp) -> SilenceState:
        """Whether it is to come, in force, or over."""
        if now >= self.silence.ends_at:
            return "expired"
        return "pending" if now < self.silence.starts_at else "active"


class Silences:
    """One row per silence; `id` of a silence to set is empty for a new one."""

    def __init__(self, database: Database, journal: Journal, redactor: Redactor) -> None:
        self._database = database
        self._redactor = redactor
        self._journal = journal

    def set(self, wanted: Silence, now: Timestamp) -> StoredSilence:
        """Declare a silence, or change the one of that id; the answer may have another id."""
        wanted = self._redactor.model(wanted)
        with self._database.write():
            before = self.require(wanted.id) if wanted.id else None
            if before is not None and _keeps_the_past(before, wanted, now):
                kept = StoredSilence(silence=wanted, updated_at=now)
                self._write(kept, "silence changed", now)
                return kept
            if before is not None:
                self._end(before, wanted.created_by, now)
            begins = max(wanted.starts_at, now)
            made = wanted.model_copy(update={"id": str(uuid4()), "starts_at": begins})
            kept = StoredSilence(silence=made, updated_at=now)
            self._write(kept, "silence declared", now)
            self._forget(now)
        return kept

    def expire(self, silence_id: str, by: str, now: Timestamp) -> StoredSilence:
        """End a silence now; one that is over stays as it is."""
        with self._database.write():
            return self._end(self.require(silence_id), by, now)

    def get(self, silence_id: str) -> StoredSilence | None:
        """One of them, over or not."""
        query = select(silences).where(silences.c.id == silence_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _kept(row._mapping)

    def require(self, silence_id: str) -> StoredSilence:
        """As `get`; raises `UnknownSilenceError` where there is none."""
        found = self.get(silence_id)
        if found is None:
            raise UnknownSilenceError("silence not found")
        return found

    def all(self) -> tuple[StoredSilence, ...]:
        """Every silence that is kept, over or not, by its end."""
        query = select(silences).order_by(silences.c.ends_at, silences.c.id)
        with self._database.read() as connection:
            return tuple(_kept(row._mapping) for row in connection.execute(query))

    def standing(self, now: Timestamp) -> tuple[Silence, ...]:
        """Those in force or to come."""
        query = select(silences).where(silences.c.ends_at > now).order_by(silences.c.id)
        with self._database.read() as connection:
            return tuple(_kept(row._mapping).silence for row in connection.execute(query))

    def stamp(self) -> tuple[int, Timestamp]:
        """Another value after each change: how many there are, and when the last one changed."""
        query = select(func.count(), func.max(silences.c.updated_at)).select_from(silences)
        with self._database.read() as connection:
            number, latest = connection.execute(query).one()
        return number, latest or 0.0

    def _end(self, kept: StoredSilence, by: str, now: Timestamp) -> StoredSilence:
        if kept.state(now) == "expired":
            return kept
        begun = min(kept.silence.starts_at, now)
        ended = kept.silence.model_copy(update={"starts_at": begun, "ends_at": now})
        over = StoredSilence(silence=ended, updated_at=now)
        self._write(over, "silence expired", now, by=by)
        return over

    def _write(self, kept: StoredSilence, kind: str, now: Timestamp, by: str = "") -> None:
        silence = kept.silence
        row = {
            "id": silence.id,
            "ends_at": silence.ends_at,
            "updated_at": kept.updated_at,
            "document": silence.model_dump_json(),
        }
        statement = self._database.insert(silences)
        changed = {name: statement.excluded[name] for name in row if name != "id"}
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["id"], set_=changed), [row]
            )
            self._journal.append(
                "",
                kind,
                by or silence.created_by or "unnamed",
                {
                    "silence": silence.id,
                    "matchers": [str(matcher) for matcher in silence.matchers],
                    "starts_at": silence.starts_at,
                    "ends_at": silence.ends_at,
                    "created_by": silence.created_by,
                    "comment": silence.comment,
                },
                now,
            )

    def _forget(self, now: Timestamp) -> None:
        with self._database.write() as connection:
            connection.execute(delete(silences).where(silences.c.ends_at < now - RETENTION_S))


def _keeps_the_past(before: StoredSilence, wanted: Silence, now: Timestamp) -> bool:
    """Whether a change leaves what was muted, and what was not, as it was (`canUpdate`)."""
    old, state = before.silence, before.state(now)
    if old.matchers != wanted.matchers or state == "expired":
        return False
    if state == "active":
        # To the second: clients write milliseconds.
        return abs(old.starts_at - wanted.starts_at) < 1 and wanted.ends_at >= now
    return wanted.starts_at >= now


def _kept(row: RowMapping) -> StoredSilence:
    return StoredSilence(
        silence=Silence.model_validate_json(row["document"]), updated_at=row["updated_at"]
    )
