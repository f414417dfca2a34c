"""`copilot playbook list|show|validate|render`: look at the catalogue; nothing is run."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from copilot import wiring
from copilot.hands import meaning
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.cli_options import print_json
from copilot.surfaces.commands import screen
from copilot.surfaces.console.card import PlaybookCard
from prompts import word
from tools.playbook_executor import PlaybookError, Policy, draft, fill, parse
from tools.playbook_executor.parameters import read_values
from tools.types import Fact, Plan, Playbook
from tools.types import Text as Message

BY_HAND = "by-hand"
"""Stands where a plan names its incident: a person filled it in, for none."""


def playbook_list(settings: Settings, *, as_json: bool) -> int:
    """Every playbook there is: risk, whether it runs for real, the faults it is for, its title."""
    known, real = wiring.catalogue(settings), settings.runners_file is not None
    cannot = wiring.unrunnable(settings, known)
    if as_json:
        shown = (
            {**one.model_dump(mode="json"), "not_run": cannot.get(one.id, "")} for one in known
        )
        print_json({"dry_run": not real, "playbooks": list(shown)})
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "RISK", "RUNS", "FOR", "TITLE"):
        table.add_column(column, no_wrap=column in ("ID", "RISK", "RUNS"))
    for one in known:
        kinds = dict.fromkeys(fault for case in one.applies for fault in case.faults)
        faults = [word("fault_kind", kind, settings.language) for kind in kinds]
        title = getattr(one.title, settings.language)
        runs = ("for real" if one.id not in cannot else "no") if real else "dry run"
        table.add_row(one.id, one.risk, runs, Text(", ".join(faults)), Text(title))
    console = Console()
    console.print(table)
    for reason in dict.fromkeys(cannot.values()):
        ids = ", ".join(name for name, why in cannot.items() if why == reason)
        console.print(Text(f"not run here: {ids}: {reason}", style="dim"), soft_wrap=True)
    return 0


def playbook_show(settings: Settings, *, playbook: str, as_json: bool) -> int:
    """The card of one playbook, or the whole of it as JSON."""
    console, found = Console(markup=False, highlight=False), find(settings, playbook)
    if as_json:
        console.print_json(found.model_dump_json())
        return 0
    runs = on_a_yes(settings, wiring.unrunnable(settings, (found,)).get(found.id, ""))
    policy = Policy(automatic=settings.auto_approve_reading)
    console.print(panel(PlaybookCard(found, policy, runs, settings.language)))
    return 0


def playbook_import(settings: Settings, *, file: Path) -> int:
    """Print a draft of what people have; the name that it should be saved by stands in it."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = f"{file}: is no UTF-8 text: {error.reason}; save it as UTF-8"
        raise SettingsError(problem) from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        typer.echo(draft(text, str(file.resolve())), nl=False)
    except PlaybookError as error:
        raise SettingsError(str(error)) from error
    return 0


def panel(card: PlaybookCard) -> Panel:
    """The card as a terminal shows it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, lines in card.rows():
        table.add_row(label, Text("\n".join(lines)))
    title = Text(card.title, style="bold")
    return Panel(Group(title, "", table), title=card.playbook.id, title_align="left")


def on_a_yes(settings: Settings, problem: str) -> Message:
    """What would happen here to a playbook; `problem` is why it is not run, if so."""
    if settings.runners_file is None:
        return Message(en="dry run: there is no runners file", zh="演练：没有 runners 文件")
    if problem:
        return Message(en=f"is not run: {problem}", zh=f"不会执行：{problem}")
    return Message(en="runs for real", zh="真实执行")


def playbook_validate(settings: Settings, *, paths: Sequence[Path], as_json: bool) -> int:
    """Parse files as strictly as the catalogue is; exit code 1 if one is wrong."""
    problems: dict[str, str] = {}
    told = []
    for path in paths:
        try:
            found = parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"playbook {str(path)!r} cannot be read: {error}") from error
        except PlaybookError as error:
            problems[str(path)] = str(error)
            told.append(str(error))
        else:
            told.append(f"{path}: ok, {found.id}, class {found.risk}")
    unrun: Mapping[str, str] = {}
    if not paths:
        known = wiring.catalogue(settings)
        unrun = wiring.unrunnable(settings, known)
        told.append(f"{len(known)} playbooks of the catalogue: ok")
        told += [f"{name}: would not be proposed: {why}" for name, why in unrun.items()]
    if as_json:
        print_json({"problems": problems, "not_proposed": dict(unrun)})
    else:
        console = Console(markup=False, highlight=False)
        for line in told:
            console.print(line, soft_wrap=True)
    return 1 if problems else 0


def playbook_render(
    settings: Settings, *, playbook: str, component: str, given: Sequence[str], as_json: bool
) -> int:
    """The plan these values make, as an approver would see it."""
    plan = filled(settings, playbook, component, given)
    if as_json:
        print_json(plan.model_dump(mode="json"))
    else:
        screen.plan(Console(), plan, settings.language)
    return 0


def find(settings: Settings, name: str) -> Playbook:
    """The playbook of that id."""
    catalogue = {one.id: one for one in wiring.catalogue(settings)}
    if name not in catalogue:
        raise SettingsError(f"no playbook {name!r}; there are {', '.join(sorted(catalogue))}")
    return catalogue[name]


def filled(
    settings: Settings,
    playbook: str,
    component: str,
    given: Sequence[str],
    incident_id: str = BY_HAND,
) -> Plan:
    """The plan of a playbook with values a person gave as `name=value`."""
    found = find(settings, playbook)
    values: dict[str, object] = {
        one.name: component for one in found.parameters if one.source == "component"
    }
    values |= read_values(found, pairs(given, "--set"))
    now = SystemClock().now()
    named = partial(meaning, wiring.declared_runners(settings))
    return fill(found, values, incident_id, component, (), now, settings.plan_ttl_s, named)


def proposal(settings: Settings, playbook: str, component: str, values: Mapping[str, str]) -> Plan:
    """The plan of a playbook for an assistant that only suggests it."""
    return filled(settings, playbook, component, [f"{k}={v}" for k, v in values.items()])


def pairs(given: Sequence[str], option: str) -> Mapping[str, str]:
    """`name=value`, each, as a mapping."""
    split = [one.partition("=") for one in given]
    bad = [one for one, (_, equals, _) in zip(given, split, strict=True) if not equals]
    if bad:
        raise SettingsError(f"{option} {bad[0]!r} is not of the form name=value")
    return {name: value for name, _, value in split}


def fact(text: str) -> Fact:
    """A number where it is one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
