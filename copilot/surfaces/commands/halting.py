"""`copilot stop`: written at once by whoever is at the keyboard, so it loads little."""

import time

from rich.console import Console

from copilot.case.halting import halt
from copilot.settings import Settings, SettingsError
from copilot.store import Store, opened
from copilot.types import home
from tools.playbook_executor import one_person


def stop(settings: Settings, *, by: str, reason: str) -> int:
    """Stop every execution before its next step; what is running now ends first."""
    with opened(settings.home, settings.store_url, settings.redaction_key) as store:
        said = halt(store, named(store, settings, by), reason, time.time())
    Console(markup=False).print(said)
    return 0


def named(store: Store, settings: Settings, by: str) -> str:
    """Who does it; where people have accounts, the owner of the data folder, whatever `by` says.

    Raises `SettingsError` where nobody is named, or somebody else.
    """
    said, owner = by.strip(), home.owner(settings.home)
    if not store.people.known():
        if not said:
            raise SettingsError("who decides? name yourself with --by")
        return said
    if said and one_person(said) != one_person(owner):
        raise SettingsError(
            f"people have accounts here, and on this machine you are {owner!r}, who owns the data "
            f"folder: --by {said!r} is somebody else. They decide on the console, or by "
            "`copilot login`"
        )
    return owner
