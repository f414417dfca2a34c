"""What every command of the line takes, and how it is handed on."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from prompts import Language

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Lang = Annotated[Language | None, typer.Option("--lang", help="Language of the answer.")]


QUICK = frozenset({"approve", "incidents", "reject", "resume", "status_update", "stop"})
"""Commands that ask the running service, or read a file, before anything heavy is loaded."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What was said before the command's name; None leaves the setting as it is."""

    config: Path | None
    data_dir: Path | None
    server: str | None


def print_json(document: object) -> None:
    """Write a document for another program, whole and without any layout."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def call(context: typer.Context, command: str, **arguments: object) -> None:
    """Run a command the quick way where it has one that will do, else load it whole."""
    if command in QUICK:
        quick = importlib.import_module("copilot.surfaces.quick")
        found: int | None = quick.answered(command, context.obj, arguments)
        if found is not None:
            raise typer.Exit(found)
    commands = importlib.import_module("copilot.surfaces.commands")
    code: int = commands.call(command, context.obj, arguments)
    raise typer.Exit(code)
