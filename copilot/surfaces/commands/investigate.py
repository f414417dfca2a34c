"""`copilot investigate`: recorded or exported alerts in, briefs out."""

import json
from collections.abc import Sequence
from itertools import groupby
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from copilot import wiring
from copilot.alerts.formats import parse
from copilot.case.engine import Engine
from copilot.ports import Clock
from copilot.settings import Settings, SettingsError
from copilot.sources.deployment import Sources
from copilot.sources.recorded import RecordedBundle
from copilot.sources.watch import own_alert
from copilot.surfaces.commands import screen
from copilot.types.incident import Incident
from tools.types import Alert, Window

MOST_BYTES = 64 * 1024 * 1024
"""A file of alerts larger than this is not an export of alerts."""


def investigate(settings: Settings, *, what: Path, as_json: bool) -> int:
    """Investigate a bundle or a file of alerts; exit code 1 if nothing in it asks for attention."""
    console = Console()
    sources, clock, origin = _telemetry(settings, what)
    # What is only looked at again is not acted on.
    runner = wiring.dry_runner(clock) if clock else None
    with wiring.engine(
        settings, "investigate", sources=sources, clock=clock, runner=runner
    ) as engine:
        alerts = _alerts(engine.deps.sources, engine.deps.clock, what, settings)
        if not alerts:
            console.print("Nothing is out of the ordinary: no alert, and no series left its band.")
            return 1
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            progress.add_task(f"investigating {len(alerts)} alerts")
            before = {one.id for one in engine.store.incidents.list(limit=1000)}
            repeated = _deliver(engine, alerts)
            engine.drain()
        touched = {row.fingerprint for row in alerts}
        found = [
            engine.store.incidents.update(
                one.id, engine.deps.clock.now(), origin=one.origin or origin
            )
            for one in engine.store.incidents.list(limit=1000)
            if one.id not in before or _about(engine.store.alerts.of(one.id), touched)
        ]
        _show(console, found, settings, as_json=as_json, repeated=repeated)
    return 0


def _deliver(engine: Engine, alerts: Sequence[Alert]) -> int:
    """Hand the alerts over; a recording's each at its second. Returns how many were known."""
    clock = engine.deps.clock
    if not isinstance(clock, RecordedBundle):
        return engine.accept(alerts, engine.now()).repeated
    repeated = 0
    in_order = sorted(alerts, key=lambda one: one.starts_at)
    for _, batch in groupby(in_order, key=lambda one: ceil(one.starts_at)):
        together = list(batch)
        clock.advance(max(clock.now(), together[-1].starts_at))
        repeated += engine.accept(together, engine.now()).repeated
        engine.group()
    clock.advance(max(clock.now(), clock.window.end))
    return repeated


def _about(alerts: Sequence[Alert], touched: set[str]) -> bool:
    return any(alert.fingerprint in touched for alert in alerts)


def _telemetry(settings: Settings, what: Path) -> tuple[Sources | None, Clock | None, str]:
    if what.is_dir():
        bundle = _at_first_alert(what)
        return wiring.recorded_sources(bundle), bundle, str(what.resolve())
    if not what.exists():
        raise SettingsError(f"{str(what)!r} does not exist; name a bundle folder or a JSON file")
    return None, None, ""


def _at_first_alert(folder: Path) -> RecordedBundle:
    """The recording where its first alert comes, else at its end."""
    bundle = RecordedBundle(folder)
    recorded = bundle.alerts(_whole(bundle))
    first = min((one.starts_at for one in recorded), default=bundle.window.end)
    return RecordedBundle(folder, clock_at=first)


def _whole(bundle: RecordedBundle) -> Window:
    return Window(start=bundle.window.start - 86_400, end=max(bundle.window.end, bundle.now()))


def _alerts(sources: Sources, clock: Clock, what: Path, settings: Settings) -> Sequence[Alert]:
    if isinstance(clock, RecordedBundle):
        recorded = RecordedBundle(clock.folder).alerts(_whole(clock))
        if recorded:
            return recorded
        own = own_alert(sources, clock.now(), clock.window.seconds / 2)
        return [own] if own is not None else []
    if what.stat().st_size > MOST_BYTES:
        raise SettingsError(f"{str(what)!r} is larger than {MOST_BYTES} bytes; split it")
    return parse(what.read_bytes(), "auto", {}, clock.now())


def _show(
    console: Console, found: Sequence[Incident], settings: Settings, *, as_json: bool, repeated: int
) -> None:
    if as_json:
        documents = [one.model_dump(mode="json") for one in found]
        console.out(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1))
        return
    for one in found[:3]:
        screen.brief(console, one, settings.language)
        screen.walk(console, one)
        if one.plan is not None and one.status == "awaiting_approval":
            screen.plan(console, one.plan, settings.language)
            console.print(f"To run it: copilot approve {one.plan.id}", markup=False)
    if len(found) > 3:
        console.print(f"\n{len(found) - 3} more incidents: copilot incidents", markup=False)
    if repeated:
        console.print(f"{repeated} alerts were known before and were not counted again.")
