"""Writes the pages that follow from the code; `make docs` runs it, a test holds them against it."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from copilot.cli import app, journal_app, kb_app, playbook_app
from copilot.graph import drawing
from copilot.settings import Settings

ROOT = Path(__file__).parent.parent


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "") else f"`{default}`"
        rows.append(f"| `COPILOT_{name.upper()}` | `{name}` | {shown} | {field.description} |")
    return "\n".join(
        [
            "# Settings",
            "",
            "Written by `make docs` from `copilot/settings.py`. Three layers, a later one wins:",
            "the environment, the TOML file named by `--config`, the flags of a command.",
            "",
            "| variable | in the file | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def cli_page() -> str:
    """Every command with its arguments and options, read from the functions themselves."""
    parts = ["# Commands", "", "Written by `make docs` from `copilot/cli.py`.", ""]
    groups = (
        ("copilot", app),
        ("copilot journal", journal_app),
        ("copilot kb", kb_app),
        ("copilot playbook", playbook_app),
    )
    for prefix, group in groups:
        for command in group.registered_commands:
            function = command.callback
            if function is None:
                continue
            name = command.name or function.__name__.replace("_", "-")
            parts += [f"## {prefix} {name}", "", f"{inspect.getdoc(function)}", ""]
            parts += [*_parameters(function), ""]
    return "\n".join(parts)


def _parameters(function: Callable[..., object]) -> list[str]:
    rows = []
    for name, hint in get_type_hints(function, include_extras=True).items():
        for said in get_args(hint)[1:]:
            if isinstance(said, ArgumentInfo):
                rows.append(f"- `{(said.metavar or name).upper()}`: {said.help}")
            elif isinstance(said, OptionInfo):
                # Inside Annotated the first flag is taken for a default until typer reads it.
                said_flags = [said.default, *(said.param_decls or ())]
                flags = [str(one) for one in said_flags if str(one).startswith("--")]
                flags = flags or [f"--{name.replace('_', '-')}"]
                rows.append(f"- `{', '.join(flags)}`: {said.help}")
    return rows


def readme(text: str) -> str:
    """README with the drawing of the graph as the code draws it."""
    block = f"<!-- graph -->\n```mermaid\n{drawing().strip()}\n```\n<!-- /graph -->"
    return re.sub(r"<!-- graph -->.*?<!-- /graph -->", lambda _: block, text, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    front = ROOT / "README.md"
    return {
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "cli.md": cli_page(),
        front: readme(front.read_text(encoding="utf-8")),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"wrote {path.relative_to(ROOT)}\n")
