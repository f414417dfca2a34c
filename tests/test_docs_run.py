"""Every command that a page shows is run, or says here why it is only held against its parser.

All run in this process over the store of one demo that is kept, in a folder that is thrown away.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from copilot.sources.recordings import recordings
from copilot.surfaces.cli import app
from evals.__main__ import app as evals_app
from evals.registry import BENCHMARKS, SUITES, TRAININGS
from tests.test_docs_commands import PAGES, commands, unknown, words

pytestmark = pytest.mark.integration

SERVES = "goes on until it is stopped; test_serve_process and the torture run it"
DECIDES = "answers a plan that waits at a service; test_cli and test_survival run it"
CHANGES = "changes an incident of a service; test_cli, test_on_call and test_merging run it"
TARGETS = "needs a target or a file of its own; test_rehearse and test_runner_* run it"
ELSEWHERE = "asks somebody else; test_notify_routing, test_looks and test_sign_in_outside run it"
TYPED = "asks for a word at the terminal; test_people and test_learning run it"
LONG = "takes minutes, real data or a model; the diary and docs/results hold its runs"
INSTALLS = "installs, or is what runs this"

PARSED: Mapping[str, str] = {
    r"copilot (serve|worker|watch|mcp)\b.*": SERVES,
    r"copilot demo --console": SERVES,
    r"copilot chat( --conversation .*)?": "talks until it is left; test_chat* run it",
    r"copilot (approve|reject|edit|step|retry)\b.*": DECIDES,
    r"copilot (take|handover|merge|split|stop|resume)\b.*": CHANGES,
    r"copilot rehearse( shift-traffic.*| --json| .*INCIDENT)?": TARGETS,
    r"copilot playbook (run|validate|import)\b.*": TARGETS,
    r"copilot (login|notify|looks (pin|try)|--server)\b.*": ELSEWHERE,
    r"copilot (cause|record|learned reset|postmortem .*--accept)\b.*": TYPED,
    r"copilot users (passwd|disable)\b.*": TYPED,
    r"copilot users add anna --role approver --service .*": "one anna is enough; test_people",
    r"copilot playbook show ID .*": "the option is optional; shown in Chinese by another",
    r"copilot demo proxy": "as long as the first; test_playbooks_on_the_simulator, `run demo`",
    r"copilot alerts explain .*(zabbix|mapped).*": "a sender's own body; test_senders runs it",
    r"copilot journal verify --head .*": "a file kept elsewhere; test_journal_head runs it",
    r"copilot investigate our-incidents.*": "an incident recorded before; test_recording runs it",
    r"copilot kb index": LONG,
    r"copilot --install-completion": INSTALLS,
    r"copilot (db (backup|prune)|kb show|users|tokens|playbook show|users add)": "only its name",
    r"make .*": INSTALLS,
    r"python -m (pytest|docs\.|copilot\.testing|evals\.).*": LONG,
    r"python -m evals (run (?!--help)|bench|house|train|ablate|soak|torture|lab) ?.*": LONG,
}


BODY = '{"alertname": "HighErrorRate", "service": "payment", "severity": "critical"}'
ANSWERS = {
    "copilot demo": "y\n",
    "copilot users add": "four or five words of mine\n",
    "copilot alerts explain -": BODY,
}
EMPTY = {
    "copilot forecast": (2, "name a recording"),
    "copilot learned show [--json]": (1, ""),
    "copilot looks list": (2, "COPILOT_LOOKS_FILE"),
    "copilot oncall": (1, "COPILOT_ON_CALL_FILE"),
}
"""Where nothing is configured: the exit code, and what is said to do."""


def run(command: list[str], answer: str = "") -> Result:
    """What a command says, in this process."""
    if command[0] == "copilot":
        return CliRunner().invoke(app, command[1:], input=answer)
    return CliRunner().invoke(evals_app, command[3:])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What stands for the words in capitals: a kept demo, and files of the kinds that are named."""
    assert run(["copilot", "demo", "--yes"]).exit_code == 0
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path / "data/demo/1"))
    incident = json.loads(run(["copilot", "incidents", "--json"]).stdout)[0]["id"]
    (tmp_path / "body.json").write_text(BODY, encoding="utf-8")
    sold = [f"2026-11-30 10:{m:02},a,{100 + m % 2}" for m in range(60)]
    sold += [f"2026-11-30 10:{m:02},b,{100 + m % 2 if m < 59 else 40}" for m in range(60)]
    (tmp_path / "sales.csv").write_text("\n".join(["time,isp,value", *sold]), encoding="utf-8")
    return {
        **dict.fromkeys(("ID", "INCIDENT", "[INCIDENT]"), incident),
        **dict.fromkeys(("FILE.csv", "sales.csv"), str(tmp_path / "sales.csv")),
        **dict.fromkeys(("FILE", "body.json"), str(tmp_path / "body.json")),
        "BACKUP": str(tmp_path / "backup"),
        "FOLDER": str(next((recordings() / "incidents").iterdir())),
        "[--json]": "--json",
    }


def test_every_command_of_the_pages_is_run_or_says_why_not(world: dict[str, str]) -> None:
    shown = {" ".join(words(one)): words(one) for text in PAGES.values() for one in commands(text)}
    to_run = {
        one: given
        for one, given in sorted(shown.items())
        if not any(re.fullmatch(pattern, one) for pattern in PARSED)
    }
    assert len(to_run) > 30
    failed = {}
    for one, given in to_run.items():
        named = {"db": {"FILE": "BACKUP"}, "playbook": {"ID": "rollback"}}.get(given[1], {})
        filled = [world.get(named.get(word, word), named.get(word, word)) for word in given]
        answer = next((said for begin, said in ANSWERS.items() if one.startswith(begin)), "")
        result = run(filled, answer)
        code, said = EMPTY.get(one, (0, ""))
        if result.exit_code != code or said not in result.output:
            failed[one] = (result.exit_code, result.output[-500:])
    assert failed == {}


def test_what_is_only_parsed_names_a_suite_and_options_that_the_evals_know() -> None:
    program = get_command(evals_app)
    known = {
        "run": {*SUITES, "all", "SUITE"},
        "bench": {*BENCHMARKS, "NAME"},
        "train": {*TRAININGS},
    }
    wrong = {}
    for text in PAGES.values():
        for one in commands(text):
            given = [re.sub(r"[\[\]]", "", word) for word in words(one)]
            if given[:3] != ["python", "-m", "evals"] or given[3] == "lab":
                continue
            said = unknown(program, [given[3], *(w for w in given[4:] if w.startswith("--"))])
            if given[3] in known and given[4] not in {*known[given[3]], "--help"}:
                said = said or f"no {given[4]}"
            if said:
                wrong[one] = said
    assert wrong == {}
