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
from copilot.sources.clock import SystemClock
from copilot.sources.received import ReceivedTelemetry
from copilot.store import Store
from copilot.surfaces.chat import ChatService
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.cli import app
from copilot.surfaces.service import create_app
from copilot.surfaces.service.rights import LEAST, RIGHTS, Need
from copilot.testing.service import CountedEngine
from copilot.types.checks import CheckReport
from copilot.types.incident import Incident
from copilot.types.people import SCOPES
from docs.result_tables import TABLES
from docs.sheets import result
from evals.house.measures import House
from evals.house.pages import house_page, way_page
from evals.house.way import way
from knowledge_base import playbooks
from knowledge_base.catalogue import NO_PLAYBOOK, playbooks_for
from prompts import Language, word
from tools.topology_walker.signatures import SIGNATURES
from tools.types import FaultKind, PlaybookEffect

ROOT = Path(__file__).parent.parent


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    rows = []
    own = Settings.__annotations__  # those of a part come after them
    for name, field in sorted(Settings.model_fields.items(), key=lambda one: one[0] not in own):
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
            "`service` is a label of every alert; so are `alertname` and `severity`, unless it is",
            "Prometheus or Alertmanager that sends it.",
            "",
            "```toml",
            textwrap.dedent((inspect.getdoc(alerting) or "").partition("\n\n")[2]).strip(),
            "```",
            "",
        ]
    )


EXIT_CODES = """\
Exit codes: 0 done; 1 the answer is no, as the command says (broken, refused, not found, not
recovered); 2 yours to mend (an option, a setting, a file, a service that does not answer), in one
line on standard error; 130 stopped by Ctrl-C. Answers go to standard output."""


def cli_page() -> str:
    """Every command with its arguments and options, read from the functions themselves."""
    parts = ["# Commands", "", "Written by `make docs` from `copilot/surfaces/cli.py`.", ""]
    parts += [*EXIT_CODES.splitlines(), ""]
    # A group without a name of its own adds its commands to the program's.
    named = [(one.name, one.typer_instance) for one in app.registered_groups]
    groups = [("copilot", app)]
    groups += [("copilot", group) for name, group in named if not isinstance(name, str) and group]
    groups += sorted(
        (f"copilot {name}", group) for name, group in named if isinstance(name, str) and group
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


def graph_page() -> str:
    """The drawing of the state machine."""
    return "\n".join(
        [
            "# The way of an incident",
            "",
            "Written by `make docs` from `copilot/case/graph.py`; `copilot graph` prints it.",
            "",
            "```mermaid",
            drawing().strip(),
            "```",
            "",
            "Solid: always. Dotted: decided by a route. `approve` waits for a person; `act` runs",
            "one approved step per pass; `verify` judges by fresh data. Why it is so:",
            "[state machine](decisions/state-machine.md).",
            "",
        ]
    )


def located() -> str:
    """What the last run over recorded incidents gave, in two sentences."""
    found = result("incidents")["summary"]
    first, three, kind = (
        f"{100 * found[key]:.0f} %" for key in ("mean.ac1", "mean.ac3", "kind_accuracy")
    )
    return (
        "On 273 recorded incidents of seven public systems (the half of the data that was tuned\n"
        f"on), onset handed over, no model, the right component is first in {first} and among\n"
        f"three in {three}, mean over systems. Where it is first, the kind is right in {kind}."
    )


def benchmarks(text: str) -> str:
    """The page of method with the table of every suite between its markers."""
    for name, written in TABLES.items():
        text = _between(text, name, written())
    return text


def _between(text: str, mark: str, content: str) -> str:
    block = f"<!-- {mark} -->\n{content}\n<!-- /{mark} -->"
    return re.sub(rf"<!-- {mark} -->.*?<!-- /{mark} -->", lambda _: block, text, flags=re.DOTALL)


def signatures() -> str:
    """The table of fault signatures, a line per row of the code."""
    rows = [
        f"| {row.name} | {row.term} | {row.reads.__name__}{f' of {row.of}' if row.of else ''} "
        f"| {' '.join((inspect.getdoc(row.strength) or '').split())} | {_ACCUSED[row.accuses]} "
        f"| {row.kind or 'as read'} | {row.weight:g} | {row.vote:g} | {row.example} |"
        for row in SIGNATURES
    ]
    head = "| signature | term | reads | holds where | accuses | kind | weight | vote | example |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *rows])


_ACCUSED = {"service": "it", "caller": "the caller", "entry": "the front door"}


def playbooks_page() -> str:
    """Which playbook mends each kind of fault and which buys time, or why there is none."""
    catalogue = playbooks()

    def cell(kind: FaultKind, effect: PlaybookEffect, language: Language) -> str:
        found = playbooks_for(catalogue, kind, effect)
        if found:
            return ", ".join(f"`{name}`" for name in found)
        said: str = getattr(NO_PLAYBOOK[kind, effect], language)
        return f"– {said}"

    lines = [
        "# Playbooks for each kind of fault",
        "",
        f"Generated from the catalogue ({len(catalogue)} playbooks); `copilot playbook show ID` "
        "prints the card of one.",
    ]
    heads: dict[Language, str] = {
        "en": "what is wrong | mends it | buys time",
        "zh": "故障 | 修复 | 缓解",
    }
    for language, head in heads.items():
        lines += ["", f"| {head} |", "|---|---|---|"]
        lines += [
            f"| {word('fault_kind', kind, language)} | {cell(kind, 'mends', language)} "
            f"| {cell(kind, 'buys_time', language)} |"
            for kind in get_args(FaultKind)
        ]
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    front, measured = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
    told = ROOT / "docs" / "decisions" / "fault-signatures.md"
    rights = ROOT / "docs" / "decisions" / "rights.md"
    return {
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "graph.md": graph_page(),
        ROOT / "docs" / "playbooks.md": playbooks_page(),
        ROOT / "docs" / "house.md": house_page(House(ROOT)),
        front: _between(front.read_text(encoding="utf-8"), "located", located()),
        measured: benchmarks(measured.read_text(encoding="utf-8")),
        told: _between(told.read_text(encoding="utf-8"), "signatures", signatures()),
        rights: _between(rights.read_text(encoding="utf-8"), "routes", routes()),
        ROOT / "docs" / "openapi.json": openapi(),
    }


def routes() -> str:
    """The table of routes and who may, from the one the gate goes by."""
    grouped: dict[Need, list[str]] = {}
    for method, path, need in RIGHTS:
        grouped.setdefault(need, []).append(f"`{method} {path}`")
    rows = [
        f"| {need} | {LEAST[need] or 'anybody'} | {need if need in SCOPES else '–'} "
        f"| {', '.join(listed)} |"
        for need, listed in grouped.items()
    ]
    head = "| need | least role | token's scope | routes |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def openapi() -> str:
    """What programs may ask, as OpenAPI."""
    store = Store("sqlite:///described.sqlite")  # and never opened
    described = create_app(
        CountedEngine(store),
        Settings(),
        received=ReceivedTelemetry(SystemClock()),
        desk=ChatService(store, _unasked, SystemClock(), str),
        examine=lambda: CheckReport(pid=0, data_folder="", checks=()),
    )
    return json.dumps(described.openapi(), indent=1, ensure_ascii=False) + "\n"


def _unasked(_incident: Incident | None) -> ToolContext:
    raise NotImplementedError  # nothing is asked of what is only described


def traced() -> dict[Path, str]:
    """The page that takes a run to write; `tests/test_house.py` holds its files, not its order."""
    return {ROOT / "docs" / "way-of-one-alert.md": way_page(way())}


if __name__ == "__main__":
    for path, text in (pages() | traced()).items():
        path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"wrote {path.relative_to(ROOT)}\n")
