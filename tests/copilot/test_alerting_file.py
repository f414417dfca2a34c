"""Maintenance windows and inhibitions of one file: read strictly, and in force in the service."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from copilot import wiring
from copilot.alerts import maintenance as alerting
from copilot.alerts.maintenance import AlertingFileError, read
from copilot.settings import load
from copilot.surfaces.cli import app
from copilot.surfaces.service import create_app
from tests.contracts.clocks import Standing

BACKUP = """
[[maintenance]]
name = "nightly backup"
match = [{ label = "service", operator = "=~", value = "store|worker" }]
hours = ["22:00-02:30"]
days = ["sat"]
zone = "Asia/Shanghai"
comment = "dumps and vacuum"
"""
NODE_DOWN = """
[[inhibition]]
source = [{ label = "alertname", value = "NodeDown" }]
target = [{ label = "severity", operator = "!=", value = "critical" }]
equal = ["node"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "alerting.toml"
    path.write_text(text, encoding="utf-8")
    return path


def at(text: str) -> float:
    """A moment of January 2026 in UTC; the 3rd is a Saturday."""
    return datetime.fromisoformat(f"2026-01-{text}").replace(tzinfo=UTC).timestamp()


class Door:
    """The service with a file in force, on a clock that is set by hand."""

    def __init__(self, client: TestClient, engine: Any, clock: Standing) -> None:
        self._client, self._engine, self._clock = client, engine, clock

    def deliver(self, when: str, name: str, service: str, **more: str) -> None:
        self._clock.at = at(when)
        started = datetime.fromtimestamp(at(more.pop("since", when)), UTC).isoformat()
        status = more.pop("status", "firing")
        labels = {"alertname": name, "service": service, "severity": "warning", **more}
        alert = {"labels": labels, "startsAt": started, "status": status}
        if status == "resolved":
            alert["endsAt"] = datetime.fromtimestamp(at(when), UTC).isoformat()
        sent = self._client.post("/webhooks/alertmanager", json={"alerts": [alert]})
        assert sent.status_code == 202, sent.text
        self._engine.drain()

    def incidents(self) -> list[str]:
        return [one["title"] for one in self._client.get("/incidents").json()]

    def suppressed(self) -> list[tuple[str, str]]:
        alerts = self._client.get("/alerts").json()
        for one in self._client.get("/incidents").json():
            alerts += self._client.get(f"/incidents/{one['id']}/alerts").json()
        return [(one["name"], one["reason"]) for one in alerts if one["suppressed"]]


@contextmanager
def door(folder: Path, text: str) -> Iterator[Door]:
    settings = load(data_dir=folder / "data", alerting_file=written(folder, text), watch_every_s=0)
    clock = Standing(at("03T12:00"))
    with wiring.engine(settings, "test", clock=clock, wall=clock) as engine:
        client = TestClient(create_app(engine, settings), base_url="http://127.0.0.1")
        yield Door(client, engine, clock)


def test_an_alert_in_a_maintenance_window_is_listed_with_why_and_opens_no_incident(
    tmp_path: Path,
) -> None:
    with door(tmp_path, BACKUP) as service:
        service.deliver("03T15:00", "HighLatency", "store")  # Saturday 23:00 in Shanghai
        assert service.incidents() == []
        ((name, why),) = service.suppressed()
        assert name == "HighLatency"
        assert "nightly backup (22:00 Asia/Shanghai for 270 min) is open: dumps" in why
        service.deliver("03T15:01", "HighLatency", "cart")
        assert len(service.incidents()) == 1


@pytest.mark.parametrize(
    ("when", "opened"),
    [
        ("03T13:59", 1),  # 21:59 in Shanghai
        ("03T14:00", 0),
        ("03T18:29", 0),  # Sunday 02:29 there: it began on Saturday
        ("03T18:30", 1),
        ("04T15:00", 1),  # Sunday 23:00
        ("10T15:00", 0),  # the next Saturday
    ],
)
def test_a_window_is_open_by_the_clock_and_weekday_of_its_zone(
    when: str, opened: int, tmp_path: Path
) -> None:
    with door(tmp_path, BACKUP) as service:
        service.deliver(when, "HighLatency", "store")
        assert len(service.incidents()) == opened


def test_what_still_fires_after_the_window_opens_an_incident_when_it_is_repeated(
    tmp_path: Path,
) -> None:
    with door(tmp_path, BACKUP) as service:
        service.deliver("03T17:00", "HighLatency", "store")
        service.deliver("03T18:00", "HighLatency", "store", since="03T17:00")
        assert service.incidents() == []
        service.deliver("03T18:31", "HighLatency", "store", since="03T17:00")
        assert len(service.incidents()) == 1
        assert service.suppressed() == []


def test_what_ended_within_the_window_stays_quiet_however_often_it_is_delivered(
    tmp_path: Path,
) -> None:
    with door(tmp_path, BACKUP) as service:
        service.deliver("03T17:00", "HighLatency", "store")
        service.deliver("03T18:00", "HighLatency", "store", since="03T17:00", status="resolved")
        service.deliver("03T18:31", "HighLatency", "store", since="03T17:00")
        assert service.incidents() == []


def test_a_source_that_fires_holds_its_targets_back_and_no_others(tmp_path: Path) -> None:
    with door(tmp_path, NODE_DOWN) as service:
        service.deliver("03T12:00", "NodeDown", "cart", node="n1", severity="critical")
        service.deliver("03T12:01", "HighLatency", "search", node="n1")
        assert len(service.incidents()) == 1
        reason = "a declared rule inhibits it while NodeDown of node n1 fires"
        assert service.suppressed() == [("HighLatency", reason)]
        service.deliver("03T12:30", "HighLatency", "search", node="n2")
        assert len(service.incidents()) == 2


def test_a_source_inhibits_also_while_it_is_silenced_and_after_a_restart(tmp_path: Path) -> None:
    text = NODE_DOWN + BACKUP.replace("service", "alertname").replace("store|worker", "NodeDown")
    with door(tmp_path, text) as service:
        service.deliver("03T14:00", "NodeDown", "cart", node="n1", severity="critical")
        service.deliver("03T14:01", "HighLatency", "search", node="n1")
        assert service.incidents() == []
    with door(tmp_path, NODE_DOWN) as service:
        service.deliver("03T15:00", "NodeDown", "store", node="n2", severity="critical")
    with door(tmp_path, NODE_DOWN) as service:
        service.deliver("03T15:01", "HighLatency", "search", node="n2")
        assert len(service.incidents()) == 1
        assert ("HighLatency", "a declared rule inhibits it while NodeDown of node n2 fires") in (
            service.suppressed()
        )


WHERE = 'match = [{ label = "service", value = "store" }]\n'
ONE = f'[[maintenance]]\nname = "a"\n{WHERE}'
WRONG = {
    "not TOML": ("[[maintenance]\n", "is not TOML: "),
    "an unknown table": ('[[silence]]\nname = "a"\n', "silence: is not a key of this file"),
    "an unknown key": (
        f'{ONE}hours = ["01:00-02:00"]\nday = "sat"\n',
        "maintenance[0].day: is not",
    ),
    "no conditions": (
        '[[maintenance]]\nname = "a"\nmatch = []\nhours = ["01:00-02:00"]\n',
        "maintenance[0].match: ",
    ),
    "a condition that every alert meets": (
        '[[maintenance]]\nname = "a"\nhours = ["01:00-02:00"]\n'
        'match = [{ label = "severity", operator = "!=", value = "critical" }]\n',
        "maintenance[0].match: it holds for alerts that have none of these labels",
    ),
    "an unknown operator": (
        '[[maintenance]]\nname = "a"\nhours = ["01:00-02:00"]\n'
        'match = [{ label = "service", operator = "==", value = "store" }]\n',
        "maintenance[0].match[0].operator: Input should be '=', '!=', '=~' or '!~'",
    ),
    "a pattern that is none": (
        '[[maintenance]]\nname = "a"\nhours = ["01:00-02:00"]\n'
        'match = [{ label = "service", operator = "=~", value = "(" }]\n',
        "maintenance[0].match[0]: matcher on 'service': '(' is not a regular expression",
    ),
    "no hours": (ONE, "maintenance[0].hours: Field required"),
    "hours past midnight": (
        f'{ONE}hours = ["01:00-02:00", "23:00-25:00"]\n',
        "maintenance[0].hours: '23:00-25:00' is no range of hours; write it as '22:00-02:30'",
    ),
    "hours of no length": (f'{ONE}hours = ["01:00-01:00"]\n', "a whole day is '00:00-24:00'"),
    "an unknown zone": (
        f'{ONE}hours = ["01:00-02:00"]\nzone = "Shanghai"\n',
        "maintenance[0].zone: unknown time zone 'Shanghai'; use a name such as 'Asia/Shanghai'",
    ),
    "an unknown day": (
        f'{ONE}hours = ["01:00-02:00"]\ndays = ["Sat"]\n',
        "maintenance[0].days[0]: ",
    ),
    "two of one name": (
        f'{ONE}hours = ["01:00-02:00"]\n{ONE}hours = ["03:00-04:00"]\n',
        "two maintenance windows are named 'a'",
    ),
    "an inhibition of everything": (
        '[[inhibition]]\nsource = [{ label = "alertname", value = "NodeDown" }]\ntarget = []\n',
        "inhibition[0].target: ",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_stops_the_start_with_file_key_and_reason(
    text: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with (
        pytest.raises(AlertingFileError) as refused,
        wiring.engine(load(data_dir=tmp_path / "data", alerting_file=path), "test"),
    ):
        pass
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    example = (inspect.getdoc(alerting) or "").partition("\n\n")[2]
    declared = read(written(tmp_path, example))
    assert (len(declared.windows), len(declared.inhibition)) == (1, 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlertingFileError, match="cannot be read"):
        read(tmp_path / "none.toml")


def test_the_doctor_says_what_is_in_force_and_what_is_wrong(tmp_path: Path) -> None:
    def said(text: str) -> str:
        env = {
            "COPILOT_DATA_DIR": str(tmp_path / "data"),
            "COPILOT_ALERTING_FILE": str(written(tmp_path, text)),
        }
        return " ".join(CliRunner().invoke(app, ["doctor"], env=env).output.split())

    assert "nightly backup: 22:00-02:30 Asia/Shanghai on sat" in said(BACKUP + NODE_DOWN)
    assert "inhibition rules: 1" in said(BACKUP + NODE_DOWN)
    assert "maintenance[0].hours: Field required" in said(ONE)


def test_a_whole_day_and_several_ranges_are_windows_of_one_name(tmp_path: Path) -> None:
    text = f'{ONE}hours = ["00:00-24:00", "12:30-13:00"]\n'
    windows = read(written(tmp_path, text)).windows
    assert [(one.id, one.start, one.minutes) for one in windows] == [
        ("a", "00:00", 1440),
        ("a", "12:30", 30),
    ]
