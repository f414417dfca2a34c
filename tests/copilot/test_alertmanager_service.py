"""What the table shared with Alertmanager cannot show: disk, restarts, keys, states of our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from copilot import wiring
from copilot.alerts.maintenance import AlertingFile, Maintenance, MaintenanceSchedule
from copilot.case.engine import Engine
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.store import Store, StoreError
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from tools.clusterer import Matcher, Silence
from tools.types import Alert

NOW = 1_767_225_700.0


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store, time=NOW)
    store.close()


@pytest.fixture
def client(engine: CountedEngine) -> TestClient:
    return TestClient(create_app(engine, Door()), base_url="http://127.0.0.1")


@dataclass
class SteppedClock:
    """Stands at `at` until it is moved."""

    at: float

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def silence(service: str = "pay") -> dict[str, Any]:
    return {
        "matchers": [{"name": "service", "value": service, "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2090-01-01T00:00:00Z",
        "createdBy": "anna",
        "comment": "moving the bank",
    }


def alert(name: str, service: str = "pay", **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, "service": service, **labels}}


def states(client: TestClient) -> dict[str, tuple[str, list[str]]]:
    found = client.get("/api/v2/alerts").json()
    return {
        one["labels"]["alertname"]: (one["status"]["state"], one["status"]["mutedBy"])
        for one in found
    }


def test_an_alert_is_on_disk_when_the_answer_is_200_and_once_only(
    client: TestClient, engine: CountedEngine
) -> None:
    for _ in range(2):
        answer = client.post("/api/v2/alerts", json=[alert("Slow")])
        assert (answer.status_code, answer.content) == (200, b"")
        engine.time += 30
    assert (engine.alerts_accepted, engine.alerts_repeated) == (1, 1)
    engine.broken = StoreError("disk is full", recoverable=True)
    answer = client.post("/api/v2/alerts", json=[alert("Slow")])
    assert (answer.status_code, answer.json()["code"]) == (503, 503)
    assert client.post("/api/v2/alerts", json=[alert("A")] * 101).status_code == 413


def test_what_we_hold_back_is_suppressed_and_what_is_not_decided_is_unprocessed(
    client: TestClient, engine: CountedEngine
) -> None:
    client.post("/api/v2/alerts", json=[alert("New"), alert("Noisy"), alert("Told")])
    keys = {row.alert.name: row.key for row in engine.store.alerts.unassigned()}
    engine.store.alerts.assign([keys["Noisy"]], None, "chronic", "noise", NOW)
    engine.store.alerts.assign([keys["Told"]], None, "the first", "attached", NOW)
    assert states(client) == {
        "New": ("unprocessed", []),
        "Noisy": ("suppressed", ["noise"]),
        "Told": ("active", []),
    }
    backup = Maintenance(
        name="backup", match=(Matcher(label="service", value="pay"),), hours=("00:00-24:00",)
    )
    engine.announced = MaintenanceSchedule(AlertingFile(maintenance=(backup,)))
    assert states(client)["Told"] == ("suppressed", ["backup"])


def test_groups_are_incidents_and_other_senders_alerts_have_a_name(
    client: TestClient, engine: CountedEngine
) -> None:
    client.post("/webhooks/generic", json={"name": "disk full", "host": "h1"})
    (group,) = client.get("/api/v2/alerts/groups").json()
    assert (group["labels"], group["receiver"]) == ({}, {"name": "copilot"})
    assert group["alerts"][0]["labels"]["alertname"] == "disk full"
    assert client.get("/api/v2/alerts/groups?receiver=none").json() == []


def test_silences_of_another_alertmanager_stay_beside_ours(
    client: TestClient, engine: CountedEngine
) -> None:
    theirs = Silence(
        id="theirs",
        matchers=(Matcher(label="service", value="cart"),),
        starts_at=0,
        ends_at=2 * NOW,
    )
    engine.announced.silence([theirs])
    ours = client.post("/api/v2/silences", json=silence()).json()["silenceID"]
    client.post("/api/v2/alerts", json=[alert("A"), alert("B", "cart")])
    by = {
        one["labels"]["alertname"]: one["status"]["silencedBy"]
        for one in client.get("/api/v2/alerts").json()
    }
    assert by == {"A": [ours], "B": ["theirs"]}
    engine.announced.silence([])
    assert [one.id for one in engine.announced.silences] == [ours]
    assert [one["id"] for one in client.get("/api/v2/silences").json()] == [ours]


def test_labels_of_any_script_are_taken_as_since_0_27(client: TestClient) -> None:
    client.post("/api/v2/alerts", json=[alert("A", **{"größe": "1", "a-b": "2"})])
    found = client.get("/api/v2/alerts", params={"filter": ["größe=1", '"a-b"=~"[0-9]"']}).json()
    assert [one["labels"]["alertname"] for one in found] == ["A"]


def test_probes_need_no_key_and_everything_else_does(engine: CountedEngine) -> None:
    guarded = create_app(engine, Door(api_key=SecretStr("secret")))
    client = TestClient(guarded, base_url="http://127.0.0.1")
    assert [client.get(f"/-/{one}").status_code for one in ("healthy", "ready")] == [200, 200]
    refused = client.get("/api/v2/alerts")
    assert (refused.status_code, refused.json()["code"]) == (401, 401)
    assert client.get("/api/v2/alerts", auth=("amtool", "secret")).status_code == 200
    engine.checks = {"store": "disk is full"}
    assert (client.get("/-/ready").status_code, client.get("/-/ready").text) == (
        503,
        "store: disk is full",
    )


def test_a_silence_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embedder="none", model_use="off")

    def incidents(path: str, body: object, at: str) -> int:
        with wiring.engine(settings, "test", clock=SystemClock()) as engine:
            client = TestClient(create_app(engine, settings), base_url="http://127.0.0.1")
            assert client.post(path, json=body).status_code == 200
            client.post("/api/v2/alerts", json=[alert(at), alert(at, "cart")])
            engine.group()
            return len(engine.store.incidents.list(limit=10))

    assert incidents("/api/v2/silences", silence(), "First") == 1
    assert incidents("/api/v2/alerts", [alert("Second")], "Third") == 1
    with wiring.engine(settings, "test", clock=SystemClock()) as engine:
        muted = engine.store.alerts.decisions(None)
        assert {(row.alert.service, row.action) for row in muted} == {("pay", "silenced")}
        assert "anna: moving the bank" in muted[0].reason
        assert [one.kind for one in engine.store.journal.events("")] == ["silence declared"]


def test_a_source_inhibits_while_it_is_repeated_and_across_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embedder="none", model_use="off")
    clock = SteppedClock(NOW)

    def source(lease: float) -> Alert:
        labels = {"alertname": "InfoInhibitor", "namespace": "shop", "severity": "none"}
        return Alert(
            fingerprint="i", name="InfoInhibitor", starts_at=NOW, labels=labels, lease=lease
        )

    def told(running: Engine, name: str) -> str:
        labels = {"alertname": name, "namespace": "shop", "severity": "info"}
        info = Alert(fingerprint=name, name=name, service=name, starts_at=clock.at, labels=labels)
        (row,) = running.accept([info], clock.at).new
        running.group()
        every = [*running.store.alerts.decisions(None)]
        for one in running.store.incidents.list(limit=10):
            every += running.store.alerts.decisions(one.id)
        return next(one.action for one in every if one.key == row.key)

    with wiring.engine(settings, "test", clock=clock) as running:
        running.accept([source(NOW + 300)], NOW)
        assert told(running, "First") == "inhibited"
        clock.at = NOW + 240
        running.accept([source(NOW + 540)], clock.at)
        clock.at = NOW + 400
        assert told(running, "Second") == "inhibited"
    with wiring.engine(settings, "test", clock=clock) as running:
        assert told(running, "Third") == "inhibited"
        clock.at = NOW + 541
        assert told(running, "Fourth") == "opened"
