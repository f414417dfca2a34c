"""`copilot stop` and `copilot resume`: no step of any plan is run in between."""

from rich.console import Console

from copilot import wiring
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import HaltRecord, NoRightError

EVERYWHERE = ""
"""The journal's incident for what concerns all of them."""


def stop(settings: Settings, *, by: str, reason: str) -> int:
    """Stop every execution before its next step; what is running now ends first."""
    name, now = _named(by), SystemClock().now()
    with wiring.store(settings) as store, store.transaction():
        halted = store.halt.set(HaltRecord(by=name, reason=reason, at=now))
        store.journal.append(EVERYWHERE, "stopped", name, {"reason": reason}, now)
    Console(markup=False).print(
        f"Stopped by {halted.by}: {halted.reason}. No step is run until: copilot resume"
    )
    return 0


def resume(settings: Settings, *, by: str) -> int:
    """Let executions go on; what was refused meanwhile needs a new plan and a new approval."""
    name, now = _named(by), SystemClock().now()
    console = Console(markup=False)
    if not wiring.policy(settings).may_approve(name):
        raise NoRightError(f"{name!r} may not resume executions; see COPILOT_APPROVERS")
    with wiring.store(settings) as store, store.transaction():
        lifted = store.halt.lift()
        if lifted is not None:
            detail = {"reason": f"lifts the stop by {lifted.by}: {lifted.reason}"}
            store.journal.append(EVERYWHERE, "resumed", name, detail, now)
    if lifted is None:
        console.print("Nothing was stopped.")
        return 1
    console.print(f"Resumed: steps that are approved are run again (stopped by {lifted.by}).")
    return 0


def _named(by: str) -> str:
    if not by.strip():
        raise SettingsError("who decides? name yourself with --by")
    return by.strip()
