"""The file of what may really be touched: read strictly, wired, and met by a real target."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import JsonValue
from typer.testing import CliRunner, Result

from copilot import hands, wiring
from copilot.hands import (
    ActionRunner,
    CommandRunner,
    RunnersFileError,
    described,
    meaning,
    read_runners,
)
from copilot.settings import SettingsError, load
from copilot.sources.clock import SystemClock
from copilot.sources.recorded import RecordedBundle
from copilot.surfaces.cli import app
from copilot.testing.runners import EchoServer
from copilot.types import home
from evals.localization.cases import RECORDINGS
from knowledge_base import playbooks
from tools.playbook_executor import draft, fill
from tools.types import PlanStep, StepAction

SHIPPED = {one.id for one in playbooks()}
MEMORY = RECORDINGS / "incidents" / "lab-aaabb5"
CLOCK = SystemClock()
SECRET = "sesame-open-4711"
OWN_RESTART = (Path(__file__).parent / "own_restart.yaml").read_text(encoding="utf-8")


def written(folder: Path, text: str, name: str = "runners.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


DNS_NAME = """[switch.www]
states.blue = ["192.0.2.1"]
states.green = ["192.0.2.2"]
dns = {server = "192.0.2.53", zone = "shop.example", name = "www", key = "copilot"}
"""

WRONG = {
    "not TOML": ("[http\n", "is not TOML: Expected ']'"),
    "an unknown key": ("shell = true\n", "shell: is not a key"),
    "an unknown key within": ('[http.ops]\nurl = "http://h"\nverify = false\n', "http.ops.verify:"),
    "a word for a switch": ('wait = "yes"\n', "wait: Input should be a valid boolean"),
    "a name with a space": ('[http."a b"]\nurl = "http://h"\n', "http.a b: "),
    "an address with a user": ('[http.ops]\nurl = "http://u:p@h"\n', "http.ops.url: "),
    "no address": ('[http.ops]\nurl = "ftp://h"\n', "http.ops.url: "),
    "a variable that is not set": (
        '[http.ops]\nurl = "http://h"\ntoken_env = "NOT_SET"\n',
        "http.ops.token_env: variable 'NOT_SET' is not set",
    ),
    "two tokens": ('[http.ops]\nurl = "http://h"\ntoken_env = "A"\ntoken = "b"\n', "keep one"),
    "a token with a line end": ('[http.ops]\nurl = "http://h"\ntoken = "a\\nb"\n', "no header"),
    "a relative program": ('[command]\nflush = "bin/flush"\n', "command: command 'flush'"),
    "a program that is not there": ('[command]\nflush = "/no/such"\n', "command: "),
    "a folder that is not there": ('[settings_files]\nfolder = "/no/such"\n', "settings_files.fol"),
    "a proxy without a way to it": ("[traffic.edge]\n", "traffic.edge: needs one of"),
    "a database's password in the file": (
        '[database.d]\nurl = "postgresql://u:p@h/d"\n',
        "database.d.url: holds a password",
    ),
    "a database of no kind we know": ('[database.d]\nurl = "oracle://u@h/d"\n', "database.d.url: "),
    "a database's variable that is not set": (
        '[database.d]\nurl = "postgresql://u@h/d"\npassword_env = "NOT_SET"\n',
        "database.d.password_env: variable 'NOT_SET' is not set",
    ),
    "all keys of a cache": ('[cache.c]\nhost = "h"\nkeys.all = "*"\n', "cache.c.keys.all: "),
    "a pattern of many": ('[cache.c]\nhost = "h"\nkeys.all = "[a-z]*"\n', "cache.c.keys.all: "),
    "a password of a cache": (
        '[cache.c]\nhost = "h"\npassword = "x"\n',
        "cache.c.password: name a variable",
    ),
    "a switch of nothing": (
        '[switch.s]\nstates.a = "1"\nstates.b = "2"\n',
        "switch.s: needs one of dns, api and kubernetes",
    ),
    "a switch with one state twice": (
        '[http.c]\nurl = "http://h"\n[switch.s]\nstates.a = "1"\nstates.b = "1"\n'
        'api = {of = "consul", base = "c", values = {key = "k"}}\n',
        "switch.s: what is b is a as well",
    ),
    "a DNS name without its key": (DNS_NAME, "switch.www: needs password_env"),
    "a DNS name's variable that is not set": (
        f'{DNS_NAME}password_env = "NOT_SET"\n',
        "switch.www.password_env: variable 'NOT_SET' is not set",
    ),
    "a DNS server by its name": (
        DNS_NAME.replace("192.0.2.53", "ns.shop.example"),
        "switch.www.dns.server: 'ns.shop.example' does not appear to be an IPv4 or IPv6 address",
    ),
    "no namespace": ("[kubernetes]\n", "kubernetes.namespace: Field required"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_stops_the_start_with_file_key_and_reason(
    text: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with (
        pytest.raises(RunnersFileError) as refused,
        wiring.engine(load(data_dir=tmp_path / "data", runners_file=path), "test"),
    ):
        pass
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


def test_the_example_with_every_key_is_read(tmp_path: Path) -> None:
    declared = read_runners(Path(hands.__file__).parent / "runners.toml")
    assert set(type(declared).model_fields) == declared.model_fields_set
    assert list(described(declared))


def test_a_secret_is_never_repeated_by_what_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path, f'[http.ops]\nurl = "http://h"\ntoken = "{SECRET}"\n')
    assert SECRET not in repr(read_runners(path))
    wrong = written(tmp_path, f'[http.ops]\nurl = "http://h"\ntoken = ["{SECRET}"]\n')
    with pytest.raises(RunnersFileError) as refused:
        read_runners(wrong)
    assert SECRET not in str(refused.value)


def test_without_a_file_every_step_is_a_dry_run(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path)
    assert wiring.declared_runners(settings) is None
    assert wiring.unrunnable(settings, playbooks()) == {}


def test_a_playbook_that_nothing_here_can_run_to_its_end_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[command]\ncache-flush = "/bin/true"\n')
    cannot = wiring.unrunnable(load(data_dir=tmp_path, runners_file=path), playbooks())
    assert {"cache-flush"} == SHIPPED - set(cannot)
    assert cannot["certificate-renewal"].startswith("a manual step is confirmed at a terminal")
    assert cannot["restart"] == "runners_file turns no 'kubernetes' steps on"
    assert cannot["clean-disk"] == "runners_file has no command 'disk-cleanup'"


def test_an_own_playbook_stands_in_for_the_shipped_one(tmp_path: Path) -> None:
    written(tmp_path, OWN_RESTART, "restart.yaml")
    found = {one.id: one for one in wiring.catalogue(load(playbooks_dir=tmp_path))}
    assert set(found) == SHIPPED
    assert found["restart"].steps[0].action == "http"


OWN_WRONG = {
    "an unknown key": ("restart.yaml", OWN_RESTART + "surprise: 1\n", ":30: surprise: Extra"),
    "another name": ("reboot.yaml", OWN_RESTART, "reboot.yaml:1: holds the playbook 'restart'"),
    "not text": ("restart.yaml", "id: \x00", "restart.yaml:1: "),
}


@pytest.mark.parametrize(("name", "text", "said"), OWN_WRONG.values(), ids=OWN_WRONG.keys())
def test_a_broken_own_playbook_stops_the_start_with_file_and_line(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    written(tmp_path, text, name)
    with pytest.raises(SettingsError) as refused:
        wiring.catalogue(load(playbooks_dir=tmp_path))
    assert f"{tmp_path}/" in str(refused.value)
    assert said in str(refused.value)


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a folder"):
        wiring.catalogue(load(playbooks_dir=tmp_path / "none"))


# --- what names stand for ------------------------------------------------------------------------


def _program(path: Path, said: str = "hello") -> Path:
    path.write_text(f"#!/bin/sh\necho {said}\n")
    path.chmod(0o755)
    return path


def _step(**changes: object) -> PlanStep:
    arguments = {"argv": ["greet"]}
    step = PlanStep(index=0, title="Greet", action="command", arguments=arguments)
    return step.model_copy(update=changes)


def test_a_step_names_its_program_and_its_hash_and_another_program_is_not_run(
    tmp_path: Path,
) -> None:
    program = _program(tmp_path / "greet")
    declared = read_runners(written(tmp_path, f'[command]\ngreet = "{program}"\n'))
    runner = ActionRunner({"command": CommandRunner(declared.command, CLOCK)}, CLOCK, declared)
    approved = _step(stands_for=runner.stands_for(_step()))
    assert approved.stands_for.startswith(f"{program} sha256:")
    assert runner.run(approved, "k").ok
    _program(program, "gone")
    refused = runner.run(approved, "k")
    assert not refused.ok
    assert "planned again" in refused.error
    assert not runner.run(_step(), "k").ok


@pytest.mark.parametrize(
    ("text", "action", "arguments", "said"),
    [
        ('[http.ops]\nurl = "https://a/v1"', "http", {"base": "ops"}, "https://a/v1"),
        ('[kubernetes]\nnamespace = "shop"', "kubernetes", {}, "namespace shop, context current"),
        ('[settings_files]\nfolder = "/etc/services"', "config", {}, "/etc/services"),
        ("wait = true", "wait", {}, ""),
    ],
)
def test_a_step_names_what_it_acts_on(
    tmp_path: Path, text: str, action: StepAction, arguments: dict[str, object], said: str
) -> None:
    declared = read_runners(written(tmp_path, text))
    assert meaning(declared, _step(action=action, arguments=arguments)) == said


def test_the_digest_covers_what_a_name_stands_for() -> None:
    (playbook,) = (one for one in playbooks() if one.id == "restart")
    values = {"service": "cart"}
    digests = set()
    for said in ("namespace shop", "namespace other"):

        def stands_for(_step: PlanStep, told: str = said) -> str:
            return told

        plan = fill(playbook, values, "I1", "cart", (), 1.0, 60.0, stands_for)
        digests.add(plan.digest)
    assert len(digests) == 2


@pytest.mark.parametrize("mode", [0o666, 0o646], ids=oct)
def test_a_runners_file_or_program_that_others_may_write_is_refused(
    tmp_path: Path, mode: int
) -> None:
    program = _program(tmp_path / "greet")
    path = written(tmp_path, f'[command]\ngreet = "{program}"\n')
    path.chmod(mode)
    with pytest.raises(RunnersFileError, match=f"chmod go-w {path}"):
        read_runners(path)
    path.chmod(0o644)
    program.chmod(mode | 0o111)
    with pytest.raises(RunnersFileError, match=f"command.greet: .*chmod go-w {program}"):
        read_runners(path)


# --- as a person types it, against a target on the loopback -------------------------------------


@pytest.fixture
def target() -> Iterator[EchoServer]:
    with EchoServer() as listening:
        yield listening


@pytest.fixture
def environment(tmp_path: Path, target: EchoServer) -> dict[str, str]:
    own = tmp_path / "own"
    own.mkdir()
    written(own, OWN_RESTART, "restart.yaml")
    text = f'[http.ops]\nurl = "{target.url}/v1"\ntoken_env = "OPS_TOKEN"\n'
    return {
        "COPILOT_DATA_DIR": str(tmp_path / "data"),
        "COPILOT_RUNNERS_FILE": str(written(tmp_path, text)),
        "COPILOT_PLAYBOOKS_DIR": str(own),
        "OPS_TOKEN": SECRET,
        "COLUMNS": "200",
        "TERM": "dumb",
    }


def typed(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


def test_doctor_and_list_say_what_runs_for_real(environment: dict[str, str]) -> None:
    said = typed(environment, "doctor").output
    assert f"http: ops: {environment_url(environment)}, token from OPS_TOKEN" in said
    ours = {"restart", "revert-commit"}  # what calls an address can call this one
    assert f"{len(SHIPPED - ours)} not run here" in said
    listed = typed(environment, "playbook", "list").output
    assert "runners_file turns no 'kubernetes' steps on" in listed
    assert "sync-clock, warm-cache: runners_file turns no 'command' steps on" in listed
    assert SECRET not in said + listed


def environment_url(environment: dict[str, str]) -> str:
    text = Path(environment["COPILOT_RUNNERS_FILE"]).read_text(encoding="utf-8")
    return text.partition('url = "')[2].partition('"')[0]


def test_a_plan_filled_in_by_hand_reaches_the_target_once(
    environment: dict[str, str], target: EchoServer
) -> None:
    said = typed(environment, "playbook", "run", "restart", "cart", "--by", "anna", "--yes")
    assert said.exit_code == 0, said.output
    (call,) = target.calls
    assert (call.method, call.path) == ("POST", "/v1/services/cart/restart")
    assert call.headers["Authorization"] == f"Bearer {SECRET}"
    assert call.headers["Idempotency-Key"].startswith("by-hand-")
    # The target repeats the token in its answer; nothing of ours does.
    exported = typed(environment, "journal", "export").output
    assert "services/cart/restart answered 202" in exported
    assert SECRET not in said.output + exported


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`copilot serve` as a process of its own, over a recorded incident; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "copilot", "serve", "--port", "0", "--bundle", str(MEMORY)],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        assert "copilot listens at" in first, first + process.stderr.read()
        yield process, first.split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def awaited(question: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first answer that is something; fails where none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("nothing came")


def delivered(address: str) -> None:
    """The alerts of the recording, as Prometheus would push them."""
    bundle = RecordedBundle(MEMORY)
    alerts = [
        {
            "labels": dict(one.labels),
            "startsAt": datetime.fromtimestamp(one.starts_at, UTC).isoformat(),
        }
        for one in bundle.alerts(bundle.window)
    ]
    httpx.post(f"{address}/api/v2/alerts", json=alerts).raise_for_status()


def waiting_plan(address: str) -> dict[str, Any]:
    def plan() -> dict[str, Any] | None:
        for line in httpx.get(f"{address}/incidents").json():
            one = httpx.get(f"{address}/incidents/{line['id']}").json()
            if one["status"] == "awaiting_approval":
                found: dict[str, Any] = one["plan"]
                return found
        return None

    found: dict[str, Any] = awaited(plan)
    return found


def approved(environment: dict[str, str], address: str, plan: dict[str, Any]) -> None:
    answer = {
        "plan_id": plan["id"],
        "digest": plan["digest"],
        "decision": "approve",
        "approver": "anna",
    }
    url = f"{address}/incidents/{plan['incident_id']}/approval"
    token = home.admin_token(Path(environment["COPILOT_DATA_DIR"]))
    headers = {"authorization": f"Bearer {token}"}
    httpx.post(url, json=answer, headers=headers).raise_for_status()


@pytest.mark.integration
def test_killed_while_the_target_works_the_step_is_repeated_under_its_key_and_done_once(
    environment: dict[str, str], target: EchoServer
) -> None:
    target.hold()
    with serving(environment) as (process, address):
        delivered(address)
        plan = waiting_plan(address)
        assert plan["playbook_id"] == "restart"
        # What lies on the disk by now is not what was approved, and is not what runs.
        changed = OWN_RESTART.replace("/restart", "/delete")
        written(Path(environment["COPILOT_PLAYBOOKS_DIR"]), changed, "restart.yaml")
        approved(environment, address, plan)
        awaited(lambda: target.calls)
        process.send_signal(signal.SIGKILL)
        process.wait()
    target.release()
    with serving(environment) as (_, address):
        one = f"{address}/incidents/{plan['incident_id']}"
        awaited(lambda: httpx.get(one).json()["results"])
        result = httpx.get(one).json()["results"][0]
    assert result["ok"]
    assert not result["dry_run"]
    assert {call.path for call in target.calls} == {"/v1/services/cart/restart"}
    assert {call.headers["Idempotency-Key"] for call in target.calls} == {result["key"]}
    assert len(target.calls) == 2
    assert target.done == [result["key"]]
    exported = typed(environment, "journal", "export").output
    assert SECRET not in exported + json.dumps(result) + json.dumps(plan)


# --- Ansible, by the program itself -------------------------------------------------------------

PLAY = """
- name: Restart the worker
  hosts: all
  connection: local
  gather_facts: false
  vars: {worker: none}
  tasks:
    - ansible.builtin.copy:
        content: restarted by {{ worker }}
        dest: "DONE"
        mode: "0600"
"""


@pytest.mark.integration
def test_an_ansible_playbook_is_tried_by_check_and_run_by_its_digest(tmp_path: Path) -> None:
    program = shutil.which("ansible-playbook")
    if program is None:
        pytest.skip("ansible-core is not installed")
    play, done = tmp_path / "restart.yml", tmp_path / "done"
    play.write_text(PLAY.replace("DONE", str(done)), encoding="utf-8")
    imported = draft(play.read_text(encoding="utf-8"), str(play))
    assert "ansible-playbook" in imported
    path = written(
        tmp_path,
        f'[command]\nansible-playbook = "{program}"\n'
        '[command_dry_run]\nansible-playbook = "--check"\n',
    )
    declared = read_runners(path)
    argv = ["ansible-playbook", "-i", "localhost,", "--limit", "localhost", "-e", "worker=w-1"]
    step = PlanStep(
        index=0,
        title="t",
        action="command",
        arguments={"argv": [*argv, str(play)]},
        timeout_s=120,
    )
    step = step.model_copy(update={"stands_for": meaning(declared, step)})
    assert f"{play} sha256:" in step.stands_for
    commands = CommandRunner(declared.command, CLOCK, dry_run=declared.command_dry_run)
    runner = ActionRunner({"command": commands}, CLOCK, declared)
    tried = runner.rehearse(step)
    assert tried.refused == "", tried
    assert "changed=1" in tried.seen
    assert not done.exists()
    ran = runner.run(step, "k")
    assert ran.ok, ran.error + ran.output
    assert "failed=0" in ran.output
    assert done.read_text(encoding="utf-8") == "restarted by w-1"
    play.write_text(play.read_text(encoding="utf-8").replace("0600", "0644"), encoding="utf-8")
    assert "was changed since it was approved" in runner.run(step, "k").error


NAMED = {
    "as it stands": "{file}",
    "after an equals sign": "--inventory={file}",
    "after an at sign": "-e@{file}",
    "both": "--extra-vars=@{file}",
    "from the root, where it runs": "{relative}",
}


@pytest.mark.parametrize("word", NAMED.values(), ids=NAMED)
def test_a_file_that_an_argument_names_is_in_what_is_approved(word: str, tmp_path: Path) -> None:
    named = tmp_path / "hosts"
    named.write_text("web-1", encoding="utf-8")
    declared = read_runners(written(tmp_path, '[command]\nrun = "/bin/true"\n'))
    shown = word.format(file=named, relative=str(named).lstrip("/"))
    argv: list[JsonValue] = ["run", shown, "web-1"]
    step = PlanStep(index=0, title="t", action="command", arguments={"argv": argv})
    before = meaning(declared, step)
    assert before.count("sha256:") == 2
    named.write_text("db-1", encoding="utf-8")
    assert meaning(declared, step) != before
