"""`copilot looks`: what is declared, how a tool is pinned, what a look tells."""

import json
import os
import time
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from copilot.ports import SourceError
from copilot.settings import Settings, SettingsError
from copilot.sources.looks.declared import DeclaredLook
from copilot.sources.looks.look import LookGroup
from copilot.sources.looks.wiring import declared_looks
from copilot.types.redaction import Redactor
from tools.types import Subject, Window

HOUR_S = 3600.0

MOST_SHOWN = 20_000
"""Characters of a tool's description and schema; who needs more has to be read elsewhere."""


def looks_list(settings: Settings, *, as_json: bool) -> int:
    """Print each look and whether its server takes it; exit code 1 where one does not."""
    rows = [_row(group, one) for group in _groups(settings) for one in group.looks]
    console = Console(markup=False, highlight=False)
    if as_json:
        console.out(json.dumps(rows, indent=1, ensure_ascii=False))
    for row in rows if not as_json else ():
        asked = row["tool"] or row["path"]
        console.print(Text(f"{row['name']}", style="bold"), f"{row['server']}: {asked}")
        console.print(f"  {row['problem'] or 'ready'}", style="red" if row["problem"] else "green")
    return 1 if any(row["problem"] for row in rows) else 0


def looks_pin(settings: Settings, *, name: str) -> int:
    """Print what the tool says of itself, and its hash."""
    group, one = _found(settings, name)
    try:
        told = group.asker.pin(one)
    except SourceError as error:
        raise SettingsError(str(error)) from error
    Console(markup=False, highlight=False).print(told[:MOST_SHOWN], soft_wrap=True)
    return 0


def looks_try(settings: Settings, *, name: str, service: str, namespace: str, as_json: bool) -> int:
    """Print what an incident would be told; exit code 1 where that is nothing."""
    group, one = _found(settings, name)
    if one.of_a_service and not service:
        raise SettingsError(f"look {name!r} is of a service: name one with --service")
    now = time.time()
    about = Subject(kind="service" if service else "nobody", name=service, namespace=namespace)
    alone = replace(group, looks=(one,))
    try:
        told = alone.look(Window(start=now - HOUR_S, end=now), [about])
    except SourceError as error:
        raise SettingsError(str(error)) from error
    findings = Redactor().models(told.findings)
    console = Console(markup=False, highlight=False)
    if as_json:
        shown = [one.model_dump(mode="json") for one in findings]
        console.out(json.dumps({"findings": shown, "missing": told.missing}, indent=1))
    for found in findings if not as_json else ():
        console.print(found.statement_zh if settings.language == "zh" else found.statement)
        if found.excerpt:
            console.print(Text(f"  {found.excerpt}", style="dim"))
    for line in told.missing if not as_json else ():
        console.print(Text(line, style="red"))
    return 1 if told.missing or not findings else 0


def _groups(settings: Settings) -> tuple[LookGroup, ...]:
    if settings.looks_file is None:
        raise SettingsError("no look is declared: set COPILOT_LOOKS_FILE; see docs/looks.md")
    return declared_looks(settings.looks_file, os.environ)


def _found(settings: Settings, name: str) -> tuple[LookGroup, DeclaredLook]:
    groups = _groups(settings)
    for group in groups:
        for one in group.looks:
            if one.name == name:
                return group, one
    known = ", ".join(one.name for group in groups for one in group.looks)
    raise SettingsError(f"no look {name!r} is declared; there are {known}")


def _row(group: LookGroup, one: DeclaredLook) -> dict[str, str]:
    return {
        "name": one.name,
        "about": one.about,
        "server": f"{group.name} ({group.server.place})",
        "tool": one.tool,
        "path": one.path,
        "problem": group.problem_of(one),
    }
