"""`copilot rehearse`: what the real targets would refuse tonight; nothing is changed."""

import json
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from copilot import wiring
from copilot.case.engine import Engine
from copilot.hands import lacking
from copilot.hands.rehearsal import PlanRehearsal, RehearsedLine, impossible, rehearsed
from copilot.ports import Runner, SourceError
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.surfaces.commands.playbook import filled, find
from prompts import Language
from tools.log_retriever import sanitize
from tools.playbook_executor import ParameterError, PlaybookSubject, derived
from tools.types import Fact, Plan

TIMER = "rehearsal"


def rehearse(
    settings: Settings, *, name: str, component: str, given: Sequence[str], as_json: bool
) -> int:
    """One playbook, the plan of an incident, or all that the runners file names.

    Exit code 1 where something would be refused.
    """
    console, clock = Console(), SystemClock()
    sources = wiring.configured_sources(settings)
    runner = wiring.configured_runner(settings, sources, clock, clock)
    facts = _facts(sources, clock.now())
    if not name:
        found = list(declared(settings, runner, facts))
        if not found:
            advice = "name a playbook or an incident, or list some in runners_file: [[rehearse]]"
            raise SettingsError(f"there is nothing to rehearse; {advice}")
    elif name in {one.id for one in wiring.catalogue(settings)}:
        if not component:
            raise SettingsError(f"on what? copilot rehearse {name} COMPONENT")
        found = [_of_playbook(settings, name, component, given, runner, facts)]
    else:
        found = [_of_plan(settings, _plan(settings, name), runner, facts)]
    if as_json:
        console.out(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
    else:
        for one in found:
            _show(console, one, settings.language)
    return 1 if any(one.refused for one in found) else 0


def declared(
    settings: Settings, runner: Runner, facts: Mapping[str, Fact]
) -> Iterator[PlanRehearsal]:
    """The rehearsals that the runners file asks for."""
    file = wiring.declared_runners(settings)
    for one in file.rehearse if file is not None else ():
        given = [f"{name}={value}" for name, value in one.values.items()]
        try:
            yield _of_playbook(settings, one.playbook, one.component, given, runner, facts)
        except SettingsError as error:
            yield impossible(one.playbook, one.component, str(error))


def on_schedule(engine: Engine, settings: Settings) -> None:
    """Rehearse what the runners file names, and note in the journal what would be refused."""
    deps = engine.deps
    for one in declared(settings, deps.runner, _facts(deps.sources, engine.now())):
        for line in one.refused:
            detail = {"reason": line.refused, "step": line.title, "on": one.component}
            deps.store.journal.append(
                f"rehearsal-{one.playbook}", "would_be_refused", TIMER, {**detail}, engine.now()
            )


def _facts(sources: Sources, now: float) -> Mapping[str, Fact]:
    try:
        return sources.facts(now, now)
    except SourceError:
        return {}


def _plan(settings: Settings, incident_id: str) -> Plan:
    with wiring.store(settings) as store:
        incident = store.incidents.get(incident_id)
    if incident is None:
        raise SettingsError(f"neither a playbook nor an incident is named {incident_id!r}")
    if incident.plan is None:
        raise SettingsError(f"incident {incident_id} has no plan")
    return incident.plan


def _of_playbook(
    settings: Settings,
    name: str,
    component: str,
    given: Sequence[str],
    runner: Runner,
    facts: Mapping[str, Fact],
) -> PlanRehearsal:
    """Values that are not given come from the facts, as in an incident."""
    found = find(settings, name)
    said = {one.partition("=")[0] for one in given}
    subject, values = PlaybookSubject.of(component, facts), list(given)
    for parameter in found.parameters:
        if parameter.name in said:
            continue
        try:
            values.append(f"{parameter.name}={derived(parameter, subject)}")
        except ValueError as error:
            return impossible(name, component, f"parameter {parameter.name!r}: {error}")
    try:
        plan = filled(settings, name, component, values)
    except ParameterError as error:
        return impossible(name, component, str(error))
    return _of_plan(settings, plan, runner, facts)


def _of_plan(
    settings: Settings, plan: Plan, runner: Runner, facts: Mapping[str, Fact]
) -> PlanRehearsal:
    playbook, file = find(settings, plan.playbook_id), wiring.declared_runners(settings)
    problem = lacking(file, playbook) if file is not None else ""
    return rehearsed(plan, playbook, runner, facts, problem)


def _show(console: Console, found: PlanRehearsal, language: Language) -> None:
    chinese = language == "zh"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "步骤", "所见", "会被拒绝") if chinese else ("", "STEP", "SEEN", "REFUSED"):
        table.add_column(column, overflow="fold")
    for line in found.lines:
        mark = Text("✘", style="red") if line.refused else Text("✔", style="green")
        title = _title(line, chinese)
        why = Text(sanitize(line.refused, 300), style="red")
        table.add_row(mark, Text(title), Text(sanitize(line.seen, 300)), why)
    refused = len(found.refused)
    said = f"{found.playbook} · {found.component}: "
    if chinese:
        said += f"{refused} 项会被拒绝" if refused else "没有会被拒绝的步骤"
    else:
        said += f"{refused} would be refused" if refused else "nothing would be refused"
    console.print(Text(said, style="bold red" if refused else "bold green"))
    console.print(table)
    console.print()


def _title(line: RehearsedLine, chinese: bool) -> str:
    title = line.title_zh if chinese and line.title_zh else line.title
    if line.part == "roll_back":
        return f"{'回退' if chinese else 'back'}: {title}"
    if line.part == "precondition":
        return f"{'前提' if chinese else 'needs'}: {title}"
    return title
