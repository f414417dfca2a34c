"""The commands as a person types them."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from copilot.surfaces.cli import app
from evals.localization.cases import RECORDINGS

HEAVY = ("torch", "langgraph", "langchain_core", "sqlalchemy", "numpy", "networkx", "fastapi")


def run(*arguments: str | Path, answer: str = "") -> Result:
    """One command, in a terminal of 120 columns, answered from the keyboard."""
    return CliRunner().invoke(
        app, [str(one) for one in arguments], input=answer, env={"COLUMNS": "120", "TERM": "dumb"}
    )


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from copilot.surfaces.cli import app; "
        f"sys.exit(','.join(m for m in {HEAVY!r} if m in sys.modules) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_command_but_one_that_embeds_imports_torch() -> None:
    code = "import sys; import copilot.surfaces.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd="/", check=False).returncode == 0


def test_version_is_the_one_of_the_package() -> None:
    assert run("--version").output.strip() == "0.1.0"


def test_graph_draws_the_state_machine() -> None:
    shown = run("graph")
    assert shown.exit_code == 0
    assert "triage --> gather" in shown.output


def test_demo_asks_and_does_nothing_without_a_yes() -> None:
    shown = run("demo", answer="n\n")
    assert shown.exit_code == 1
    assert "Approve and run this?" in shown.output
    assert "nothing was run" in shown.output


def test_demo_ends_in_a_verified_recovery() -> None:
    shown = run("demo", "--yes")
    assert shown.exit_code == 0, shown.output
    for part in (
        "recorded from a running system",
        "Cause",
        "rollback",
        "digest",
        "verified",
        "recovered after",
    ):
        assert part in shown.output


def test_after_a_demo_its_incident_can_be_asked_about() -> None:
    assert run("demo", "--yes").exit_code == 0
    listed = run("incidents", "--json")
    (incident,) = json.loads(listed.stdout)
    assert "this is the newest demo" in listed.stderr
    assert incident["status"] == "recovered"
    assert "cart" in run("incidents", incident["id"], "--report").stdout
    asked = run("chat", "--once", "error_pct of cart?")
    assert asked.exit_code == 0
    assert "error_pct is 0 %" in asked.stdout  # as the demo left it: after the rollback
    assert run("journal", "verify").stdout.startswith("ok: ")


def test_a_demo_that_nobody_approved_is_kept_as_it_broke_and_may_be_approved_later() -> None:
    assert run("demo", answer="n\n").exit_code == 1
    (incident,) = json.loads(run("incidents", "--json").stdout)
    assert incident["status"] == "awaiting_approval"
    assert "error_pct is 33" in run("chat", "--once", "error_pct of cart?").stdout
    assert run("approve", incident["id"], "--by", "anna", "--yes").exit_code == 0
    (incident,) = json.loads(run("incidents", "--json").stdout)
    assert incident["status"] == "recovered"


def test_a_second_demo_leaves_the_first_where_it_was() -> None:
    run("demo", answer="n\n")
    (first,) = json.loads(run("incidents", "--json").stdout)
    run("demo", "--yes")
    (second,) = json.loads(run("incidents", "--json").stdout)
    assert (first["id"] == second["id"], second["status"]) == (False, "recovered")
    kept = Path(os.environ["COPILOT_DATA_DIR"]) / "demo" / "1"
    assert [first] == json.loads(run("--data-dir", kept, "incidents", "--json").stdout)


def test_a_demo_never_stands_among_or_before_real_incidents(bundle: Path) -> None:
    run("demo", "--yes")
    (shown,) = json.loads(run("incidents", "--json").stdout)
    run("investigate", bundle)
    real = run("incidents", "--json")
    assert "newest demo" not in real.stderr
    assert shown["id"] not in real.stdout
    again = run("demo", "--yes")
    assert "copilot --data-dir" in again.output  # how it is found all the same
    assert run("incidents", "--json").stdout == real.stdout


@pytest.mark.parametrize(
    "told", [{"COPILOT_DATABASE_URL": "sqlite:///own.sqlite"}, {"COPILOT_BUNDLE": "one"}]
)
def test_what_is_configured_is_read_rather_than_a_demo(
    told: dict[str, str], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("demo", answer="n\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").symlink_to(bundle)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert json.loads(run("incidents", "--json").stdout) == []


def test_a_demo_is_shown_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path / "file" / "data"))
    shown = run("demo", "--yes")
    assert "recovered after" in shown.output
    assert "Kept" not in shown.output


def test_demo_speaks_chinese() -> None:
    shown = run("demo", "--yes", "--lang", "zh")
    assert "原因" in shown.output
    assert "步骤" in shown.output


def test_demo_of_an_unknown_incident_names_those_there_are() -> None:
    shown = run("demo", "nothing")
    assert shown.exit_code == 2
    assert "lab-" in shown.output


@pytest.fixture
def bundle() -> Path:
    return sorted((RECORDINGS / "incidents").iterdir())[0]


def test_investigate_shows_the_brief_of_a_bundle_and_keeps_it(bundle: Path) -> None:
    shown = run("investigate", bundle)
    assert shown.exit_code == 0, shown.output
    assert "Cause" in shown.output
    listed = run("incidents", "--json")
    (incident,) = json.loads(listed.output)
    assert incident["id"] in run("incidents").output
    assert "Cause" in run("incidents", incident["id"]).output
    assert run("journal", "verify").output.startswith("ok: ")


def test_investigate_prints_json_and_nothing_else(bundle: Path) -> None:
    incident = json.loads(run("investigate", bundle, "--json").stdout)
    assert incident["ranking"]["candidates"]
    cited = {
        e for c in incident["ranking"]["candidates"] for t in c["terms"] for e in t["evidence"]
    }
    assert cited <= {one["id"] for one in incident["evidence"]}


def test_investigate_reads_exported_alerts(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    labels = {"alertname": "HighErrorRate", "service": "payment", "severity": "critical"}
    file.write_text(json.dumps([{"labels": labels}]), encoding="utf-8")
    shown = run("investigate", file)
    assert shown.exit_code == 0
    assert "payment" in shown.output
    assert "metrics: not configured" in shown.output
    assert "1-5-10: not measurable (the alerts came in a file)" in shown.output
    assert "MISSED" not in shown.output
    (incident,) = json.loads(run("incidents", "--json").output)
    listed = run("incidents", incident["id"], "--lang", "zh").output
    assert "1-5-10:无法衡量(告警来自文件)" in listed
    assert "not measurable" in run("incidents", incident["id"], "--report").output


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "JSON"), ('[{"labels": 3}]', "expected an object"), ('{"nothing": 1}', "expected")],
)
def test_alerts_that_are_none_are_refused_in_one_line(
    content: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "alerts.json"
    file.write_text(content, encoding="utf-8")
    shown = run("investigate", file)
    assert shown.exit_code == 2
    assert said in shown.output
    assert "Traceback" not in shown.output


def test_investigate_of_nothing_says_what_to_name(tmp_path: Path) -> None:
    shown = run("investigate", tmp_path / "gone")
    assert shown.exit_code == 2
    assert "bundle folder or a JSON file" in shown.output
    assert run("investigate", tmp_path).exit_code == 2


def test_a_plan_is_approved_later_in_another_process_as_a_dry_run() -> None:
    leak = RECORDINGS / "incidents" / "lab-aaabb5"
    incident = json.loads(run("investigate", leak, "--json").stdout)
    plan = incident["plan"]
    assert plan is not None
    wrong = run("approve", plan["id"], "--digest", "0" * 64, "--by", "anna")
    assert wrong.exit_code == 2
    assert "not the digest" in wrong.output
    assert "DRY RUN: nothing is really touched" in run("incidents", incident["id"]).output
    assert "演练:不会触及任何真实系统" in run("incidents", incident["id"], "--lang", "zh").output
    done = run("approve", incident["id"], "--digest", plan["digest"], "--by", "anna")
    assert done.exit_code == 0, done.output
    assert "DRY RUN: nothing is really touched" in done.output
    assert "approved by anna (1 of 1): a dry run, its steps are only shown" in done.output
    again = run("approve", plan["id"], "--digest", plan["digest"], "--by", "bob")
    assert again.exit_code == 2
    assert "consumed before, by 'anna'" in again.output


def test_an_answer_to_no_plan_says_so() -> None:
    answered = run("reject", "no-such-plan", "--reason", "why not", "--by", "anna")
    assert answered.exit_code == 2
    assert "no plan 'no-such-plan'" in answered.output


def test_a_new_home_has_no_incident_yet() -> None:
    shown = run("incidents")
    assert shown.exit_code == 0
    assert "copilot demo" in shown.output


def test_doctor_says_what_is_missing_and_what_to_do() -> None:
    shown = run("doctor")
    assert shown.exit_code == 0
    assert "missing metrics" in shown.output
    assert "copilot serve" in shown.output


def test_doctor_fails_on_a_tampered_journal(bundle: Path, tmp_path: Path) -> None:
    run("investigate", bundle)
    database = next((tmp_path / "data").glob("copilot.sqlite"))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE journal SET kind = 'x' WHERE seq = 2")
    shown = run("doctor")
    assert shown.exit_code == 1
    assert "row 2" in shown.output
    assert run("journal", "verify").exit_code == 1


def test_a_wrong_setting_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_PORT", "no port")
    shown = run("incidents")
    assert shown.exit_code == 2
    assert "port = 'no port'" in shown.output
