"""The head of the journal: shown, noted at intervals where the database's writer cannot reach, held
against the journal. What is noted, and what that protects against: `docs/safety.md`.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from copilot import wiring
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import SignedHead, Store, StoreError
from copilot.surfaces.cli_options import print_json
from copilot.types.home import key

log = logging.getLogger(__name__)

NOTE_S = 10.0
"""Longest wait for whoever takes a head."""


def signing_key(settings: Settings) -> bytes:
    """The key of the heads; raises `KeyFileError`."""
    return key(settings.journal_key or settings.home / "journal.key")


def notebook(settings: Settings) -> Path | None:
    """The file where heads are noted; None where they are posted to an address."""
    if settings.journal_anchor.startswith(("http://", "https://")):
        return None
    return Path(settings.journal_anchor or settings.home / "journal.heads").expanduser()


def journal_head(settings: Settings) -> int:
    """Print the signed head as a line of JSON, to be kept elsewhere."""
    with wiring.store(settings) as store:
        head = store.journal.head(signing_key(settings), SystemClock().now())
    Console(markup=False, highlight=False).print(head.model_dump_json(), soft_wrap=True)
    return 0


def journal_verify(settings: Settings, *, head: Path | None, as_json: bool = False) -> int:
    """Recompute the chain and hold it against noted heads; exit code 1 where it does not hold."""
    console = Console(markup=False, highlight=False)
    noted = _noted(settings, head)
    with wiring.store(settings) as store:
        check = store.journal.verify(noted)
    if as_json:
        print_json({**check.model_dump(mode="json"), "noted": len(noted)})
        return 0 if check.ok else 1
    if check.ok:
        against = f", {len(noted)} noted heads hold" if noted else ", no head was noted"
        console.print(f"ok: {check.rows} rows, head {check.head}{against}", soft_wrap=True)
        return 0
    console.print(f"BROKEN at row {check.first_bad_seq}: {check.problem}", soft_wrap=True)
    return 1


def _noted(settings: Settings, given: Path | None) -> tuple[SignedHead, ...]:
    """The heads of a file, their signatures checked; none where none was noted yet."""
    path = given or notebook(settings)
    if path is None or (given is None and not path.exists()):
        return ()
    try:
        found = SignedHead.read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = f"{str(path)!r} cannot be read: {error}; give a file of `copilot journal head`"
        raise SettingsError(problem) from error
    if not found:
        raise SettingsError(f"{str(path)!r} holds no head; somebody emptied it")
    secret = signing_key(settings)
    for number, one in enumerate(found, 1):
        if not one.holds(secret):
            raise SettingsError(
                f"{str(path)!r}: the signature of head {number} does not hold: it was changed, or "
                "another key signed it (COPILOT_JOURNAL_KEY)"
            )
    return found


@contextmanager
def noted(store: Store, settings: Settings) -> Iterator[None]:
    """While inside, the head is noted every so often where it has moved, and once at the end."""
    secret, note = signing_key(settings), _note(settings)
    stopping, last = threading.Event(), 0

    def look() -> None:
        nonlocal last
        try:
            head = store.journal.head(secret, SystemClock().now())
            if head.seq != last:
                note(head.model_dump_json())
                last = head.seq
        except (StoreError, OSError, httpx.HTTPError) as error:
            log.warning("the head of the journal could not be noted: %s", error)

    def follow() -> None:
        while not stopping.wait(settings.journal_anchor_every_s):
            look()

    thread = threading.Thread(target=follow, name="note the journal's head", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(NOTE_S)
        look()


def _note(settings: Settings) -> Callable[[str], None]:
    path = notebook(settings)
    if path is None:
        return lambda line: _post(settings.journal_anchor, line)
    return lambda line: _append(path, line)


def _post(url: str, line: str) -> None:
    headers = {"content-type": "application/json"}
    httpx.post(url, content=line, headers=headers, timeout=NOTE_S).raise_for_status()


def _append(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
