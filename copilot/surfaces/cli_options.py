"""What every command of the line takes, and how it is handed on."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from prompts import Language

Lang = Annotated[Language | None, typer.Option("--lang", help="Language of the answer.")]


@dataclass(frozen=True, slots=True)
class Flags:
    """What was said before the command's name; None leaves the setting as it is."""

    config: Path | None
    data_dir: Path | None
    server: str | None


def call(context: typer.Context, command: str, **arguments: object) -> None:
    """Load the commands, run one of them, and leave with its exit code."""
    commands = importlib.import_module("copilot.surfaces.commands")
    code: int = commands.call(command, context.obj, arguments)
    raise typer.Exit(code)
