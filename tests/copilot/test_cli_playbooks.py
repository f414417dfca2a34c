"""Playbooks and the emergency stop, as a person types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from copilot.surfaces.cli import app
from copilot.surfaces.commands.playbook import panel
from copilot.surfaces.console.card import PlaybookCard
from knowledge_base import playbooks
from prompts import Language
from tools.playbook_executor import Policy
from tools.types import Text

Run = Callable[..., Result]
SCALE = ("scale-out", "cart", "--set", "replicas=5", "--set", "replicas_before=3")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command over a data folder of its own, answered from the keyboard."""

    def typed(*arguments: str, answer: str = "", **settings: str) -> Result:
        environment = {"COLUMNS": "140", "TERM": "dumb", **settings}
        folder = ("--data-dir", str(tmp_path / "data"))
        return CliRunner().invoke(app, [*folder, *arguments], input=answer, env=environment)

    return typed


def journal(run: Run) -> list[tuple[str, str]]:
    """Kind and author of each row."""
    rows = [json.loads(line) for line in run("journal", "export").output.splitlines()]
    return [(row["kind"], row["by"]) for row in rows]


def test_the_list_has_every_playbook_and_show_prints_one_whole(run: Run) -> None:
    listed = run("playbook", "list").output
    assert all(one.id in listed for one in playbooks())
    assert json.loads(run("playbook", "show", "restart", "--json").output)["id"] == "restart"
    assert "no playbook 'reboot'" in run("playbook", "show", "reboot").output


def test_validate_names_the_file_the_line_and_what_is_wrong(run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("id: x\nsurprise: 1\n", encoding="utf-8")
    shown = run("playbook", "validate", str(wrong))
    assert shown.exit_code == 1
    assert f"{wrong}:" in shown.output
    assert run("playbook", "validate").exit_code == 0


def test_render_shows_the_plan_and_runs_nothing(run: Run) -> None:
    shown = run("playbook", "render", *SCALE)
    assert "Scale out cart to 5 replicas" in shown.output
    assert journal(run) == []


@pytest.mark.parametrize("text", ["cart; reboot", "$(reboot)", "../etc"])
def test_a_hostile_component_is_refused(run: Run, text: str) -> None:
    refused = run("playbook", "run", "restart", text, "--by", "anna", "--yes")
    assert refused.exit_code == 2
    assert journal(run) == []


def test_run_asks_first_and_without_a_yes_does_nothing(run: Run) -> None:
    shown = run("playbook", "run", *SCALE, "--by", "anna", answer="n\n")
    assert shown.exit_code == 1
    assert "nothing was run" in shown.output
    assert journal(run) == []


def test_run_says_what_it_would_do_and_the_journal_knows(run: Run) -> None:
    shown = run("playbook", "run", *SCALE, "--fact", "replicas=3", "--by", "anna", "--yes")
    assert shown.exit_code == 0
    assert "would run kubernetes" in shown.output
    assert "(dry run)" in shown.output
    assert journal(run) == [("approved", "anna"), ("acted", "anna")]
    assert run("journal", "verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "settings", "reason"),
    [
        pytest.param((*SCALE, "--by", "anna"), {}, "it is not known", id="unknown precondition"),
        pytest.param(
            ("clean-disk", "cart", "--set", "days=7", "--by", "anna"),
            {},
            "class C needs 2 different approvers",
            id="one person for class C",
        ),
        pytest.param(
            ("restart", "cart", "--by", "eve"),
            {"COPILOT_APPROVERS": '["anna"]'},
            "'eve' has no right to approve",
            id="not an approver",
        ),
    ],
)
def test_run_passes_the_gates_of_every_plan(
    run: Run, arguments: tuple[str, ...], settings: dict[str, str], reason: str
) -> None:
    shown = run("playbook", "run", *arguments, "--yes", **settings)
    assert shown.exit_code == 1
    assert reason in " ".join(shown.output.split())


def test_with_four_eyes_nobody_approves_what_they_alone_filled_in(run: Run) -> None:
    command = ("playbook", "run", "restart", "cart", "--yes", "--by", "anna")
    alone = run(*command, COPILOT_FOUR_EYES="true")
    assert alone.exit_code == 2
    assert "'anna' needs another" in alone.output
    assert run(*command, "--by", "bob", COPILOT_FOUR_EYES="true").exit_code == 0
    assert journal(run) == [("approved", "bob"), ("acted", "bob")]


def test_stop_outlives_its_process_until_an_approver_resumes(run: Run) -> None:
    restart = ("playbook", "run", "restart", "cart", "--yes", "--by", "anna")
    assert run("stop", "--reason", "peak sale", "--by", "eve").exit_code == 0
    refused = run(*restart)
    assert refused.exit_code == 1
    assert "'eve' stopped all executions: peak sale" in " ".join(refused.output.split())
    assert "stopped by eve" in run("doctor").output
    lists = {"COPILOT_APPROVERS": '["anna"]'}
    assert run("resume", "--by", "eve", **lists).exit_code == 2
    assert run("resume", "--by", "anna", **lists).exit_code == 0
    assert run("resume", "--by", "anna").exit_code == 1
    assert run(*restart).exit_code == 0
    assert [kind for kind, _ in journal(run)] == [
        "stopped",
        "approved",
        "acted",
        "resumed",
        "approved",
        "acted",
    ]


CARD = {
    "en": ("who agrees 2 different approvers", "undone by itself where it made things worse"),
    "zh": ("谁批准 2 位不同的批准人", "如何撤销 若情况变差则自动"),
}


@pytest.mark.parametrize("language", CARD)
def test_the_card_says_what_a_person_decides_on_in_their_language(run: Run, language: str) -> None:
    said = " ".join(run("playbook", "show", "drain-node", "--lang", language).output.split())
    for part in CARD[language]:
        assert part in said
    assert "‹node›" in said
    assert "${" not in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_playbook_has_a_card_without_holes(language: Language) -> None:
    console = Console(width=120, record=True, quiet=True)
    runs = Text(en="dry run", zh="演练")
    for one in playbooks():
        console.print(panel(PlaybookCard(one, Policy(), runs, language)))
    assert "${" not in console.export_text()
