"""`copilot cause` and `record`: a person says what it was; what is closed becomes a recording."""

import difflib
import json
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from rich.console import Console
from rich.prompt import Confirm, Prompt

from copilot import wiring
from copilot.alerts.formats.errors import from_validation
from copilot.case.confirming import (
    CauseStatement,
    answer_of,
    check_over,
    confirm,
    forget,
    withdraw,
)
from copilot.case.learning import memory, summary
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.sources.recorded.bundle_set import check_set, put
from copilot.store import Store
from copilot.surfaces.commands.halting import named
from copilot.surfaces.commands.recording import NotConfirmedError, answer, recorded
from copilot.types.incident import Incident
from copilot.types.time_format import date_time
from prompts import Language, word
from tools.types import FaultKind

KINDS: tuple[str, ...] = get_args(FaultKind)


def cause(
    settings: Settings,
    *,
    incident: str,
    component: str,
    kind: str,
    by: str,
    note: str,
    force: bool,
    close: bool,
    take_back: bool,
) -> int:
    """Confirm the cause of an incident, take it back, or show what was said of it."""
    console = Console(markup=False, highlight=False)
    now, language = SystemClock().now(), settings.language
    with wiring.store(settings) as store:
        found = store.incidents.require(incident)
        who = named(store, settings, by) if take_back or component or kind else ""
        if take_back:
            found = withdraw(store, wiring.policy(settings, store), incident, who, note, now)
        elif component or kind:
            said = _statement(component, kind, who, note=note, force=force, close=close)
            found = confirm(store, wiring.policy(settings, store), incident, said, now)
        _show(console, store, found, language)
    return 0


def record(
    settings: Settings,
    *,
    incident: str,
    out: Path,
    cause: str,
    kind: str,
    by: str,
    force: bool,
    yes: bool,
    system: str,
) -> int:
    """Write the bundle and its answer; exit code 1 where the person says no."""
    console = Console(markup=False, highlight=False)
    check_set(out)
    with wiring.store(settings) as store:
        found = store.incidents.require(incident)
        check_over(found)
        _show(console, store, found, settings.language)
        said = _asked(found, cause, kind, yes=yes)
        if said is None:
            console.print("Not recorded.")
            return 1
        if said != _confirmed(found):
            spoken = _statement(*said, named(store, settings, by), force=force)
            now = SystemClock().now()
            found = confirm(store, wiring.policy(settings, store), incident, spoken, now)
        sources, _ = wiring.recorded_in(found) or (wiring.configured_sources(settings), None)
        bundle = recorded(store, sources, found, settings.lookback_s, system)
        place = put(bundle, answer(found, bundle.alerts), out, store.redactor)
    for line in bundle.missing:
        console.print(f"not in it: {line}", soft_wrap=True)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    console.print(f"recorded {place} ({size / 1024:.0f} kB, redacted)", soft_wrap=True)
    console.print(f"look at it: copilot investigate {place}", soft_wrap=True)
    console.print(f"guard it:   python -m evals run incidents --data {out}", soft_wrap=True)
    return 0


def learned_show(settings: Settings, *, as_json: bool) -> int:
    """Print what was learned and of which incidents; exit code 1 where that is nothing."""
    console = Console(markup=False, highlight=False)
    with wiring.store(settings) as store:
        found = summary(store)
        lessons = memory(store).lessons
    if as_json:
        console.out(json.dumps([one.model_dump(mode="json") for one in lessons], indent=1))
        return 0 if lessons else 1
    if not lessons or found.until is None:
        console.print("nothing was learned yet; say what it was: copilot cause", soft_wrap=True)
        return 1
    until = date_time(found.until)
    console.print(f"{found.incidents} confirmed incidents, the last {until}", soft_wrap=True)
    console.print(found.sure, soft_wrap=True)
    for kind, incidents in found.kinds.items():
        name = word("fault_kind", kind, settings.language)
        console.print(f"  {name}: {', '.join(incidents)}", soft_wrap=True)
    return 0


def learned_reset(settings: Settings, *, by: str, yes: bool) -> int:
    """Learn nothing more of what was confirmed so far, and say so in the journal."""
    console = Console(markup=False, highlight=False)
    question = "Throw away what was learned of confirmed incidents?"
    if not yes and not Confirm.ask(question, default=False):
        console.print("Nothing was thrown away.")
        return 1
    with wiring.store(settings) as store:
        who = named(store, settings, by)
        count = forget(store, wiring.policy(settings, store), who, SystemClock().now())
    console.print(f"forgotten: what {count} confirmed incidents taught; they stay confirmed")
    return 0


def _asked(found: Incident, cause: str, kind: str, *, yes: bool) -> tuple[str, str] | None:
    """The answer a person stands by: said already, given, or asked for; None: not confirmed."""
    known = _confirmed(found)
    if yes or (cause and kind):
        said = (cause or known[0], kind or known[1])
        if not all(said):
            raise NotConfirmedError(found)
        return said if yes or said == known or _agreed(*said) else None
    told = answer_of(found)
    try:
        component = Prompt.ask("What was at fault?", default=cause or known[0] or told[0] or None)
        fault = Prompt.ask("Of what kind?", default=kind or known[1] or told[1] or None)
    except EOFError as error:
        raise NotConfirmedError(found) from error
    said = ((component or "").strip(), (fault or "").strip())
    if not all(said):
        raise NotConfirmedError(found)
    return said if _agreed(*said) else None


def _agreed(component: str, kind: str) -> bool:
    try:
        return Confirm.ask(f"Record {component}, {kind} as the answer?", default=False)
    except EOFError:
        return False


def _confirmed(found: Incident) -> tuple[str, str]:
    return (found.cause.component, found.cause.fault_kind) if found.cause else ("", "")


def _statement(
    component: str, kind: str, by: str, *, note: str = "", force: bool, close: bool = False
) -> CauseStatement:
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 3, 0.4) or KINDS
        raise SettingsError(f"{kind!r} is no kind of fault; one of: {', '.join(near)}")
    given = {"component": component, "fault_kind": kind, "by": by, "note": note}
    try:
        return CauseStatement.model_validate({**given, "force": force, "close": close})
    except ValidationError as error:
        raise from_validation(error) from error


def _show(console: Console, store: Store, found: Incident, language: Language) -> None:
    """What the copilot said, what a person said, and what was said before."""

    def pair(component: str, kind: str) -> str:
        return f"{component or '?'}, {word('fault_kind', kind or 'unknown', language)}"

    decided = answer_of(found)
    said = pair(*decided) if decided[0] else "it did not decide"
    console.print(f"the copilot said: {said}", soft_wrap=True)
    one = found.cause
    if one is None:
        console.print("confirmed: nobody has said what it was", soft_wrap=True)
    else:
        right = "" if decided == _confirmed(found) else ", and that is not what the copilot said"
        by = f"said by {one.by} at {date_time(one.at)}"
        console.print(f"confirmed: {pair(*_confirmed(found))}, {by}{right}", soft_wrap=True)
    for event in store.journal.events(found.id, limit=10_000):
        if event.kind in ("confirmed", "withdrawn"):
            line = f"  {date_time(event.at)} {event.by}: {event.detail.get('reason', '')}"
            console.print(line, soft_wrap=True, style="dim")
