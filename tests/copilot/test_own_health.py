"""Our own health: shipped rules and dashboard ask for figures that /metrics has."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from copilot.settings import load
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from copilot.types.incident import Incident
from tools.types import Alert

OPERATE = files("copilot.surfaces.service") / "operate"
RULES = Path(str(OPERATE / "prometheus-rules.yaml"))
DASHBOARD = Path(str(OPERATE / "grafana-dashboard.json"))
NOW = 1_700_000_000.0


def exposed(store: Store) -> str:
    engine = CountedEngine(store, NOW)
    app = create_app(engine, load())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.get("/healthz")
        return str(client.get("/metrics").text)


def test_a_queue_that_nobody_works_on_shows_its_age(store: Store) -> None:
    store.incidents.open(Incident(id="i", title="slow", opened_at=NOW - 90, updated_at=NOW - 90))
    store.runs.accept("i", NOW - 90)
    store.alerts.accept([Alert(fingerprint="a", name="a", starts_at=NOW - 50)], NOW - 40)
    text = exposed(store)
    assert 'copilot_runs{status="accepted"} 1.0' in text
    assert "copilot_queue_oldest_seconds 90.0" in text
    assert "copilot_alerts_undecided 1.0" in text
    assert "copilot_alerts_undecided_oldest_seconds 40.0" in text
    assert "copilot_leading 1.0" in text
    assert "copilot_store_bytes" in text


def test_rules_and_dashboard_ask_only_for_figures_that_there_are(store: Store) -> None:
    wanted = set(
        re.findall(r"copilot_\w+", RULES.read_text("utf-8") + DASHBOARD.read_text("utf-8"))
    )
    store.incidents.open(Incident(id="i", title="slow", opened_at=NOW, updated_at=NOW))
    known = set(re.findall(r"copilot_\w+", exposed(store)))
    assert wanted <= known


def test_every_rule_says_what_to_do() -> None:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        assert {"summary", "action"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_panel_has_a_question() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def test_prometheus_takes_the_rules_and_fires_them(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)
    timetable = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {"series": 'up{job="incident-copilot"}', "values": "1x20"},
                    {"series": 'copilot_leading{instance="a"}', "values": "0x20"},
                    {"series": 'copilot_leading{instance="b"}', "values": "1x4 0x20"},
                    {"series": "copilot_queue_oldest_seconds", "values": "0x20"},
                ],
                "alert_rule_test": [
                    {"eval_time": "2m", "alertname": "CopilotNobodyDecides", "exp_alerts": []},
                    {
                        "eval_time": "5m",
                        "alertname": "CopilotNobodyDecides",
                        "exp_alerts": [{"exp_labels": {"severity": "critical"}}],
                    },
                    {"eval_time": "5m", "alertname": "CopilotQueueGrows", "exp_alerts": []},
                ],
            }
        ],
    }
    rule = next(
        one
        for one in yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]
        if one["alert"] == "CopilotNobodyDecides"
    )
    timetable["tests"][0]["alert_rule_test"][1]["exp_alerts"][0]["exp_annotations"] = rule[  # type: ignore[index]
        "annotations"
    ]
    test = tmp_path / "test.yaml"
    test.write_text(yaml.safe_dump(timetable), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(test)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
