"""Our own health: shipped rules and dashboard ask for figures that /metrics has."""

import json
import re
import shutil
import subprocess
from collections import Counter
from importlib.resources import files
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from copilot.case.loops import Loop
from copilot.settings import load
from copilot.sources.patience import SourceTally
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
    tally = SourceTally(Counter(answered=3, late=1), [0, 2, 1, 0, 0, 0, 0, 1, 0], 10.7)
    loop = Loop("pull", lambda: None, Event(), rest_s=60.0)
    engine = CountedEngine(store, NOW, asked={"metrics": tally}, loops=(loop,))
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


def test_loops_and_sources_say_how_they_are(store: Store) -> None:
    lines = exposed(store).splitlines()
    assert 'copilot_loop_worked_timestamp_seconds{loop="pull"} 0.0' in lines
    assert 'copilot_loop_rest_seconds{loop="pull"} 60.0' in lines
    assert 'copilot_source_questions_total{outcome="late",source="metrics"} 1.0' in lines
    assert 'copilot_source_seconds_bucket{le="0.25",source="metrics"} 3.0' in lines
    assert 'copilot_source_seconds_bucket{le="+Inf",source="metrics"} 4.0' in lines
    assert 'copilot_source_seconds_sum{source="metrics"} 10.7' in lines


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


def test_every_panel_leads_to_a_page_of_the_console(store: Store) -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    links = [one for panel in panels for one in panel["links"]]
    assert len(links) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["links"] == panel["links"] for panel in panels)
    app = create_app(CountedEngine(store, NOW), load())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for page in {one["url"].removeprefix("${console}") for one in links}:
            assert client.get(page).status_code == 200, page


SERIES = {
    'up{job="incident-copilot"}': "1x40",
    'copilot_leading{instance="a"}': "0x40",
    'copilot_leading{instance="b"}': "1x4 0x36",
    "copilot_queue_oldest_seconds": "0x40",
    'copilot_loops_failing{instance="a",loop="pull"}': "0x2 1x38",
    'copilot_loop_rest_seconds{instance="a",loop="pull"}': "60x40",
    'copilot_loop_worked_timestamp_seconds{instance="a",loop="pull"}': "0x40",
    'copilot_loop_rest_seconds{instance="a",loop="retention"}': "3600x40",
    'copilot_loop_worked_timestamp_seconds{instance="a",loop="retention"}': "0x40",
    'copilot_source_questions_total{source="logs",outcome="answered"}': "0+1x40",
    'copilot_source_questions_total{source="metrics",outcome="late"}': "0+2x40",
    'copilot_source_questions_total{source="metrics",outcome="answered"}': "0+1x40",
}
"""By what is seen every 30 seconds for 20 minutes."""

PULL = {"instance": "a", "loop": "pull"}
FIRE: list[tuple[str, str, list[dict[str, str]]]] = [
    ("2m", "CopilotNobodyDecides", []),
    ("5m", "CopilotNobodyDecides", [{}]),
    ("5m", "CopilotQueueGrows", []),
    ("5m", "CopilotLoopFails", []),
    ("7m", "CopilotLoopFails", [PULL]),
    ("13m", "CopilotLoopStands", []),
    ("15m", "CopilotLoopStands", [PULL]),
    ("10m", "CopilotSourceSilent", [{"source": "metrics"}]),
]
"""When which alert fires, of which labels."""


def test_prometheus_takes_the_rules_and_fires_them(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)
    rules = {
        one["alert"]: one for one in yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]
    }

    def fired(name: str, labels: dict[str, str]) -> dict[str, Any]:
        said = json.dumps(rules[name]["annotations"])
        for label, value in labels.items():
            said = said.replace(f"{{{{ $labels.{label} }}}}", value)
        return {"exp_labels": rules[name]["labels"] | labels, "exp_annotations": json.loads(said)}

    alerts = [
        {"eval_time": at, "alertname": name, "exp_alerts": [fired(name, one) for one in labels]}
        for at, name, labels in FIRE
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    timetable = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "30s",
        "tests": [{"interval": "30s", "input_series": series, "alert_rule_test": alerts}],
    }
    test = tmp_path / "test.yaml"
    test.write_text(yaml.safe_dump(timetable), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(test)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
