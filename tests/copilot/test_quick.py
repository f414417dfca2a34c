"""Commands that cannot wait: they ask the running service, or read a file, and load little."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from copilot.settings import Settings, load
from copilot.store import Store
from copilot.surfaces import listing, quick
from copilot.surfaces.cli import app as line
from copilot.surfaces.cli_options import QUICK, Flags
from copilot.surfaces.commands import screen
from copilot.types import home
from copilot.types.incident import Incident
from tests.copilot import people_world as world
from tests.copilot.people_world import NOW, PLAN, TOKEN
from tools.types import Candidate, Ranking

empty, bare, planned, waiting = world.empty, world.bare, world.planned, world.waiting
store, clock, access, engine, app = world.store, world.clock, world.access, world.engine, world.app

HEAVY = [
    *("copilot.settings", "copilot.store", "copilot.wiring", "fastapi", "httpx", "langchain_core"),
    *("langgraph", "networkx", "numpy", "sqlalchemy", "tools", "torch"),
]
"""What makes a start slow; `tools` stands for all instruments. Typer itself brings pydantic."""


@pytest.fixture
def folder(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder of a service that answers; its people have accounts."""
    place = tmp_path / "data"
    home.made(place)
    (place / "admin.token").touch(0o600)
    (place / "admin.token").write_text(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with home.owned(place, f"serving at http://127.0.0.1:{listener.getsockname()[1]}"):
            monkeypatch.setenv("COPILOT_DATA_DIR", str(place))
            yield place
        server.should_exit = True
        thread.join(20)


def run(*arguments: str, answer: str = "", columns: int = 120) -> Result:
    env = {"COLUMNS": str(columns), "TERM": "dumb", "USER": ""}
    return CliRunner().invoke(line, arguments, input=answer, env=env)


def loaded_by(folder: Path, *arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and which heavy modules its process has imported at its end."""
    code = (
        "import sys, atexit; from copilot.surfaces.cli import app\n"
        f"atexit.register(lambda: sys.stderr.write(' '.join(m for m in {HEAVY!r} "
        "if m in sys.modules)))\n"
        f"app({list(arguments)!r})"
    )
    env = {**os.environ, "COPILOT_DATA_DIR": str(folder), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    return done.stdout, set(done.stderr.split())


def test_reading_a_stored_list_loads_nothing_heavy(store: Store, tmp_path: Path) -> None:
    store.close()
    shutil.copy(tmp_path / "store.sqlite", tmp_path / "copilot.sqlite")
    shown, heavy = loaded_by(tmp_path, "incidents")
    assert ("I1" in shown, heavy) == (True, set())


def test_asking_the_service_loads_nothing_heavy(folder: Path) -> None:
    said, heavy = loaded_by(folder, "stop", "--reason", "peak sale", "--by", "root")
    assert (said.startswith("Stopped by root: peak sale"), heavy) == (True, set())


def test_the_service_and_the_store_show_the_same(folder: Path, store: Store) -> None:
    told = [(), ("I1",), ("--json",), ("I1", "--json"), ("I1", "--report")]
    asked = [run("incidents", *one).output for one in told]
    store.close()
    alone = folder.with_name("alone")
    home.made(alone)
    shutil.copy(folder.with_name("store.sqlite"), alone / "copilot.sqlite")
    assert asked == [run("--data-dir", str(alone), "incidents", *one).output for one in told]
    assert all("I1" in one or "till" in one for one in asked)


@pytest.mark.parametrize(
    ("answer", "said", "code"),
    [
        ("n\n", "Not approved; nothing was run.", 1),
        ("y\n", "approved by root (1 of 1): a dry run", 0),
    ],
    ids=["no", "yes"],
)
def test_a_plan_is_approved_as_it_was_shown(
    answer: str, said: str, code: int, folder: Path, store: Store
) -> None:
    shown = run("approve", "I1", answer=answer)
    assert shown.exit_code == code, shown.output
    for part in (PLAN.digest, "Roll till back", "Approve this dry run?", said):
        assert part in shown.output
    request = store.approvals.get(PLAN.id)
    assert request is not None
    assert request.status == ("pending" if code else "approved")


def test_a_plan_of_another_digest_is_not_approved(folder: Path) -> None:
    refused = run("approve", "I1", "--digest", "ef" * 32)
    assert refused.exit_code == 2
    assert "is not the digest of plan 'rollback-1'" in refused.output


def test_a_rejection_says_who_and_that_the_service_goes_on(folder: Path) -> None:
    assert run("reject", "I1", "--reason", "not now").output.startswith("rejected by root; ")


def test_a_stop_is_set_and_lifted_in_the_name_of_whose_token_it_is(
    folder: Path, store: Store
) -> None:
    assert run("stop", "--reason", "peak sale").exit_code == 0
    stopped = store.halt.get()
    assert stopped is not None
    assert (stopped.by, stopped.reason) == ("root", "peak sale")
    assert run("resume").output.startswith("Resumed: ")
    assert (run("resume").exit_code, store.halt.get()) == (1, None)


def test_nobody_stops_in_the_name_of_another(folder: Path, store: Store) -> None:
    refused = run("stop", "--reason", "x", "--by", "the viewer")
    assert (refused.exit_code, store.halt.get()) == (2, None)
    assert "you are 'root' here" in refused.output


@pytest.mark.parametrize("key", ["s3cret-\nof-two-lines", "s3cret-\u5bc6"])
def test_a_key_that_no_header_can_hold_is_not_repeated(
    key: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPILOT_API_KEY", key)
    refused = run("stop", "--reason", "x", "--by", "root")
    assert refused.exit_code == 2
    assert "holds what no header can hold" in refused.output
    assert "s3cret" not in refused.output


def test_a_service_that_does_not_answer_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with home.owned(tmp_path, f"serving at http://127.0.0.1:{port}"):
        assert run("stop", "--reason", "it hangs", "--by", "anna").exit_code == 0
        there = run("--server", f"http://127.0.0.1:{port}", "stop", "--reason", "x", "--by", "anna")
    assert (there.exit_code, "did not answer" in there.output) == (2, True)
    stored = Store(f"sqlite:///{tmp_path / 'copilot.sqlite'}")
    halted = stored.halt.get()
    stored.close()
    assert halted is not None
    assert halted.reason == "it hangs"


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal_shows_every_word_of_a_list(
    columns: int, store: Store, tmp_path: Path
) -> None:
    store.close()
    shutil.copy(tmp_path / "store.sqlite", tmp_path / "copilot.sqlite")
    shown = run("--data-dir", str(tmp_path), "incidents", columns=columns).output
    assert max(map(len, shown.splitlines())) <= columns
    for part in ("I1", "waiting", "till", "2023-11-14"):
        assert part in shown, shown


@pytest.mark.parametrize("certainty", ["proven", "likely", "ambiguous", "insufficient"])
def test_a_list_read_from_the_file_is_the_list_of_the_store(
    certainty: str, bare: Store, tmp_path: Path
) -> None:
    told = {"component": "cart", "fault_kind": "bad_deploy", "score": 0.5, "probability": 0.5}
    ranking = Ranking.model_validate(
        {"candidates": [Candidate.model_validate(told)], "certainty": certainty}
    )
    for number in (1, 2):
        bare.incidents.open(
            Incident(
                id=f"i{number}", title="t", opened_at=NOW + number, updated_at=NOW, ranking=ranking
            )
        )
    read = listing.kept(tmp_path / "store.sqlite", 20)
    assert read == screen.rows(bare.incidents.list(limit=20))


@pytest.mark.parametrize("text", ["", "no database", "\0" * 4096])
def test_a_file_that_is_no_store_is_left_to_who_can_say_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text(text)
    assert listing.kept(tmp_path / "store.sqlite", 20) is None


@pytest.mark.parametrize(
    ("environment", "file", "flags"),
    [
        ({}, "", {}),
        ({"COPILOT_DATA_DIR": "~/one", "copilot_api_key": "k" * 32}, "", {}),
        ({"COPILOT_LANGUAGE": "zh"}, 'server = "http://a:1"\nlanguage = "en"\n', {}),
        ({"COPILOT_SERVER": "http://b:1"}, 'server = "http://a:1"\n', {"server": "http://c:1"}),
        ({"COPILOT_DATABASE_URL": "postgresql:///x"}, 'data_dir = "/two"\n', {}),
    ],
    ids=["nothing", "environment", "file over it", "flag over both", "database"],
)
def test_the_place_is_read_as_the_settings_are(
    environment: dict[str, str],
    file: str,
    flags: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [one for one in os.environ if one.startswith("COPILOT_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "c.toml").write_text(file)
    config = tmp_path / "c.toml" if file else None
    read = quick.place(Flags(config, None, flags.get("server")), None)
    whole: Settings = load(config, **flags)
    assert read is not None
    assert (read.home, read.server, read.database_url, read.language) == (
        whole.home,
        whole.server,
        whole.database_url,
        whole.language,
    )
    assert SecretStr(read.api_key or "") == (whole.api_key or SecretStr(""))


def test_settings_that_have_to_be_read_with_care_are() -> None:
    assert quick.place(Flags(Path("/none.toml"), None, None), None) is None


def test_every_quick_command_has_a_quick_way() -> None:
    assert set(quick.COMMANDS) == QUICK
