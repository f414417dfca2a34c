"""`copilot postmortem`: a draft; a person takes it into the knowledge base."""

from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from copilot import wiring
from copilot.case.postmortem import accept as accepted
from copilot.case.postmortem import draft
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.commands.halting import named


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
        who = named(store, settings, by)
        if not yes and not Confirm.ask("Take this into the knowledge base?", default=False):
            console.print("Not taken in.")
            return 1
        library, now = wiring.library(settings), SystemClock().now()
        document = accepted(store, library, found, text, who, now)
    console.print(f"accepted as {document.id} ({document.trust}); see: copilot kb list")
    return 0


def _written(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{str(path)!r} cannot be written: {error.strerror}") from error
