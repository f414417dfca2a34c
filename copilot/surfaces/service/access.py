"""Who asks: by a session in a browser, a token of a program, or the token of the data folder.

While nobody has an account, whoever holds that token says who they are; from the first account on
everything asks for a credential, and a name is its holder's alone. docs/decisions/rights.md.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from copilot.case.rights import API_KEY
from copilot.store import Store
from copilot.surfaces.service.outside import OutsidePerson, OutsideWord, admitted
from copilot.surfaces.service.passwords import Passwords
from copilot.surfaces.service.rights import Caller
from copilot.surfaces.service.throttle import Throttle
from copilot.types.people import SCOPES, Account, PersonSession

COOKIE = "copilot_session"

SAID = "said"
"""How a session began whose name somebody merely said: it is over once people have accounts."""

IDLE_S, LONGEST_S = 3600.0, 12 * 3600.0
"""After which a session ends. Source: NIST SP 800-63B-4, level AAL2: an hour without activity and a
day at most; half of that."""

RENEWED_S = 60.0
"""Seconds after which a look at a page, or a use of a token, is written down again."""

BELIEVED_S = 1.0
"""How long a token, and that nobody has an account, is believed without looking again."""


class Access:
    """Knows callers by what they show; `clock` gives Unix seconds, whatever time the engine has.

    `operator` is who owns the data folder, whose token this is. With `outside`, people sign in by
    somebody else's word, and so nobody is who they merely say, even before the first has come.
    """

    def __init__(
        self,
        store: Store,
        token: str,
        api_key: str = "",
        *,
        operator: str = "operator",
        outside: OutsideWord | None = None,
        clock: Callable[[], float] = time.time,
        passwords: Passwords | None = None,
    ) -> None:
        self._store, self._token, self._api_key = store, token, api_key
        # Who removes the token's file ends every session.
        self._key = hashlib.sha256(f"session\0{token}\0{api_key}".encode()).digest()
        self.operator, self.outside, self.clock = operator, outside, clock
        self.passwords = passwords or Passwords()
        self.throttle = Throttle(clock)
        self._looked = (-BELIEVED_S, False)
        self._tokens: dict[str, tuple[float, Caller | None]] = {}
        self._lock = threading.Lock()

    @property
    def store(self) -> Store:
        """Where accounts, tokens and sessions are."""
        return self._store

    @property
    def shut(self) -> bool:
        """Whether people have accounts, so that everything asks for a credential."""
        settled = self.settled_shut
        if settled is None:
            settled = self._store.people.known()
            self._looked = (time.monotonic(), settled)
        return settled

    @property
    def settled_shut(self) -> bool | None:
        """As `shut`, without a look at the store; None where one is due."""
        at, known = self._looked
        # Accounts are never deleted: once known, always known.
        recent = known or time.monotonic() - at < BELIEVED_S
        return True if self.outside else known if recent else None

    def link(self, address: str) -> str:
        """Where the holder of the data folder's token signs in."""
        return f"{address}/console/sign-in?{urlencode({'token': self._token})}"

    def held(self, given: str) -> Caller | None:
        """Who shows the token of the data folder, or the API key."""
        # Both are compared: how long it takes tells nothing.
        token = hmac.compare_digest(given.encode(), self._token.encode())
        key = hmac.compare_digest(given.encode(), self._api_key.encode())
        if token:
            return Caller(
                name=self.operator, role="admin", via="admin.token", declared=not self.shut
            )
        if key and self._api_key:
            return Caller(name=API_KEY, role="admin", via="API key", declared=not self.shut)
        return None

    def bearer(self, given: str) -> Caller | None:
        """Who shows this token of a program or of a login; None where it is nobody's, or over."""
        digest = digest_of(given)
        now = time.monotonic()
        with self._lock:
            at, found = self._tokens.get(digest, (-BELIEVED_S, None))
        if found is None or now - at >= BELIEVED_S:
            found = self._of_token(digest)
            with self._lock:
                if len(self._tokens) > 1000:
                    self._tokens.clear()
                self._tokens[digest] = (now, found)
        return found

    def session(self, cookie: str) -> PersonSession | None:
        """Whose cookie it is; None where it is nobody's, or over."""
        if not cookie or len(cookie) > 200:
            return None
        found = self._store.sessions.get(self.digest(cookie))
        now = self.clock()
        if found is None or now - found.began_at > LONGEST_S or now - found.seen_at > IDLE_S:
            return None
        if found.account_id:
            if self.active(found.account_id, found.generation) is None:
                return None
        elif self.shut and found.via == SAID:
            return None
        if now - found.seen_at >= RENEWED_S:
            self._store.sessions.seen(found.digest, now)
        return found

    def visitor(self, cookie: str, address: str, headers: Mapping[str, str]) -> Caller | None:
        """Who looks with a session, from this connection: a reader of the API."""
        session = self.session(cookie)
        if session is None or not self.fits(session, address, headers):
            return None
        account = self.active(session.account_id, session.generation)
        if session.account_id and account is None:
            return None  # disabled a moment ago
        role = account.role if account else "admin"
        return Caller(name=session.name, role=role, via="session", looks_only=True)

    def by_token(self, name: str, given: str, address: str) -> str | None:
        """The cookie of who holds the data folder's token or the key: under the name they say, or
        the one that is theirs.

        None for a wrong token; raises `TooManyTriesError`.
        """
        self.throttle.check(f"token {address}")
        held = self.held(given)
        if held is None:
            self.throttle.failed(f"token {address}")
            return None
        if held.declared:
            return self.opened(name, None, SAID)
        return self.opened(held.name, None, "link")

    def by_password(self, name: str, password: str, address: str) -> str | None:
        """The cookie of a person; None for a wrong password, name, or a disabled account.

        Raises `TooManyTriesError`.
        """
        keys = (f"name {name.casefold()}", f"address {address}")
        self.throttle.check(*keys)
        account = self._store.people.named(name)
        right = self.passwords.right(password, account.password if account else "")
        if account is None or not right or account.disabled:
            self.throttle.failed(*keys)
            return None
        return self.opened(account.name, account, "password")

    def by_word(self, person: OutsidePerson) -> str:
        """The cookie of who signs in by somebody else's word; raises `SignInRefusedError`."""
        roles = self.outside.roles if self.outside else {}
        account = admitted(self._store, person, roles, self.operator, self.clock())
        return self.opened(account.name, account, person.by)

    def proxied(self, address: str, headers: Mapping[str, str]) -> OutsidePerson | None:
        """Whom the trusted proxy names."""
        proxy = self.outside.proxy if self.outside else None
        return proxy.person(address, headers) if proxy else None

    def behind(self, address: str) -> bool:
        """Whether a connection is the trusted proxy's."""
        proxy = self.outside.proxy if self.outside else None
        return proxy is not None and proxy.trusts(address)

    def origin(self, address: str, headers: Mapping[str, str]) -> str:
        """Where somebody is: at the other end of the connection, or of the trusted proxy's."""
        proxy = self.outside.proxy if self.outside else None
        return proxy.origin(address, headers) if proxy else address

    def fits(self, session: PersonSession, address: str, headers: Mapping[str, str]) -> bool:
        """Whether a session by the proxy's word is still of whom it names."""
        if session.via != "proxy":
            return True
        account, named = self._store.people.get(session.account_id), self.proxied(address, headers)
        return bool(account and named and account.identity == named.identity)

    def opened(self, name: str, account: Account | None, via: str) -> str:
        """The cookie of a new session."""
        cookie, now = secrets.token_urlsafe(32), self.clock()
        session = PersonSession(
            digest=self.digest(cookie),
            name=name,
            account_id=account.id if account else "",
            generation=account.generation if account else 0,
            via=via,
            began_at=now,
            seen_at=now,
        )
        self._store.sessions.open(session, forgotten=now - LONGEST_S)
        return cookie

    def end(self, cookie: str) -> None:
        """End a session, wherever its cookie went."""
        self._store.sessions.end(self.digest(cookie))

    def csrf(self, cookie: str) -> str:
        """What a form of this session carries: no other page knows it."""
        return hmac.new(self._key, f"form {cookie}".encode(), hashlib.sha256).hexdigest()

    def active(self, account_id: str, generation: int) -> Account | None:
        """The account of what was given out under this generation; None where that is over."""
        found = self._store.people.get(account_id) if account_id else None
        if found is None or found.disabled or found.generation != generation:
            return None
        return found

    def _of_token(self, digest: str) -> Caller | None:
        found = self._store.access_tokens.of_digest(digest)
        now = self.clock()
        if found is None or found.revoked_at is not None or (found.ends_at or now) < now:
            return None
        if found.used_at is None or now - found.used_at >= RENEWED_S:
            self._store.access_tokens.used(found, now)
        if not found.account_id:
            return Caller(name=found.name, scopes=found.scopes, via="service token")
        account = self.active(found.account_id, found.generation)
        if account is None:
            return None
        return Caller(name=account.name, role=account.role, via="login")

    def digest(self, cookie: str) -> str:
        """What is kept of a cookie."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()


EVERYBODY = Caller(scopes=frozenset(SCOPES))
"""Who asks from this machine while nobody has an account: all but decisions is open."""

NOBODY = Caller()

TRUSTED = Caller(role="admin", declared=True)
"""Who asks where access is somebody else's to check."""


def digest_of(token: str) -> str:
    """What is kept of a token; it is random, so that no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> tuple[str, str]:
    """A token to show once, and the digest to keep; the mark lets scanners for secrets find it."""
    token = f"icp_{secrets.token_urlsafe(32)}"
    return token, digest_of(token)
