"""What a command prints for reading it prints for a program, too: by `--json`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from copilot.surfaces.cli import app

NOTHING_TO_READ: Mapping[str, str] = {
    "decides, and says so in a line": "approve cause edit handover merge split note reject "
    "resolve resume retry step stop take users:add users:disable users:enable users:passwd "
    "users:set tokens:add tokens:revoke learned:reset record login "
    "kb:add kb:remove kb:index notify:test playbook:run db:backup db:prune db:restore db:upgrade",
    "runs until it is stopped, or is a conversation": "demo mcp serve watch worker",
    "prints a document of another format": "graph journal:export journal:head looks:pin postmortem "
    "playbook:import",
}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, f"{path}:{name}".strip(":"))
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(leaves(typer.main.get_command(app)))
READ = sorted(set(COMMANDS) - set(" ".join(NOTHING_TO_READ.values()).split()))


@pytest.mark.parametrize("name", READ)
def test_every_command_for_reading_has_json(name: str) -> None:
    assert any("--json" in one.opts for one in COMMANDS[name].params)


@pytest.mark.parametrize("reason", NOTHING_TO_READ)
def test_no_other_command_is_named_twice_or_gone(reason: str) -> None:
    assert set(NOTHING_TO_READ[reason].split()) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        ("alerts severities", 0, {"severities", "states", "senders"}),
        ("db check", 0, {"place", "schema", "needed"}),
        ("journal verify", 0, {"ok", "rows", "noted"}),
        ("playbook list", 0, {"dry_run", "playbooks"}),
        ("playbook validate", 0, {"problems", "not_proposed"}),
        ("playbook render rollback cart", 0, {"digest", "steps", "risk"}),
        ("users list", 0, set()),
        ("tokens list", 0, set()),
        ("incidents", 0, set()),
    ],
)
def test_json_is_one_document_and_nothing_else(arguments: str, code: int, keys: set[str]) -> None:
    shown = CliRunner().invoke(app, [*arguments.split(), "--json"], env={"COLUMNS": "40"})
    assert shown.exit_code == code, shown.output
    document = json.loads(shown.stdout)
    assert keys <= set(document) if keys else document == []
