"""`copilot demo`: a recorded incident, from its alerts to a verified recovery, before your eyes."""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from copilot import wiring
from copilot.case.engine import Engine
from copilot.settings import Settings, SettingsError
from copilot.sources.deployment import Sources
from copilot.sources.recorded import IncidentReplay
from copilot.sources.recordings import recordings
from copilot.surfaces.commands import screen
from copilot.types.incident import Incident
from copilot.types.time_format import clock_time, duration
from prompts import Language, word
from tools.types import Alert, Approval, Severity

POLL_S = 0.05

STYLE: dict[Severity, str] = {
    "critical": "bold red",
    "high": "red",
    "warning": "yellow",
    "info": "",
    "low": "",
}


def demo(settings: Settings, *, incident: str, yes: bool) -> int:
    """Replay, locate, ask, act, verify; exit code 1 if not recovered.

    The telemetry is what was recorded, before the approval and after it. The second engine is as
    a new process: it finds the incident waiting in the data folder and goes on.
    """
    console = Console()
    folder = _folder(incident)
    shown = IncidentReplay(folder)
    alerts = shown.alerts()
    console.print(
        f"Incident {folder.name}, recorded from a running system that was broken on purpose: "
        f"{len(alerts)} alerts. Until the right step is run the fault goes on; what follows it is "
        "what followed it then.",
        style="dim",
    )
    sources = Sources(shown, shown, shown, shown, shown, shown)
    with tempfile.TemporaryDirectory(prefix="copilot-demo-") as home:
        apart = settings.model_copy(update={"data_dir": Path(home), "database_url": ""})
        with wiring.engine(apart, "demo", sources=sources, clock=shown) as engine:
            _receive(console, engine, shown, alerts)
            seen = _work(console, engine, settings.language, after=0)
            found = engine.store.incidents.list(limit=1)[0]
        console.print()
        screen.answer(console, found, settings.language)
        screen.walk(console, found, settings.language)
        with wiring.engine(apart, "demo", sources=sources, clock=shown, runner=shown) as engine:
            return _decide(console, engine, found, settings, seen, yes=yes)


def _folder(name: str) -> Path:
    folders = sorted((recordings() / "incidents").iterdir())
    found = [folder for folder in folders if folder.name.startswith(name)]
    if not found:
        raise SettingsError(
            f"no shipped incident {name!r}; there are {', '.join(f.name for f in folders)}"
        )
    return found[0]


def _receive(
    console: Console, engine: Engine, shown: IncidentReplay, alerts: Sequence[Alert]
) -> None:
    """Each alert at its time, as a webhook would bring it."""
    for alert in alerts:
        shown.advance(alert.starts_at)
        engine.accept([alert], engine.now())
        engine.group()
        line = Text(f"{clock_time(alert.starts_at)} ", style="dim")
        line.append(f"▲ {alert.severity:<9}", style=STYLE[alert.severity])
        line.append(f"{alert.name} ", style="bold").append(alert.service)
        console.print(line)


def _decide(
    console: Console,
    engine: Engine,
    incident: Incident,
    settings: Settings,
    seen: int,
    *,
    yes: bool,
) -> int:
    """Show every plan, have it answered by a person or `--yes`, and follow what comes of it."""
    while incident.status == "awaiting_approval" and incident.plan is not None:
        agreed = engine.terms(incident.plan)
        screen.plan(console, incident.plan, settings.language, agreed)
        needed = agreed.approvals.needed
        for person in range(1, needed + 1):
            who = "" if needed == 1 else f" (person {person} of {needed})"
            if not yes and not Confirm.ask(f"Approve and run this?{who}", default=False):
                console.print("Not approved; nothing was run.")
                return 1
            engine.decide(_approval(engine, incident, f"person-{person}"))
        seen = _work(console, engine, settings.language, seen)
        incident = engine.store.incidents.require(incident.id)
    console.print()
    screen.clocks(console, incident, settings.language)
    good = incident.status == "recovered"
    passed = duration(engine.now() - (incident.clocks.onset or engine.now()))
    status = word("status", incident.status, settings.language)
    said = f"{passed} 后{status}" if settings.language == "zh" else f"{status} after {passed}"
    console.print(Text(said, style="bold green" if good else "red"))
    return 0 if good else 1


def _approval(engine: Engine, incident: Incident, approver: str) -> Approval:
    if incident.plan is None:
        raise ValueError(f"incident {incident.id!r} has no plan to approve")
    return Approval(
        plan_id=incident.plan.id,
        digest=incident.plan.digest,
        decision="approve",
        approver=approver,
        decided_at=engine.now(),
    )


def _work(console: Console, engine: Engine, language: Language, after: int) -> int:
    """Run the graph in another thread and print the journal as it grows."""
    worker = threading.Thread(target=engine.drain)
    worker.start()
    while True:
        alive = worker.is_alive()
        for event in engine.store.journal.events(after=after):
            screen.event(console, event, language)
            after = event.seq
        if not alive:
            return after
        worker.join(POLL_S)
