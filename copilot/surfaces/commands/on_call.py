"""`copilot oncall`, `take`, `handover`, `note`, `resolve`: who is on call, and what they say."""

from rich.console import Console

from copilot import wiring
from copilot.case.briefing import in_language
from copilot.case.on_call import (
    OnCallAction,
    OnCallWord,
    first_on_call,
    on_call_text,
    say,
    schedules_now,
)
from copilot.ports import OnCallRota
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.commands.halting import named
from copilot.surfaces.remote import fetched, posted, service
from copilot.surfaces.service.plans import OnCallListing

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
        who, to = str(told.get("by") or by), str(told.get("taken_by") or to)
    else:
        with wiring.store(settings) as store:
            who = named(store, settings, by)
            to = to or (
                first_on_call(_read(settings), SystemClock().now()) if action == "hand_over" else ""
            )
            word = OnCallWord(action=action, by=who, to=to, text=text)
            say(store, wiring.policy(settings, store), incident, word, SystemClock().now())
    done = _DONE[action].format(who=who, to=to)
    Console(markup=False, highlight=False).print(f"{incident}: {done}", soft_wrap=True)
    return 0


def who_is_on_call(settings: Settings, *, as_json: bool = False) -> int:
    """Ask the running service, or read the schedules here; 1 where there are none."""
    console, address = Console(markup=False, highlight=False), service(settings)
    if address:
        told = OnCallListing.model_validate(fetched(settings, address, "/on-call")).schedules
    else:
        told = schedules_now(_read(settings), SystemClock().now())
    if as_json:
        print_json([one.model_dump(mode="json") for one in told])
        return 0 if told else 1
    for one in told:
        said = in_language(on_call_text(one), settings.language)
        console.print(f"{one.schedule}: {said}", soft_wrap=True)
    if not told:
        console.print("COPILOT_ON_CALL_FILE is not set: docs/console.md", soft_wrap=True)
    return 0 if told else 1


def _read(settings: Settings) -> OnCallRota | None:
    rota = wiring.on_call(settings)
    if rota is not None:
        rota.refresh(SystemClock().now())
    return rota
