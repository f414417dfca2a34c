"""Conversations: a question is written before it is worked on, its answer after; both bounded."""

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, select, update

from copilot.store.canonical import document, sayable
from copilot.store.database import Database, StoreError
from copilot.store.tables import conversations, turns
from copilot.types.conversation import Answer, Conversation, Turn, TurnStatus
from prompts import Language
from tools.types import Timestamp

KEPT = 60
"""Turns of one conversation that are kept whole; older ones become a line of its summary."""

MOST_SUMMARY = 12_000
"""Characters of a summary; the oldest lines go first, and how many went is counted."""


class UnknownConversationError(StoreError):
    """There is no conversation of that id."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"there is no conversation {conversation_id!r}")
        self.conversation_id = conversation_id


class Conversations:
    """Rows of turns; one writer at a time numbers them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, conversation_id: str, incident_id: str, language: Language, now: Timestamp
    ) -> Conversation:
        """Begin a conversation, or go on with the one of that id."""
        row = {
            "id": sayable(conversation_id),
            "incident_id": incident_id,
            "language": language,
            "opened_at": now,
            "updated_at": now,
        }
        insert = self._database.insert(conversations).on_conflict_do_nothing()
        with self._database.write() as connection:
            connection.execute(insert, [row])
            return _require(connection, row["id"])  # type: ignore[arg-type]

    def get(self, conversation_id: str) -> Conversation | None:
        """The conversation without its turns."""
        with self._database.read() as connection:
            return _get(connection, conversation_id)

    def require(self, conversation_id: str) -> Conversation:
        """The conversation; raises `UnknownConversationError` where there is none."""
        with self._database.read() as connection:
            return _require(connection, conversation_id)

    def list(self, limit: int = 50) -> tuple[Conversation, ...]:
        """The conversations last spoken in first."""
        query = select(conversations).order_by(conversations.c.updated_at.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(
                Conversation.model_validate(dict(row._mapping)) for row in connection.execute(query)
            )

    def ask(
        self, conversation_id: str, question: str, incident_id: str, key: str, now: Timestamp
    ) -> Turn:
        """Write a question under the next number; it is on disk on return."""
        highest = select(func.max(turns.c.number)).where(turns.c.conversation_id == conversation_id)
        with self._database.write() as connection:
            folded = _require(connection, conversation_id).folded
            last = connection.execute(highest).scalar()
            turn = Turn(
                conversation_id=conversation_id,
                number=(last or folded) + 1,
                question=sayable(question),
                incident_id=incident_id,
                key=key,
                asked_at=now,
            )
            row = {**turn.model_dump(exclude={"answer"}), "answer": ""}
            connection.execute(turns.insert(), [row])
            _touch(connection, conversation_id, now, incident_id)
            return turn

    def answer(self, turn: Turn, status: TurnStatus, answer: Answer, now: Timestamp) -> Turn:
        """Write what became of a question, and fold the turns that are too old."""
        row = {"status": status, "answered_at": now, "answer": document(answer)}
        with self._database.write() as connection:
            connection.execute(update(turns).where(*_is(turn)).values(row))
            _touch(connection, turn.conversation_id, now)
            _fold(connection, turn.conversation_id)
        return turn.model_copy(update={"status": status, "answered_at": now, "answer": answer})

    def turns(self, conversation_id: str, limit: int = KEPT) -> tuple[Turn, ...]:
        """The newest turns, in order."""
        query = (
            select(turns)
            .where(turns.c.conversation_id == conversation_id)
            .order_by(turns.c.number.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            found = [_turn(row._mapping) for row in connection.execute(query)]
        return tuple(reversed(found))

    def of_key(self, key: str) -> Turn | None:
        """The newest turn of that key."""
        query = select(turns).where(turns.c.key == key).order_by(turns.c.asked_at.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _turn(row._mapping)


def folded_line(turn: Turn) -> str:
    """What is left of an old turn: its question, and what its answer cited."""
    cited = " ".join(item.id for item in turn.answer.evidence[:12]) if turn.answer else ""
    question = " ".join(turn.question.split())[:200]
    return f"{turn.number}. {question} [{cited or turn.status}]"


def _fold(connection: Connection, conversation_id: str) -> None:
    """By rule: beyond `KEPT` turns the oldest become one line each, so the size is bounded."""
    where = turns.c.conversation_id == conversation_id
    query = select(turns).where(where).order_by(turns.c.number.desc()).offset(KEPT)
    old = [_turn(row._mapping) for row in connection.execute(query)]
    if not old:
        return
    kept = _require(connection, conversation_id)
    lines = [line for line in kept.summary.splitlines() if line]
    lines += [folded_line(turn) for turn in reversed(old)]
    while len("\n".join(lines)) > MOST_SUMMARY:
        lines.pop(0)
    last = max(turn.number for turn in old)
    connection.execute(delete(turns).where(where, turns.c.number <= last))
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(summary="\n".join(lines), folded=last)
    )


def _touch(
    connection: Connection, conversation_id: str, now: Timestamp, incident_id: str = ""
) -> None:
    changed: dict[str, object] = {"updated_at": now}
    if incident_id:
        changed["incident_id"] = incident_id
    where = conversations.c.id == conversation_id
    connection.execute(update(conversations).where(where).values(changed))


def _get(connection: Connection, conversation_id: str) -> Conversation | None:
    query = select(conversations).where(conversations.c.id == conversation_id)
    row = connection.execute(query).first()
    return None if row is None else Conversation.model_validate(dict(row._mapping))


def _require(connection: Connection, conversation_id: str) -> Conversation:
    found = _get(connection, conversation_id)
    if found is None:
        raise UnknownConversationError(conversation_id)
    return found


def _is(turn: Turn) -> tuple[ColumnElement[bool], ...]:
    return (
        turns.c.conversation_id == turn.conversation_id,
        turns.c.number == turn.number,
    )


def _turn(row: RowMapping) -> Turn:
    answer = Answer.model_validate_json(row["answer"]) if row["answer"] else None
    return Turn.model_validate({**row, "answer": answer})
