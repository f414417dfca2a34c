"""`copilot demo`: a recorded incident, from its alerts to a verified recovery, before your eyes.

Each demo keeps its incident in a folder of its own below the data folder, `demo/<number>`, so that
it can be asked about and never stands among real ones. `shown_instead` finds the newest of them
for a command that reads, as long as there is nothing else to read.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from copilot import wiring
from copilot.case.engine import Engine
from copilot.settings import Settings, SettingsError
from copilot.sources.deployment import Sources
from copilot.sources.recorded import IncidentReplay, ReplayPosition
from copilot.sources.recordings import recordings
from copilot.surfaces.commands import screen
from copilot.types import home
from copilot.types.home import HomeError, made
from copilot.types.incident import Incident
from copilot.types.time_format import clock_time, duration
from prompts import Language, translation, word
from tools.types import Alert, Approval, FrozenModel, Severity

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
    folder = folder_of(incident)
    shown = IncidentReplay(folder)
    alerts = shown.alerts()
    told = (
        f"Incident {folder.name}, recorded from a running system that was broken on purpose: "
        f"{len(alerts)} alerts. Until the right step is run the fault goes on; what follows it is "
        "what followed it then."
    )
    console.print(translation(told, settings.language), style="dim")
    with room(settings) as (apart, kept):
        with wiring.engine(apart, "demo", sources=replayed(shown), clock=shown) as engine:
            _receive(console, engine, shown, alerts)
            seen = _work(console, engine, settings.language, after=0)
            found = engine.store.incidents.list(limit=1)[0]
        console.print()
        screen.answer(console, found, settings.language)
        screen.walk(console, found, settings.language)
        try:
            with wiring.engine(
                apart, "demo", sources=replayed(shown), clock=shown, runner=shown
            ) as engine:
                return _decide(console, engine, found, settings, seen, yes=yes)
        finally:
            if kept:
                keep(apart, folder.name, shown)
                _tell_kept(console, settings, apart, found.id)


KEPT = "demo.json"


class KeptDemo(FrozenModel):
    """Which recording a demo showed, and how far it came; beside its store, in `KEPT`."""

    recording: str
    position: ReplayPosition


def keep(apart: Settings, recording: str, shown: IncidentReplay) -> None:
    """Write down where the re-enactment stands, so that it can be asked about."""
    left = KeptDemo(recording=recording, position=shown.position)
    (apart.home / KEPT).write_text(left.model_dump_json(), encoding="utf-8")


def replayed(shown: IncidentReplay) -> Sources:
    """A re-enactment as every source."""
    return Sources(shown, shown, shown, shown, shown, shown)


@contextmanager
def room(settings: Settings) -> Iterator[tuple[Settings, bool]]:
    """A store of its own below the data folder, and whether it stays: where that can be written."""
    try:
        folder = made(settings.home / "demo")
    except HomeError:
        with tempfile.TemporaryDirectory(prefix="copilot-demo-") as passing:
            yield _apart(settings, Path(passing)), False
        return
    yield _apart(settings, made(folder / str(max(_numbers(folder), default=0) + 1))), True


def _numbers(folder: Path) -> list[int]:
    return [int(one.name) for one in folder.iterdir() if one.name.isdecimal()]


def _apart(settings: Settings, folder: Path) -> Settings:
    """The settings with a store in this folder, and nothing that could really be touched."""
    changed = {"data_dir": folder, "database_url": "", "runners_file": None}
    return settings.model_copy(update=changed)


def _tell_kept(console: Console, settings: Settings, apart: Settings, incident_id: str) -> None:
    found = shown_instead(settings) is not None
    program = "copilot" if found else f"copilot --data-dir {apart.home}"
    said = "留作提问" if settings.language == "zh" else "Kept to be asked about"
    shown = (f"{program} chat", f"{program} incidents {incident_id} --report")
    console.print(Text(f"{said}: {' · '.join(shown)}", style="dim"), soft_wrap=True)


def shown_instead(settings: Settings) -> Settings | None:
    """The settings of the newest demo, while the data folder has no incident and nothing is asked.

    A service, a database or a source of telemetry that is named is what somebody means to read.
    """
    folder = settings.home / "demo"
    if settings.database_url or settings.server or not folder.is_dir():
        return None
    kept = [number for number in _numbers(folder) if (folder / str(number) / KEPT).exists()]
    if not kept or home.holder(settings.home) or wiring.configured_sources(settings).measured:
        return None
    with wiring.store(settings) as store:
        if store.incidents.list(limit=1):
            return None
    return _apart(settings, folder / str(max(kept)))


def replay_of(settings: Settings) -> IncidentReplay | None:
    """The re-enactment that a demo left in this data folder; None where it is no demo's."""
    path = settings.home / KEPT
    if not path.exists():
        return None
    try:
        left = KeptDemo.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        problem = f"{str(path)!r} cannot be read: {type(error).__name__}"
        raise SettingsError(f"{problem}; run: copilot demo") from error
    return IncidentReplay(folder_of(left.recording), left.position)


def folder_of(name: str) -> Path:
    """The shipped incident whose name begins so; empty: the first."""
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
            asked = translation(f"Approve and run this?{who}", settings.language)
            if not yes and not Confirm.ask(asked, default=False):
                console.print(translation("Not approved; nothing was run.", settings.language))
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
