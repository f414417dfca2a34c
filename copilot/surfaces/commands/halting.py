"""`copilot stop`: written at once by whoever is at the keyboard, so it loads little."""

import time

from rich.console import Console

from copilot.settings import Settings, SettingsError
from copilot.store import HaltRecord
from copilot.store.home import opened

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""


def stop(settings: Settings, *, by: str, reason: str) -> int:
    """Stop every execution before its next step; what is running now ends first."""
    name, now = named(by), time.time()
    with (
        opened(settings.home, settings.store_url, settings.redaction_key) as store,
        store.transaction(),
    ):
        halted = store.halt.set(HaltRecord(by=name, reason=reason, at=now))
        store.journal.append(EVERYWHERE, "stopped", name, {"reason": reason}, now)
    Console(markup=False).print(
        f"Stopped by {halted.by}: {halted.reason}. No step is run until: copilot resume"
    )
    return 0


def named(by: str) -> str:
    """Who does it; raises `SettingsError` where nobody is named."""
    if not by.strip():
        raise SettingsError("who decides? name yourself with --by")
    return by.strip()
