"""`copilot incidents`: what is stored, newest first, or one of it."""

import json

from rich.console import Console

from copilot import wiring
from copilot.settings import Settings
from copilot.surfaces.commands import screen


def incidents(settings: Settings, *, incident: str, as_json: bool, limit: int, report: bool) -> int:
    """List, or show one with its brief, plan and clocks; exit code 1 if there is none."""
    console = Console()
    with wiring.store(settings) as store:
        if not incident:
            listed = store.incidents.list(limit=limit)
            if as_json:
                console.out(json.dumps([one.model_dump(mode="json") for one in listed], indent=1))
            elif listed:
                screen.table(console, listed, settings.language)
            else:
                console.print("No incident yet. Try: copilot demo", markup=False)
            return 0
        found = store.incidents.require(incident)
    if as_json:
        console.out(found.model_dump_json(indent=1))
    elif report:
        screen.report(console, found, settings.language)
    else:
        screen.brief(console, found, settings.language)
        screen.walk(console, found)
        if found.plan is not None and found.status == "awaiting_approval":
            screen.plan(console, found.plan, settings.language)
        screen.clocks(console, found)
    return 0
