"""`copilot incidents`, `journal export`: what is stored, shown and written out."""

import json
import sys
from pathlib import Path

from rich.console import Console

from copilot.settings import Settings
from copilot.store.home import opened
from copilot.surfaces import commands
from copilot.surfaces.commands import screen
from copilot.surfaces.console import answer
from copilot.surfaces.console.answer import Audience


def incidents(settings: Settings, *, incident: str, as_json: bool, limit: int, report: bool) -> int:
    """List, or show one with its brief, plan and clocks; exit code 1 if there is none."""
    console = Console()
    with opened(settings.home, settings.store_url, settings.redaction_key) as store:
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
        waits = found.plan is not None and found.status == "awaiting_approval"
        request = store.approvals.get(found.plan.id) if waits and found.plan else None
    if as_json:
        console.out(found.model_dump_json(indent=1))
    elif report:
        screen.report(console, found, settings.language)
    else:
        screen.brief(console, found, settings.language)
        screen.walk(console, found, settings.language)
        if request is not None:
            agreed = commands.loaded("consent").terms_here(settings, found, request)
            screen.plan(console, request.plan, settings.language, agreed)
        screen.clocks(console, found, settings.language)
    return 0


def status_update(settings: Settings, *, incident: str, audience: Audience) -> int:
    """Print what may be told of one now; exit code 1 if there is none."""
    with opened(settings.home, settings.store_url, settings.redaction_key) as store:
        found = (
            store.incidents.require(incident)
            if incident
            else next(iter(store.incidents.list(limit=1)), None)
        )
    if found is None:
        Console(markup=False).print("No incident yet. Try: copilot demo")
        return 1
    Console().out(answer.status_update(found, settings.language, audience), end="", highlight=False)
    return 0


def journal_export(settings: Settings, *, path: Path | None) -> int:
    """Write every row as a line of JSON."""
    with opened(settings.home, settings.store_url, settings.redaction_key) as store:
        if path is None:
            store.journal.export(sys.stdout.write)
            return 0
        with path.open("w", encoding="utf-8") as out:
            rows = store.journal.export(out.write)
    Console(markup=False).print(f"wrote {rows} rows to {path}")
    return 0
