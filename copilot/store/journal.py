"""Journal: append-only, every row chained by SHA-256 to the row before it, with a stored head."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

from pydantic import JsonValue, ValidationError
from sqlalchemy import Connection, RowMapping, insert, select, update

from copilot.store.canonical import canonical, sayable
from copilot.store.database import Database
from copilot.store.tables import journal, journal_archives, journal_head
from copilot.types.incident import Event
from copilot.types.redaction import Redactor
from tools.types import FrozenModel, Timestamp

GENESIS = "0" * 64
"""What the first row has for the digest of the row before it."""

_PAGE = 1000

_HEAD = select(journal_head.c.seq, journal_head.c.digest).with_for_update()
_ADD, _ADVANCE = insert(journal), update(journal_head)


class JournalCheck(FrozenModel):
    """The outcome of a verification; `first_bad_seq` is the first row that cannot be trusted.

    `head` is the digest of the last row: noted elsewhere, it also proves that nobody rewrote the
    whole chain.
    """

    ok: bool
    rows: int
    head: str = GENESIS
    first_bad_seq: int | None = None
    problem: str = ""


class SignedHead(FrozenModel):
    """How far the journal reached at a moment; kept elsewhere, it shows what was rewritten since.

    The signature is the HMAC-SHA256 of the other fields, written canonically, under a key that is
    not in the database: whoever may write the database but not read the key can neither shorten
    the journal nor compute its chain anew without a noted head showing it. Who holds the key, too,
    can; then only a copy out of their reach helps.
    """

    seq: int
    digest: str
    at: Timestamp
    signature: str

    @classmethod
    def sign(cls, seq: int, digest: str, at: Timestamp, key: bytes) -> Self:
        """Sign a head."""
        return cls(seq=seq, digest=digest, at=at, signature=_signature(seq, digest, at, key))

    @classmethod
    def read(cls, text: str) -> tuple[Self, ...]:
        """Read heads, one line of JSON each; raises `ValueError` with the number of a bad line."""
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                found += [cls.model_validate_json(line)] if line.strip() else []
            except ValidationError as error:
                raise ValueError(f"line {number} is no head of a journal") from error
        return tuple(found)

    def holds(self, key: bytes) -> bool:
        """Whether the key signed it and nothing of it was changed."""
        expected = _signature(self.seq, self.digest, self.at, key)
        return hmac.compare_digest(expected, self.signature)


def _signature(seq: int, digest: str, at: Timestamp, key: bytes) -> str:
    said = canonical({"seq": seq, "digest": digest, "at": at})
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


class Journal:
    """What happened, by whom, in one order; rows are added and read, never changed."""

    def __init__(self, database: Database, redactor: Redactor) -> None:
        self._database = database
        self._redactor = redactor

    def append(
        self, incident_id: str, kind: str, by: str, detail: Mapping[str, JsonValue], now: Timestamp
    ) -> Event:
        """Add a row; inside `Store.transaction` it is kept or dropped with the rest."""
        with self._database.write() as connection:
            last, previous = connection.execute(_HEAD).one()
            row: dict[str, JsonValue] = {
                "seq": last + 1,
                "at": float(now),
                "incident_id": sayable(incident_id),
                "kind": sayable(kind),
                "by": sayable(by),
                "detail": self._redactor.document(json.loads(canonical(detail))),
                "previous": previous,
            }
            event = Event.model_validate({**row, "digest": _digest(row)})
            columns = {**event.model_dump(), "detail": canonical(event.detail)}
            connection.execute(_ADD, columns)
            connection.execute(_ADVANCE, {"seq": event.seq, "digest": event.digest})
            return event

    def last(self) -> int:
        """Number of the newest row; 0 where there is none."""
        with self._database.read() as connection:
            return int(connection.execute(select(journal_head.c.seq)).scalar() or 0)

    def mark(self) -> str:
        """Where the journal ends, for `reaches`."""
        with self._database.read() as connection:
            seq, digest = connection.execute(_HEAD).one()
        return f"{seq}:{digest}"

    def reaches(self, mark: str) -> bool:
        """Whether what was written up to a mark is still there; what is archived is."""
        seq, _, digest = mark.partition(":")
        query = select(journal.c.digest).where(journal.c.seq == int(seq))
        with self._database.read() as connection:
            kept = connection.execute(query).scalar()
            return int(seq) <= _archived(connection)[0] if kept is None else kept == digest

    def events(
        self, incident_id: str | None = None, after: int = 0, limit: int = 500
    ) -> tuple[Event, ...]:
        """Rows with a number above `after`, in order."""
        query = select(journal).where(journal.c.seq > after).order_by(journal.c.seq).limit(limit)
        if incident_id is not None:
            query = query.where(journal.c.incident_id == incident_id)
        with self._database.read() as connection:
            return tuple(_event(row._mapping) for row in connection.execute(query))

    def head(self, key: bytes, now: Timestamp) -> SignedHead:
        """How far the journal reaches now, signed, to be kept elsewhere."""
        with self._database.write() as connection:
            row = connection.execute(_HEAD).one()
            # A write, so that all rows up to it are on disk, too, when somebody notes it elsewhere.
            connection.execute(_ADVANCE, {"seq": row.seq, "digest": row.digest})
        return SignedHead.sign(row.seq, row.digest, now, key)

    def verify(self, noted: Iterable[SignedHead] = ()) -> JournalCheck:
        """Recompute the chain: finds rows edited, removed, inserted or moved, and a cut end.

        Against heads `noted` elsewhere it also finds an end that was cut with the stored head set
        back, a table that was emptied, and a chain that was computed anew.
        """
        check = self._verified()
        if not check.ok:
            return check
        told = {head.seq: head for head in sorted(noted, key=lambda head: head.at)}
        with self._database.read() as connection:
            last, digest = _archived(connection)
            query = select(journal.c.seq, journal.c.digest).order_by(journal.c.seq)
            held = {row.seq: row.digest for row in connection.execute(query) if row.seq in told}
        held[last] = digest
        for seq, head in sorted(told.items()):
            # What was archived lies in its file; only its end is known here.
            if seq >= max(last, 1) and held.get(seq) != head.digest:
                what = "is another one: the chain was made anew" if seq in held else "is gone"
                problem = f"row {seq}, the head that was noted at {head.at:.0f}, {what}"
                return check.model_copy(
                    update={"ok": False, "first_bad_seq": seq, "problem": problem}
                )
        return check

    def _verified(self) -> JournalCheck:
        with self._database.read() as connection:
            seq, previous = _archived(connection)
            for row in _all(connection):
                problem = _fault(row, seq + 1, previous)
                if problem:
                    return JournalCheck(
                        ok=False, rows=seq, head=previous, first_bad_seq=seq + 1, problem=problem
                    )
                seq, previous = row["seq"], row["digest"]
            head = connection.execute(select(journal_head.c.seq, journal_head.c.digest)).first()
        if head is None or tuple(head) != (seq, previous):
            said = "is missing" if head is None else f"names row {head.seq}"
            problem = f"the chain ends at row {seq}, but the stored head {said}: rows are missing"
            return JournalCheck(
                ok=False, rows=seq, head=previous, first_bad_seq=seq + 1, problem=problem
            )
        return JournalCheck(ok=True, rows=seq, head=previous)

    @staticmethod
    def rows(connection: Connection, until: int) -> Iterator[Event]:
        """The rows up to a number, in order."""
        for row in _all(connection):
            if row["seq"] > until:
                return
            yield _event(row)

    def export(self, write: Callable[[str], object]) -> int:
        """Hand over every row as one line of JSON; returns how many.

        A line's `digest` is the SHA-256 of the same object without `digest`, written canonically.
        """
        rows = 0
        with self._database.read() as connection:
            for row in _all(connection):
                write(canonical(_event(row).model_dump()) + "\n")
                rows += 1
        return rows


def _archived(connection: Connection) -> tuple[int, str]:
    """The last row that was archived to a file, and its digest."""
    query = select(journal_archives.c.last_seq, journal_archives.c.digest)
    row = connection.execute(query.order_by(journal_archives.c.last_seq.desc()).limit(1)).first()
    return (0, GENESIS) if row is None else (row.last_seq, row.digest)


def _digest(row: Mapping[str, JsonValue]) -> str:
    return hashlib.sha256(canonical(row).encode()).hexdigest()


def _event(row: RowMapping) -> Event:
    return Event.model_validate({**row, "detail": json.loads(row["detail"])})


def _all(connection: Connection) -> Iterator[RowMapping]:
    after = 0
    query = select(journal).order_by(journal.c.seq).limit(_PAGE)
    while page := connection.execute(query.where(journal.c.seq > after)).all():
        for row in page:
            yield row._mapping
        after = page[-1].seq


def _fault(row: RowMapping, expected: int, previous: str) -> str:
    if row["seq"] != expected:
        return f"row {expected} is missing; the next one is {row['seq']}"
    if row["previous"] != previous:
        return (
            f"row {expected} does not follow the row before it: one of them was moved or replaced"
        )
    try:
        detail = json.loads(row["detail"])
    except ValueError:
        return f"row {expected} was edited: its detail is not JSON"
    sealed = {**row, "detail": detail}
    digest = sealed.pop("digest")
    if not isinstance(detail, dict) or canonical(detail) != row["detail"]:
        return f"row {expected} was edited: its detail is not as it was written"
    if _digest(sealed) != digest:
        return f"row {expected} was edited: its content does not give its digest"
    return ""
