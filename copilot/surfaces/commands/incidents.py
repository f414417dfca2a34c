"""`copilot incidents`, `postmortem`, `journal`: what is stored, shown, written out and checked."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from copilot import wiring
from copilot.case.postmortem import document_id, draft
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.consent import terms_here


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
            agreed = terms_here(settings, found, request)
            screen.plan(console, request.plan, settings.language, agreed)
        screen.clocks(console, found, settings.language)
    return 0


def postmortem(
    settings: Settings, *, incident: str, accept: bool, out: Path | None, by: str, yes: bool
) -> int:
    """Print or write the draft; with `accept` a person takes it into the knowledge base."""
    console = Console(markup=False, highlight=False)
    with wiring.store(settings) as store:
        found = store.incidents.require(incident)
        text = draft(found, store.journal.events(incident, limit=10_000), settings.language)
        if out is not None:
            _written(out, text)
            console.print(f"wrote {out}; edited, it is taken in by: copilot kb add {out}")
        else:
            console.print(text, soft_wrap=True)
        if not accept:
            return 0
        if not by.strip():
            raise SettingsError("who accepts it? name yourself with --by")
        if not yes and not Confirm.ask("Take this into the knowledge base?", default=False):
            console.print("Not taken in.")
            return 1
        document = wiring.library(settings).take(text, f"{document_id(found)}.md", replace=True)
        detail = {"reason": f"postmortem {document.id} accepted into the knowledge base"}
        store.journal.append(incident, "accepted", by.strip(), {**detail}, SystemClock().now())
    console.print(f"accepted as {document.id} ({document.trust}); see: copilot kb list")
    return 0


def _written(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def journal_export(settings: Settings, *, path: Path | None) -> int:
    """Write every row as a line of JSON."""
    with wiring.store(settings) as store:
        if path is None:
            store.journal.export(sys.stdout.write)
            return 0
        with path.open("w", encoding="utf-8") as out:
            rows = store.journal.export(out.write)
    Console(markup=False).print(f"wrote {rows} rows to {path}")
    return 0
