"""`copilot take`, `handover`, `note`, `resolve`: what people on an incident say of it."""

from rich.console import Console

from copilot import wiring
from copilot.case.on_call import OnCallAction, OnCallWord, say
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.surfaces.commands.halting import named
from copilot.surfaces.remote import posted, service

_DONE: dict[OnCallAction, str] = {
    "take": "taken by {who}",
    "hand_over": "handed over to {to} by {who}",
    "note": "noted by {who}",
    "resolve": "closed by {who}",
}


def on_call(
    settings: Settings, *, incident: str, action: OnCallAction, by: str, to: str, text: str
) -> int:
    """Say it to the running service, or write it here where none runs."""
    address = service(settings)
    if address:
        path = f"/incidents/{incident}/on-call"
        told = posted(settings, address, path, {"action": action, "by": by, "to": to, "text": text})
        who = str(told.get("by") or by)
    else:
        with wiring.store(settings) as store:
            who = named(store, settings, by)
            word = OnCallWord(action=action, by=who, to=to, text=text)
            say(store, wiring.policy(settings, store), incident, word, SystemClock().now())
    done = _DONE[action].format(who=who, to=to)
    Console(markup=False, highlight=False).print(f"{incident}: {done}", soft_wrap=True)
    return 0
