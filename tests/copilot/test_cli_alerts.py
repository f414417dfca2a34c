"""`copilot alerts` shows how alerts are read, and `copilot investigate` reads what people saved."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from copilot.surfaces.cli import app
from copilot.testing.payloads import alertmanager
from tests.copilot.sender_episodes import EPISODES, changed

KEYS = ["name", "state", "severity", "subject", "told_by", "heartbeat", "why"]


def run(*arguments: str | Path, given: bytes = b"") -> Result:
    """One command in a wide terminal, with something piped in."""
    return CliRunner().invoke(
        app, [str(one) for one in arguments], input=given, env={"COLUMNS": "160", "TERM": "dumb"}
    )


def saved(folder: Path, document: Any, name: str = "alerts.json") -> Path:
    file = folder / name
    text = document if isinstance(document, str) else json.dumps(document)
    file.write_text(text, encoding="utf-8")
    return file


def held(name: str, state: str = "active", **labels: str) -> dict[str, Any]:
    """An alert as Alertmanager's API prints it: its lease is long over."""
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": f"{name} is so"},
        "startsAt": "2026-11-01T10:00:00.000Z",
        "endsAt": "2026-11-01T10:04:00.000Z",
        "updatedAt": "2026-11-01T10:00:00.000Z",
        "fingerprint": "0123456789abcdef",
        "receivers": [{"name": "team"}],
        "status": {"state": state, "silencedBy": [], "inhibitedBy": []},
    }


def pending(name: str) -> dict[str, Any]:
    return {"labels": {"alertname": name}, "state": "pending", "activeAt": "2026-11-01T10:00:00Z"}


def rule(name: str, **labels: str) -> dict[str, Any]:
    """An alert as Prometheus prints it."""
    told = {"labels": {"alertname": name, **labels}, "annotations": {}, "value": "3e+00"}
    return {**told, "state": "firing", "activeAt": "2026-11-01T10:00:00Z"}


DUMPS: dict[str, tuple[Any, list[str], str]] = {
    "alertmanager, and amtool": (
        [held("A"), held("B", "suppressed"), held("C", "unprocessed")],
        ["A", "C"],
        "B (suppressed)",
    ),
    "alertmanager's groups": (
        [{"labels": {}, "receiver": {"name": "x"}, "alerts": [held("A")]}], ["A"], ""
    ),
    "alertmanager before its API v2": ({"status": "success", "data": [held("A")]}, ["A"], ""),
    "prometheus": (
        {"status": "success", "data": {"alerts": [rule("A"), pending("B")]}}, ["A"], "B (pending)"
    ),
    "prometheus, by rule": (
        {"data": {"groups": [{"rules": [{"name": "r", "alerts": [rule("A")]}, {"alerts": None}]}]}},
        ["A"],
        "",
    ),
    "one alert a line": (
        "\n".join(
            json.dumps({**rule(name), "startsAt": "2026-11-01T10:00:00Z", "status": "firing"})
            for name in ("A", "B")
        ),
        ["A", "B"],
        "",
    ),
    "a webhook's body": (alertmanager(), ["HighLatency"], ""),
    "another sender's": (EPISODES["uptime kuma"].firing, ["Mail relay"], ""),
}  # fmt: skip


@pytest.mark.parametrize("case", DUMPS)
def test_what_people_save_is_explained(case: str, tmp_path: Path) -> None:
    document, names, left_out = DUMPS[case]
    shown = run("alerts", "explain", saved(tmp_path, document), "--json")
    assert shown.exit_code == 0
    told = json.loads(shown.stdout)
    assert [one["name"] for one in told] == names
    assert {one["state"] for one in told} == {"firing"}
    assert left_out in shown.stderr


def test_an_alert_is_explained_in_exactly_these_fields() -> None:
    body = json.dumps({"name": "a", "state": "purple", "severity": "P1"}).encode()
    shown = run("alerts", "explain", "-", "--format", "generic", "--json", given=body)
    (told,) = json.loads(shown.stdout)
    assert list(told) == KEYS
    assert list(told["subject"]) == ["kind", "namespace", "name"]
    assert (told["name"], told["state"], told["severity"]) == ("a", "firing", "critical")
    assert "'purple' is no state we know" in told["why"]


def test_an_alert_is_explained_in_both_languages(tmp_path: Path) -> None:
    file = saved(tmp_path, EPISODES["nightingale"].firing)
    for language, heading in (("en", "about    host db-1"), ("zh", "对象")):
        shown = run("alerts", "explain", file, "--lang", language)
        assert heading in shown.stdout
        assert "磁盘将满" in shown.stdout


EXPLAINED_WRONG: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "no such format": ({}, ("--format", "morse"), "--format 'morse' is none of pagerduty,"),
    "no such mapping": ({}, ("--format", "mapped/x"), "no such mapping in alert_mappings_file"),
    "not JSON": ("{", (), "JSON"),
    "not of that format": ({"a": 1}, ("--format", "azure"), "read as Azure common alert schema"),
    "an empty list": ([], (), "no alert was read of it"),
    "an incident": ({"opened_at": 1, "clocks": {}, "title": "t"}, (), "this is an incident"),
}


@pytest.mark.parametrize("case", EXPLAINED_WRONG)
def test_what_cannot_be_explained_is_said_in_one_line(case: str, tmp_path: Path) -> None:
    document, options, says = EXPLAINED_WRONG[case]
    shown = run("alerts", "explain", saved(tmp_path, document), *options)
    assert shown.exit_code == 2
    assert says in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1


def test_the_table_of_words_is_shown() -> None:
    shown = run("alerts", "severities")
    assert shown.exit_code == 0
    for word in ("紧急", "已恢复", "disaster", "zabbix", "Sev4 = low", "notalerting"):
        assert word in shown.stdout


# --- investigate --------------------------------------------------------------------------------


def investigated(file: Path) -> list[dict[str, Any]]:
    shown = run("investigate", file, "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    return found if isinstance(found, list) else [found]


def test_a_dump_is_investigated_though_its_leases_ran_out(tmp_path: Path) -> None:
    file = saved(tmp_path, [held("ProcessDown", job="billing", severity="critical")])
    shown = run("investigate", file)
    assert shown.exit_code == 0
    assert "ProcessDown" in shown.stdout


def test_pending_alerts_are_named_and_not_investigated(tmp_path: Path) -> None:
    file = saved(tmp_path, {"data": {"alerts": [rule("A", job="x"), pending("Later")]}})
    shown = run("investigate", file)
    assert "not investigated: Later (pending)" in shown.stderr
    assert "Later" not in shown.stdout


NOTHING: dict[str, tuple[Any, str]] = {
    "no alerts": ([], "nothing to investigate: there is no alert in it"),
    "none that fires": ([held("A", "suppressed")], "none of them fires: A (suppressed)"),
    "a recovery": (
        changed(EPISODES["nightingale"].firing, {"is_recovered": True}), "磁盘将满 (resolved)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_to_investigate_is_one_clear_line(case: str, tmp_path: Path) -> None:
    document, says = NOTHING[case]
    shown = run("investigate", saved(tmp_path, document))
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert says in shown.stderr.strip().splitlines()[-1]


def test_files_are_grouped_apart_and_one_ends_nothing_of_another(tmp_path: Path) -> None:
    first = saved(tmp_path, [held("Down", service="cart")], "first.json")
    second = saved(tmp_path, [held("Down", service="cart"), held("Up", service="web")], "2.json")
    (one,) = investigated(first)
    others = investigated(second)
    ended = alertmanager(status="resolved", fingerprint="0123456789abcdef")
    run("investigate", saved(tmp_path, ended, "ended.json"))

    listed = {row["id"]: row for row in json.loads(run("incidents", "--json").stdout)}
    assert one["id"] not in {other["id"] for other in others}
    assert {one["id"], *(other["id"] for other in others)} == set(listed)
    assert listed[one["id"]]["status"] != "resolved"


def test_the_same_file_shows_its_incident_again(tmp_path: Path) -> None:
    file = saved(tmp_path, [held("Down", service="cart")])
    (first,), (again,) = investigated(file), investigated(file)
    assert first["id"] == again["id"]
    assert again["brief"] == first["brief"]


def test_a_recording_whose_alerts_ended_is_looked_at_before_they_did() -> None:
    healed = Path(str(files("copilot.sources.recordings"))) / "incidents" / "lab-789e1d"
    (incident,) = investigated(healed)
    assert incident["ranking"]["candidates"][0]["component"] == "cart"
    assert incident["brief"]["en"]
    assert incident["origin"] == str(healed.resolve())
