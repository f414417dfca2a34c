"""Accounts of people, tokens of programs, and sessions in browsers; secrets only as digests."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import ColumnElement, RowMapping, delete, select, update

from copilot.store.canonical import document
from copilot.store.database import Database
from copilot.store.tables import access_tokens, accounts, person_sessions, sign_ins
from copilot.types.errors import OperatorError
from copilot.types.people import AccessToken, Account, PersonSession
from tools.playbook_executor import one_person
from tools.types import Timestamp

_DOCUMENT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class NameTakenError(OperatorError):
    """Somebody has the name, or one that looks like it."""


class UnknownAccountError(OperatorError):
    """There is no account, or token, of that name."""


class People:
    """Who is known. Accounts are never deleted: their names stand in the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, account: Account) -> None:
        """Write a new account; raises `NameTakenError`."""
        row = {"id": account.id, **_columns(account)}
        with self._database.write() as connection:
            insert = self._database.insert(accounts).on_conflict_do_nothing()
            if connection.execute(insert, [row]).rowcount != 1:
                raise NameTakenError(
                    f"{account.name!r}, or a name that looks like it, is somebody's already; "
                    "see: copilot users list"
                )

    def put(self, account: Account) -> None:
        """Write what an account is from now on."""
        changed = update(accounts).where(accounts.c.id == account.id).values(**_columns(account))
        with self._database.write() as connection:
            if connection.execute(changed).rowcount != 1:
                raise UnknownAccountError(f"there is no account {account.name!r}")

    def named(self, name: str) -> Account | None:
        """Whose name it is, however it is written."""
        return self._account(accounts.c.key == one_person(name))

    def require(self, name: str) -> Account:
        """As `named`; raises `UnknownAccountError`."""
        found = self.named(name)
        if found is None:
            raise UnknownAccountError(f"nobody is called {name!r}; see: copilot users list")
        return found

    def get(self, account_id: str) -> Account | None:
        """The account of that id."""
        return self._account(accounts.c.id == account_id)

    def of_identity(self, identity: str) -> Account | None:
        """Whom a provider or a proxy knows by it."""
        return self._account(accounts.c.identity == identity)

    def all(self) -> tuple[Account, ...]:
        """Every account, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(accounts.c.document).order_by(accounts.c.key))
            return tuple(Account.model_validate_json(row.document) for row in rows)

    def known(self) -> bool:
        """Whether anybody has an account: from then on nobody is who they merely say."""
        with self._database.read() as connection:
            return connection.execute(select(accounts.c.id).limit(1)).first() is not None

    def _account(self, where: ColumnElement[bool]) -> Account | None:
        with self._database.read() as connection:
            found = connection.execute(select(accounts.c.document).where(where)).scalar()
        return None if found is None else Account.model_validate_json(found)


class AccessTokens:
    """What programs show, and people who logged in on a command line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: AccessToken) -> None:
        """Write a new token."""
        with self._database.write() as connection:
            connection.execute(access_tokens.insert(), [_token_row(token)])

    def of_digest(self, digest: str) -> AccessToken | None:
        """The token with that digest, revoked or not."""
        query = select(access_tokens).where(access_tokens.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _token(row._mapping)

    def all(self) -> Sequence[AccessToken]:
        """Every token, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(access_tokens)).all()
        found = (_token(row._mapping) for row in rows)
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def revoke(self, token_id: str, now: Timestamp) -> AccessToken:
        """End a token; one that is over stays as it is. Raises `UnknownAccountError`."""
        found = next((one for one in self.all() if one.id == token_id), None)
        if found is None:
            raise UnknownAccountError(f"there is no token {token_id!r}; see: copilot tokens list")
        self._set(found, revoked_at=found.revoked_at or now)
        return found

    def used(self, token: AccessToken, now: Timestamp) -> None:
        """Note when it was last used."""
        self._set(token, used_at=now)

    def _set(self, token: AccessToken, **values: Timestamp) -> None:
        where = access_tokens.c.digest == token.digest
        with self._database.write() as connection:
            connection.execute(update(access_tokens).where(where).values(**values))


class PersonSessions:
    """Who is signed in, by the digest of their cookie; and sign-ins on their way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, session: PersonSession, forgotten: Timestamp) -> None:
        """Write a session, and forget those nobody used since `forgotten`."""
        row = {
            "digest": session.digest, "seen_at": session.seen_at, "document": document(session),
        }  # fmt: skip
        with self._database.write() as connection:
            connection.execute(delete(person_sessions).where(person_sessions.c.seen_at < forgotten))
            connection.execute(person_sessions.insert(), [row])

    def get(self, digest: str) -> PersonSession | None:
        """The session of that cookie."""
        query = select(person_sessions).where(person_sessions.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        found = PersonSession.model_validate_json(row.document)
        return found.model_copy(update={"seen_at": row.seen_at})

    def seen(self, digest: str, now: Timestamp) -> None:
        """Note that it goes on."""
        where = person_sessions.c.digest == digest
        with self._database.write() as connection:
            connection.execute(update(person_sessions).where(where).values(seen_at=now))

    def end(self, digest: str) -> None:
        """End it, wherever its cookie went."""
        with self._database.write() as connection:
            connection.execute(delete(person_sessions).where(person_sessions.c.digest == digest))

    def begin(
        self, digest: str, told: Mapping[str, JsonValue], ends_at: Timestamp, now: Timestamp
    ) -> None:
        """Keep what a sign-in on its way must bring back, in the place of what was kept there."""
        kept = _DOCUMENT.dump_json({**told}).decode()
        row = {"digest": digest, "ends_at": ends_at, "document": kept}
        with self._database.write() as connection:
            over = (sign_ins.c.ends_at < now) | (sign_ins.c.digest == digest)
            connection.execute(delete(sign_ins).where(over))
            connection.execute(sign_ins.insert(), [row])

    def look(self, digest: str, now: Timestamp) -> dict[str, JsonValue] | None:
        """What was kept, and stays; None where nothing is, or it came too late."""
        query = select(sign_ins).where(sign_ins.c.digest == digest, sign_ins.c.ends_at >= now)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _DOCUMENT.validate_json(row.document)

    def take(self, digest: str, now: Timestamp) -> dict[str, JsonValue] | None:
        """As `look`, once: of two who take it, one gets it."""
        with self._database.write() as connection:
            found = self.look(digest, now)
            gone = connection.execute(delete(sign_ins).where(sign_ins.c.digest == digest))
        return found if gone.rowcount == 1 else None


def _columns(account: Account) -> dict[str, str | None]:
    return {
        "key": one_person(account.name),
        "identity": account.identity or None,
        "document": document(account),
    }


def _token_row(token: AccessToken) -> dict[str, object]:
    kept = {"digest", "id", "used_at", "revoked_at"}
    return {**token.model_dump(include=kept), "document": document(token)}


def _token(row: RowMapping) -> AccessToken:
    found = AccessToken.model_validate_json(row["document"])
    return found.model_copy(update={"used_at": row["used_at"], "revoked_at": row["revoked_at"]})
