"""`copilot doctor` speaks for the service that runs, by its settings, and tells no secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from typer.testing import CliRunner

from copilot import wiring
from copilot.case.engine import Engine
from copilot.settings import Settings, load
from copilot.sources.received import DataPoint, ReceivedTelemetry
from copilot.surfaces.cli import app
from copilot.surfaces.commands.doctor import report_of
from copilot.surfaces.service import create_app
from copilot.types.checks import CheckReport
from tools.types import Alert, LogLine

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        data_dir=tmp_path / "data",
        model_use="off",
        api_key=SecretStr(SECRET),
        prometheus_token=SecretStr(SECRET),
    )


@pytest.fixture
def received(settings: Settings) -> ReceivedTelemetry:
    return wiring.received(settings)


@pytest.fixture
def engine(settings: Settings, received: ReceivedTelemetry) -> Iterator[Engine]:
    with wiring.engine(settings, "service at http://127.0.0.1:1", received=received) as opened:
        opened.start()
        yield opened
        opened.stop()


def found(report: CheckReport) -> list[str]:
    return [f"{one.state} {one.name}: {one.found}" for one in report.checks]


def test_a_service_that_nobody_sent_anything_says_so(
    settings: Settings, engine: Engine, received: ReceivedTelemetry
) -> None:
    report = report_of(settings, engine, received)
    assert report.data_folder == str(settings.home)
    assert report.pid > 0
    said = found(report)
    assert "ok service: ready" in said
    assert "missing logs: nothing was posted yet" in said
    assert "missing deliveries: no alert came since the start" in said
    assert "missing runners: dry run: steps are shown, nothing is run" in said


def test_what_was_posted_to_it_is_told_by_sender_and_signal(
    settings: Settings, engine: Engine, received: ReceivedTelemetry
) -> None:
    now = engine.now()
    alerts = [
        Alert(fingerprint=str(n), name="A", source=source, starts_at=now)
        for n, source in enumerate(("grafana", "grafana", "zabbix"))
    ]
    engine.accept(alerts, now)
    received.take_lines([LogLine(now, "cart", "ERROR", "it broke")])
    said = found(report_of(settings, engine, received))
    told = {one.rpartition(", ")[0] for one in said}
    assert "ok deliveries: grafana: 2 alerts" in told
    assert "ok deliveries: zabbix: 1 alert" in told
    assert "ok OTLP: logs: 1 taken, 1 held" in said
    assert any(one.startswith("ok logs: ") for one in said)


def test_the_service_answers_behind_its_key_and_tells_no_secret(
    settings: Settings, engine: Engine, received: ReceivedTelemetry
) -> None:
    service = create_app(engine, settings, examine=lambda: report_of(settings, engine, received))
    client = TestClient(service, base_url="http://127.0.0.1")
    assert client.get("/doctor").status_code == 401
    answer = client.get("/doctor", headers={"authorization": f"Bearer {SECRET}"})
    assert CheckReport.model_validate(answer.json()).checks
    assert SECRET not in answer.text


FORECASTS: dict[str, tuple[str, dict[str, float], str]] = {
    "a resource": ("disk_used_pct", {}, "ok forecasts: every 15 min while serving, of disk"),
    "no resource": ("latency_ms", {}, "missing forecasts: no resource with a limit is told"),
    "nothing posted": ("", {}, "missing forecasts: none come: "),
    "switched off": (
        "disk_used_pct",
        {"forecast_every_s": 0.0},
        "missing forecasts: none run: switched off",
    ),
}


@pytest.mark.parametrize("case", FORECASTS)
def test_whether_forecasts_run_and_of_what_is_said(
    settings: Settings, engine: Engine, received: ReceivedTelemetry, case: str
) -> None:
    posted, changed, expected = FORECASTS[case]
    if posted:
        received.take_points([DataPoint(engine.now(), "db", posted, "", "", 40.0)])
    said = found(report_of(settings.model_copy(update=changed), engine, received))
    assert any(one.startswith(expected) for one in said)


def test_without_a_service_it_speaks_for_these_settings(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["--data-dir", str(tmp_path / "d"), "doctor"])
    assert said.output.startswith("of these settings; no service runs on")
    assert said.exit_code == 0


def test_a_service_that_does_not_answer_is_broken_and_the_settings_are_told(
    tmp_path: Path,
) -> None:
    named = ["--server", "http://127.0.0.1:9", "--data-dir", str(tmp_path / "d"), "doctor"]
    said = CliRunner().invoke(app, named)
    assert said.output.startswith("of these settings; the service could not be asked")
    assert "broken  service" in said.output
    assert said.exit_code == 1
