"""`copilot investigate`: recorded or exported alerts in, briefs out."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from copilot import wiring
from copilot.alerts.admission import ORIGIN_LABEL
from copilot.alerts.formats.dumps import AlertExport, exported
from copilot.alerts.formats.meaning import digest
from copilot.case.engine import Engine
from copilot.ports import Clock
from copilot.settings import Settings, SettingsError
from copilot.sources.deployment import Sources
from copilot.sources.own_alert import own_alert
from copilot.sources.recorded import RecordedBundle
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.alerts import content_of
from copilot.types.incident import FILE, Incident
from tools.types import Alert, Timestamp, Window

_NAMED = 6


@dataclass(frozen=True, slots=True)
class AlertOrigin:
    """Where the alerts come from, and so which incidents they may belong to."""

    id: str
    bundle: RecordedBundle | None = None
    content: bytes = b""

    def marked(self, alert: Alert) -> Alert:
        """The alert as one of this origin: the same one of another is another alert."""
        return alert.model_copy(
            update={
                "fingerprint": digest(self.id, alert.fingerprint),
                "labels": {**alert.labels, ORIGIN_LABEL: self.id},
            }
        )


def investigate(settings: Settings, *, what: Path, as_json: bool) -> int:
    """Investigate a recording or a file of alerts; exit code 2 if nothing in it fires.

    A recording in which nothing is out of the ordinary is 1: it was looked at, and is well.
    """
    console, problems = Console(), Console(stderr=True, markup=False, highlight=False)
    origin = _origin(what)
    bundle = origin.bundle
    # What is only looked at again is not acted on.
    runner = wiring.dry_runner(bundle) if bundle else None
    with wiring.engine(
        settings,
        "investigate",
        sources=wiring.recorded_sources(bundle) if bundle else None,
        clock=bundle,
        runner=runner,
        origin=origin.id,
    ) as engine:
        found = _found(origin, engine.deps.sources, engine.deps.clock, settings)
        if found.left_out:
            problems.print(f"not investigated: {_listed(found.left_out)}", soft_wrap=True)
        alerts = [origin.marked(alert) for alert in found.burning]
        if not alerts:
            problems.print(_nothing(origin, found), soft_wrap=True)
            return 2 if bundle is None else 1
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            progress.add_task(f"investigating {len(alerts)} alerts")
            _deliver(engine, alerts, _until(origin))
            engine.drain()
        touched = {alert.fingerprint for alert in alerts}
        incidents = [
            one
            for one in engine.store.incidents.list(limit=1000)
            if one.origin == origin.id and _about(engine.store.alerts.of(one.id), touched)
        ]
        if not incidents:
            names = _listed(alert.name for alert in alerts)
            problems.print(
                f"no incident came of {len(alerts)} alerts ({names}): a maintenance window, a "
                "silence or an inhibition of alerting_file holds them back",
                soft_wrap=True,
            )
            return 2
        _show(console, incidents, settings, engine, as_json=as_json)
    return 0


def _origin(what: Path) -> AlertOrigin:
    if what.is_dir():
        return AlertOrigin(str(what.resolve()), _at_first_alert(what))
    if not what.exists() and str(what) != "-":
        raise SettingsError(f"{str(what)!r} does not exist; name a bundle folder or a JSON file")
    content = content_of(what)
    return AlertOrigin(f"{FILE}{hashlib.sha256(content).hexdigest()[:16]}", content=content)


def _at_first_alert(folder: Path) -> RecordedBundle:
    """The recording where its first alert comes, else at its end."""
    bundle = RecordedBundle(folder)
    first = min((one.starts_at for one in _recorded(bundle)), default=bundle.window.end)
    return RecordedBundle(folder, clock_at=first)


def _recorded(bundle: RecordedBundle) -> Sequence[Alert]:
    """All alerts of a recording, as they stood at its end."""
    whole = RecordedBundle(bundle.folder)
    end = max(whole.window.end, whole.now())
    return whole.alerts(Window(start=whole.window.start - 86_400, end=end))


def _found(origin: AlertOrigin, sources: Sources, clock: Clock, settings: Settings) -> AlertExport:
    bundle = origin.bundle
    if bundle is None:
        return exported(origin.content, clock.now(), settings.max_alerts)
    recorded = _recorded(bundle)
    if recorded:
        return AlertExport(alerts=tuple(map(_burning, recorded)))
    own = own_alert(sources, clock.now(), bundle.window.seconds / 2)
    return AlertExport(alerts=() if own is None else (own,))


def _burning(alert: Alert) -> Alert:
    """A recorded alert when it fired: the record tells it as it was in the end."""
    return alert.model_copy(update={"status": "firing", "ends_at": None})


def _until(origin: AlertOrigin) -> Timestamp:
    """When a recording is looked at: at its end, or where all ended, before the first of them did.

    What was recovered shows nothing of what broke.
    """
    if origin.bundle is None:
        return 0.0
    recorded, end = _recorded(origin.bundle), origin.bundle.window.end
    ends = [one.ends_at for one in recorded if one.status == "resolved" and one.ends_at is not None]
    if not ends or len(ends) < len(recorded):
        return end
    return min(end, max(min(ends), *(one.starts_at for one in recorded)))


def _deliver(engine: Engine, alerts: Sequence[Alert], until: Timestamp) -> None:
    """Hand the alerts over; a recording's each at its second."""
    clock = engine.deps.clock
    if not isinstance(clock, RecordedBundle):
        engine.accept(alerts, engine.now())
        return
    in_order = sorted(alerts, key=lambda one: one.starts_at)
    for _, batch in groupby(in_order, key=lambda one: ceil(one.starts_at)):
        together = list(batch)
        clock.advance(max(clock.now(), together[-1].starts_at))
        engine.accept(together, engine.now())
        engine.group()
    clock.advance(max(clock.now(), until))


def _about(alerts: Sequence[Alert], touched: set[str]) -> bool:
    return any(alert.fingerprint in touched for alert in alerts)


def _nothing(origin: AlertOrigin, found: AlertExport) -> str:
    """One line: what there is, and why none of it is looked into."""
    if origin.bundle is not None:
        return "nothing is out of the ordinary: no alert, and no series left its band"
    if not found.alerts and not found.left_out:
        return "nothing to investigate: there is no alert in it"
    ended = [f"{alert.name} ({alert.status})" for alert in found.alerts]
    return f"nothing to investigate, none of them fires: {_listed([*ended, *found.left_out])}"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _show(
    console: Console,
    found: Sequence[Incident],
    settings: Settings,
    engine: Engine,
    *,
    as_json: bool,
) -> None:
    if as_json:
        documents = [one.model_dump(mode="json") for one in found]
        console.out(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1))
        return
    for one in found[:3]:
        screen.brief(console, one, settings.language)
        screen.walk(console, one, settings.language)
        if one.plan is not None and one.status == "awaiting_approval":
            screen.plan(console, one.plan, settings.language, engine.terms(one.plan))
            console.print(f"To run it: copilot approve {one.plan.id}", markup=False)
    if len(found) > 3:
        console.print(f"\n{len(found) - 3} more incidents: copilot incidents", markup=False)
