"""`copilot incidents`, `journal export`: what is stored, shown and written out."""

import json
import sys
from pathlib import Path

from rich.console import Console

from copilot.settings import Settings
from copilot.store import ApprovalRequest, Store, opened
from copilot.surfaces import commands, listing
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.commands import screen
from copilot.surfaces.console import answer
from copilot.surfaces.console.answer import Audience
from copilot.types.incident import Incident, PlanTerms
from prompts import Language


def incidents(settings: Settings, *, incident: str, as_json: bool, limit: int, report: bool) -> int:
    """List, or show one with its brief, plan and clocks."""
    console = Console()
    with opened(settings.home, settings.store_url, settings.redaction_key) as store:
        if not incident:
            show_all(console, store, settings.language, as_json=as_json, limit=limit)
            return 0
        found = store.incidents.require(incident)
        request = waiting(store, found)
    agreed = None
    if request is not None and not as_json and not report:
        agreed = commands.loaded("consent").terms_here(settings, found, request)
    show_one(console, found, request, agreed, settings.language, as_json=as_json, report=report)
    return 0


def show_all(
    console: Console, store: Store, language: Language, *, as_json: bool, limit: int
) -> None:
    """The newest, as a table or as JSON."""
    listed = store.incidents.list(limit=limit)
    if as_json:
        console.out(json.dumps([one.model_dump(mode="json") for one in listed], indent=1))
    else:
        listing.show(console, screen.rows(listed), language)


def waiting(store: Store, found: Incident) -> ApprovalRequest | None:
    """The request whose plan waits for an answer, if any."""
    waits = found.plan if found.status == "awaiting_approval" else None
    return store.approvals.get(waits.id) if waits is not None else None


def show_one(
    console: Console,
    found: Incident,
    request: ApprovalRequest | None,
    agreed: PlanTerms | None,
    language: Language,
    *,
    as_json: bool,
    report: bool,
) -> None:
    """One incident: its report, or brief, plan that waits and clocks."""
    if as_json:
        console.out(found.model_dump_json(indent=1))
    elif report:
        screen.report(console, found, language)
    else:
        screen.brief(console, found, language)
        screen.walk(console, found, language)
        if request is not None:
            screen.plan(console, request.plan, language, agreed)
        screen.clocks(console, found, language)


def status_update(settings: Settings, *, incident: str, audience: Audience, as_json: bool) -> int:
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
    text = answer.status_update(found, settings.language, audience)
    if as_json:
        print_json({"incident": found.id, "audience": audience, "text": text})
    else:
        Console().out(text, end="", highlight=False)
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
