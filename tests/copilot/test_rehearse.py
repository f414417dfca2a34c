"""What would be refused tonight is known today: read from real targets, with nothing changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from copilot import wiring
from copilot.hands import read_runners
from copilot.settings import load
from copilot.surfaces.cli import app
from copilot.surfaces.commands.rehearse import on_schedule
from copilot.testing.runners import EchoServer

Run = Callable[..., Result]
OWN = (Path(__file__).parent / "own_restart.yaml").read_text(encoding="utf-8")
POOL = ("resize-pool", "cart", "--set", "pool_size=20", "--set", "pool_size_before=10")


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """A folder with the settings of the service `cart`."""
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "cart.json").write_text('{"flags": {}, "config": {"pool_size": 10}}')
    return folder


@pytest.fixture
def run(tmp_path: Path, services: Path) -> Run:
    """A command where only settings files may be changed; `more` is added to the runners file."""

    def typed(*arguments: str, more: str = "") -> Result:
        file = tmp_path / "runners.toml"
        file.write_text(f'{more}\n[settings_files]\nfolder = "{services}"\n', encoding="utf-8")
        environment = {"COLUMNS": "200", "TERM": "dumb", "COPILOT_RUNNERS_FILE": str(file)}
        folder = ("--data-dir", str(tmp_path / "data"))
        return CliRunner().invoke(app, [*folder, "rehearse", *arguments], env=environment)

    return typed


def facts(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"pool_size:cart": 10}')


def test_each_step_and_the_way_back_are_read_and_nothing_is_changed(
    run: Run, services: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts(tmp_path)
    monkeypatch.setenv("COPILOT_FACTS_FILE", str(tmp_path / "facts.json"))
    before = (services / "cart.json").read_text()
    said = run("resize-pool", "cart")  # the values come from the facts
    assert said.exit_code == 0, said.output
    assert "nothing would be refused" in said.output
    assert "cart: pool_size is 10" in said.output
    assert "back: Set pool_size of cart back to 10" in said.output
    assert (services / "cart.json").read_text() == before


REFUSED = {
    "a precondition that is not known": (POOL, "pool_size < 500.0 is needed, but it is not known"),
    "a service without a file": (
        ("resize-pool", "web", "--set", "pool_size=20", "--set", "pool_size_before=10"),
        "service 'web' has no settings file",
    ),
    "a value that no fact gives": (("resize-pool", "cart"), "parameter 'pool_size': the fact"),
    "a value out of bounds": (
        ("resize-pool", "cart", "--set", "pool_size=9999", "--set", "pool_size_before=1"),
        "outside of 2.0 to 500.0",
    ),
    "an action that is not turned on": (
        ("restart", "cart"),
        "runners_file turns no 'kubernetes' steps on",
    ),
}


@pytest.mark.parametrize(("asked", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_refused_is_told_with_exit_code_1(
    asked: tuple[str, ...], said: str, run: Run
) -> None:
    shown = run(*asked)
    assert shown.exit_code == 1, shown.output
    assert said in " ".join(shown.output.split())
    told = json.loads(run(*asked, "--json").output)
    assert any(said in line["refused"] for line in told[0]["lines"])


def test_without_a_name_all_that_the_file_lists_is_rehearsed(run: Run) -> None:
    assert "there is nothing to rehearse" in run().output
    listed = 'rehearse = [{playbook = "resize-pool", component = "web"}, '
    listed += '{playbook = "reboot", component = "web"}]'
    told = json.loads(run("--json", more=listed).output)
    assert [one["playbook"] for one in told] == ["resize-pool", "reboot"]
    assert "no playbook 'reboot'" in told[1]["lines"][0]["refused"]


def test_what_is_neither_a_playbook_nor_an_incident_is_an_error(run: Run) -> None:
    said = run("inc-9")
    assert said.exit_code == 2
    assert "neither a playbook nor an incident is named 'inc-9'" in said.output
    assert "copilot rehearse restart COMPONENT" in run("restart").output


def test_an_address_that_takes_no_token_is_known_and_is_only_asked(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "restart.yaml").write_text(OWN)
    with EchoServer() as target:
        file = tmp_path / "runners.toml"
        file.write_text(f'[http.ops]\nurl = "{target.url}"\n')
        environment = {
            "COLUMNS": "200",
            "COPILOT_RUNNERS_FILE": str(file),
            "COPILOT_PLAYBOOKS_DIR": str(own),
        }
        arguments = ["--data-dir", str(tmp_path), "rehearse", "restart", "cart"]
        said = CliRunner().invoke(app, arguments, env=environment)
        assert "POST was not sent" in said.output
        assert target.calls == []


def test_the_schedule_notes_in_the_journal_what_would_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "runners.toml"
    file.write_text('rehearse = [{playbook = "restart", component = "cart"}]\n')
    settings = load(data_dir=tmp_path / "data", runners_file=file)
    assert read_runners(file).rehearse[0].playbook == "restart"
    with wiring.engine(settings, "test") as engine:
        on_schedule(engine, settings)
        noted = engine.store.journal.events("rehearsal-restart")
    reasons = [one.detail["reason"] for one in noted]
    assert [one.kind for one in noted] == ["would_be_refused"] * len(noted)
    assert "runners_file turns no 'kubernetes' steps on" in reasons
