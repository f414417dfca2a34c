"""Passwords: argon2id, bounded in how many are checked at a time, and what a good one is."""

import threading
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from copilot.types.errors import OperatorError

SHORTEST, LONGEST = 15, 256
"""Characters of a password. Source: NIST SP 800-63B-4, 3.1.1.2: 15 where it is the only factor, and
at least 64 must be taken; what is longer would only cost time."""

LEAST_DIFFERENT = 5
"""Different characters; fewer are a pattern, which is guessed first."""

AT_ONCE = 2
"""Checked at the same time: each takes 64 MiB, and anybody may ask for one."""


class WeakPasswordError(OperatorError):
    """A password that would be guessed; the message says what it lacks."""


class Passwords:
    """Hashes and checks, by RFC 9106's second choice (64 MiB, three passes) unless told otherwise.

    A name that nobody has costs as much as a wrong password: how long it takes tells nothing.
    """

    def __init__(self, memory_kib: int = 65_536, passes: int = 3) -> None:
        self._hasher = PasswordHasher(passes, memory_kib, parallelism=4, type=Type.ID)
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = ""

    def hashed(self, password: str, name: str = "") -> str:
        """The hash to keep; raises `WeakPasswordError`."""
        plain = unicodedata.normalize("NFKC", password)
        if not SHORTEST <= len(plain) <= LONGEST:
            raise WeakPasswordError(
                f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(plain)}: "
                "four or five words of your own are easy to remember"
            )
        rest = plain.casefold().replace(name.casefold(), "") if name else plain
        if len(set(rest)) < LEAST_DIFFERENT:
            raise WeakPasswordError("this password is a pattern, or the name: take other words")
        with self._places:
            return self._hasher.hash(plain)

    def right(self, password: str, kept: str) -> bool:
        """Whether it is the one whose hash was kept; none was: it is not."""
        plain = unicodedata.normalize("NFKC", password[: 4 * LONGEST])
        with self._places:
            if not kept and not self._nobody:
                self._nobody = self._hasher.hash("nobody has this password")
            try:
                self._hasher.verify(kept or self._nobody, plain)
            except (VerificationError, InvalidHashError):
                return False
        return bool(kept)
