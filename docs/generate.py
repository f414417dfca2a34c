"""Writes the pages that follow from the code; `make docs` runs it, a test holds them against it."""

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from copilot.alerts import maintenance as alerting
from copilot.case.graph import drawing
from copilot.hands import declared
from copilot.settings import Settings
from copilot.surfaces.cli import app, journal_app, kb_app, playbook_app

ROOT = Path(__file__).parent.parent
SYSTEMS = {
    "ae": "Online Boutique, anomaly events (AIOps Challenge 2022)",
    "bi": "Bookinfo, cloud and edge",
    "mean": "**mean over systems**",
    "ob": "Online Boutique",
    "oc": "Online Boutique, canary releases",
    "ps": "PetShop (AWS)",
    "ss": "Sock Shop",
    "tt": "Train-Ticket",
}
"""What the prefixes of the public sets stand for, for the reader of the table only."""


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
            "## The runners file",
            "",
            "Without one every step is a dry run. With one, what it names runs for real after its",
            "approval, and a playbook that could not be run to its end is not proposed.",
            "`copilot doctor` says what is in force.",
            "",
            "```toml",
            textwrap.dedent((inspect.getdoc(declared) or "").partition("\n\n")[2]).strip(),
            "```",
            "",
            "## The alerting file",
            "",
            "Alerts in a maintenance window, and those that an inhibition explains, are kept, open",
            "no incident and are listed with the reason: by `GET /alerts`, or among the alerts of",
            "the incident that inhibits them. One that still fires when its window has closed is",
            "decided anew the next time its sender repeats it. `copilot doctor` says what is in",
            "force.",
            "Conditions have Alertmanager's operators `=` (left out), `!=`, `=~` and `!~`;",
            "`alertname`, `service` and `severity` are labels of every alert.",
            "",
            "```toml",
            textwrap.dedent((inspect.getdoc(alerting) or "").partition("\n\n")[2]).strip(),
            "```",
            "",
        ]
    )


def cli_page() -> str:
    """Every command with its arguments and options, read from the functions themselves."""
    parts = ["# Commands", "", "Written by `make docs` from `copilot/surfaces/cli.py`.", ""]
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
    """README with the drawing of the graph and the table of the last published run."""
    drawn = f"```mermaid\n{drawing().strip()}\n```"
    return _between(_between(text, "graph", drawn), "located", located())


def located() -> str:
    """Per system: how often the right component is first, among three, and of the right kind."""
    run = json.loads((ROOT / "docs" / "results" / "incidents.json").read_text(encoding="utf-8"))
    summary = run["summary"]
    systems = sorted({key.partition(".")[0] for key in summary if key.endswith(".ac1")})
    rows = [
        f"| {SYSTEMS.get(name, name)} | "
        + " | ".join(f"{summary[f'{name}.{figure}']:.2f}" for figure in ("ac1", "ac3", "avg5"))
        + " |"
        for name in systems
    ]
    return "\n".join(
        [
            "Root-cause component on recorded incidents of public systems, onset handed over, arm",
            f"`{run['arm']}`, development half; the right kind of fault is named for",
            f"{summary['kind_accuracy']:.0%} of those located, {summary['abstained']:.0%} are left",
            "undecided. Written from `docs/results/incidents.json`; peers and method:",
            "[docs/benchmarks.md](docs/benchmarks.md).",
            "",
            "| system | first | among three | Avg@5 |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _between(text: str, mark: str, content: str) -> str:
    block = f"<!-- {mark} -->\n{content}\n<!-- /{mark} -->"
    return re.sub(rf"<!-- {mark} -->.*?<!-- /{mark} -->", lambda _: block, text, flags=re.DOTALL)


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
