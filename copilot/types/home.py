"""The data folder: made on first use, its owner's only, and one process's at a time.

It stands on the standard library alone: every command reads it first.
"""

import fcntl
import json
import os
import pwd
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from copilot.types.errors import OperatorError


class ToldKey(Protocol):
    """A key from the settings; pydantic's SecretStr, which commands that only read do not load."""

    def get_secret_value(self) -> str: ...


_ADDRESS = re.compile(r"https?://[^\s,]+")


class HomeBusyError(OperatorError):
    """Another process works in this data folder; two would corrupt each other's checkpoints."""

    def __init__(self, home: Path, holder: str) -> None:
        super().__init__(
            f"another copilot process ({holder}) works in {str(home)!r}; "
            "use its service, stop it, or name another folder with --data-dir"
        )
        self.holder = holder


class HomeError(OperatorError):
    """The data folder cannot be made or written; the message says which and why."""

    def __init__(self, home: Path, error: OSError) -> None:
        super().__init__(
            f"data folder {str(home)!r} cannot be used ({error.strerror}); set COPILOT_DATA_DIR"
        )


SHORTEST_KEY = 32
"""Characters of a key. Source: NIST SP 800-107, a key of HMAC has the strength of its length."""


LONGEST_KEY = 64
"""Bytes of a key that count. Source: RFC 7693, the longest of BLAKE2b."""


class KeyFileError(OperatorError):
    """A file with a key of ours is not as it must be; the message says what to do."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"key file {str(path)!r} {problem}")


def made(home: Path) -> Path:
    """The folder, made where it is missing; raises `HomeError` where it cannot be."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HomeError(home, error) from error
    return home


def key(path: Path, told: ToldKey | None = None) -> bytes:
    """The key that was `told`, or the one in a file of its owner's only, made where it is missing.

    Raises `KeyFileError`.
    """
    if told is not None:
        return told.get_secret_value().encode()[:LONGEST_KEY]
    try:
        made(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(path)
    except OSError as error:
        raise HomeError(path.parent, error) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return _kept(path)


def admin_token(home: Path) -> str:
    """The token that lets its holder decide; who may read the data folder holds it."""
    return key(home / "admin.token").decode()


def keep_login(home: Path, address: str, token: str) -> None:
    """Keep the token of a login at a service, in a file of its owner's only."""
    path = made(home) / "logins.json"
    kept = {**_logins(path), address: token}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(kept, file)


def login(home: Path, address: str) -> str:
    """The token of the login at a service; empty where there is none."""
    return _logins(home / "logins.json").get(address.rstrip("/"), "")


def _logins(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KeyFileError(path, f"cannot be read: {error}; remove it and log in anew") from error
    return found if isinstance(found, dict) else {}


def owner(home: Path) -> str:
    """The user of the operating system who owns the folder, and so may do everything in it."""
    uid = made(home).stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container need not know its users
        return f"uid-{uid}"


def _kept(path: Path) -> bytes:
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(path, f"cannot be read: {error}") from error
    if mode & 0o077:
        raise KeyFileError(path, f"can be read by others: chmod 600 {path}")
    if len(text) < SHORTEST_KEY:
        raise KeyFileError(path, f"holds no key: put {SHORTEST_KEY} characters or more into it")
    return text.encode()[:LONGEST_KEY]


@contextmanager
def owned(home: Path, purpose: str) -> Iterator[Path]:
    """Hold the folder for this process; `purpose` is shown to whoever comes second."""
    try:
        descriptor = os.open(made(home) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeError(home, error) from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeBusyError(home, lock.read().strip() or "unknown") from error
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}, {purpose}")
        lock.flush()
        try:
            yield home
        finally:
            lock.seek(0)
            lock.truncate(0)


def holder(home: Path) -> str:
    """Who owns the folder now; empty where nobody does."""
    try:
        with (home / "lock").open("r", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().strip() or "unknown"
    except FileNotFoundError:
        return ""
    return ""


def service_address(home: Path) -> str:
    """Where the service that owns the folder listens; empty where none does."""
    found = _ADDRESS.search(holder(home))
    return found[0] if found else ""
