"""Who may decide: whoever holds the admin token, a program by a header, a person by a session.

A session is a signed cookie: it holds over a restart, and ends for everybody when the token's file
is removed. docs/decisions/rights.md.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from binascii import Error as Base64Error
from collections import deque
from collections.abc import Callable
from urllib.parse import urlencode

from pydantic import ValidationError

from tools.types import FrozenModel

COOKIE = "copilot_session"

IDLE_S, LONGEST_S = 3600.0, 12 * 3600.0
"""After which a session ends. Source: NIST SP 800-63B-4, level AAL2: an hour without activity and a
day at most; half of that."""

RENEWED_S = 60.0
"""Seconds after which a page that is asked for renews the cookie."""

TRIES, TRIES_S = 10, 60.0
"""Wrong tokens in so many seconds; then nobody signs in until they are over."""

_DECISIONS = re.compile(
    r"/incidents/[^/]+/(?:approval|plan|step|retry|cause)|/api/v2/silences?(?:/[^/]+)?"
)


def decides(method: str, path: str) -> bool:
    """Whether a request is a person's decision: on a plan, a step, a cause, or to be silent."""
    return method not in ("GET", "HEAD", "OPTIONS") and bool(_DECISIONS.fullmatch(path))


class Session(FrozenModel):
    """Somebody signed in, under the name they gave; times are in Unix seconds."""

    name: str
    began: float
    seen: float
    nonce: str


class TooManyTriesError(Exception):
    """Wrong tokens came too fast; nobody is let in for a while."""


class AdminAccess:
    """Checks tokens and sessions; `clock` gives Unix seconds, whatever time the engine lives in."""

    def __init__(self, *tokens: str, clock: Callable[[], float] = time.time) -> None:
        self._tokens = tokens
        self._key = hashlib.sha256("\0".join(("session", *tokens)).encode()).digest()
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=TRIES)

    def link(self, address: str) -> str:
        """Where its holder signs in."""
        return f"{address}/console/sign-in?{urlencode({'token': self._tokens[0]})}"

    def holds(self, given: str) -> bool:
        """Whether it is one of the tokens."""
        # All are compared: how long it takes tells nothing.
        return any([hmac.compare_digest(given.encode(), one.encode()) for one in self._tokens])

    def sign_in(self, name: str, token: str) -> str | None:
        """The cookie of a new session; None for a wrong token. Raises `TooManyTriesError`."""
        now = self._clock()
        if len(self._failed) == TRIES and now - self._failed[0] < TRIES_S:
            raise TooManyTriesError
        if not self.holds(token):
            self._failed.append(now)
            return None
        return self._sealed(Session(name=name, began=now, seen=now, nonce=secrets.token_hex(16)))

    def session(self, cookie: str) -> Session | None:
        """Whose cookie it is; None where it is forged, or over."""
        content, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(content).encode()):
            return None
        try:
            found = Session.model_validate(json.loads(base64.urlsafe_b64decode(content)))
        except (Base64Error, ValueError, ValidationError):
            return None
        now = self._clock()
        over = now - found.began > LONGEST_S or now - found.seen > IDLE_S
        return None if over else found

    def renewed(self, session: Session) -> str | None:
        """The cookie that goes on with a session; None while the one that is there does."""
        now = self._clock()
        if now - session.seen < RENEWED_S:
            return None
        return self._sealed(session.model_copy(update={"seen": now}))

    def csrf(self, session: Session) -> str:
        """What a form of this session carries: no other page knows it."""
        return self._signature(f"form {session.nonce}")

    def _sealed(self, session: Session) -> str:
        content = base64.urlsafe_b64encode(session.model_dump_json().encode()).decode()
        return f"{content}.{self._signature(content)}"

    def _signature(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()
