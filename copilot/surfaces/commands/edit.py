"""`copilot edit`: other values for a plan that waits, which then has to be approved anew."""

from collections.abc import Sequence

from rich.console import Console

from copilot import wiring
from copilot.case.editing import Edit
from copilot.settings import Settings, SettingsError
from copilot.store import Store, home
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.decide import posted, waiting_plan
from copilot.surfaces.commands.playbook import find, pairs, typed_value
from tools.types import Plan


def edit(settings: Settings, *, plan: str, given: Sequence[str], by: str, reason: str) -> int:
    """Change declared values; prints the new plan with its new digest."""
    if not by.strip():
        raise SettingsError("who edits? name yourself with --by")
    found = waiting_plan(settings, plan)
    wanted = Edit(
        plan_id=found.id,
        digest=found.digest,
        parameters=_values(settings, found, given),
        editor=by.strip(),
        reason=reason,
    )
    address = settings.server or home.service_address(settings.home)
    if address:
        path = f"/incidents/{found.incident_id}/plan"
        posted(settings, address, path, wanted.model_dump(mode="json"))
        Console(markup=False).print(f"edited; to be approved: copilot approve {found.incident_id}")
        return 0
    with wiring.store(settings) as store:
        incident = store.incidents.require(found.incident_id)
    sources, clock = wiring.recorded_in(incident) or (None, None)
    runner = wiring.dry_runner(clock) if clock else None
    with wiring.engine(settings, "edit", sources=sources, clock=clock, runner=runner) as engine:
        request = engine.edit(wanted)
        engine.drain()
        _shown(engine.store, request.plan, settings)
    return 0


def _values(settings: Settings, plan: Plan, given: Sequence[str]) -> dict[str, str | float | bool]:
    declared = {one.name: one for one in find(settings, plan.playbook_id).parameters}
    return {
        name: typed_value(declared[name], text) if name in declared else text
        for name, text in pairs(given, "--set").items()
    }


def _shown(store: Store, plan: Plan, settings: Settings) -> None:
    console = Console()
    screen.plan(console, plan, settings.language)
    if not store.approvals.pending(plan.incident_id):
        console.print("It does not wait any longer; see: copilot incidents")
