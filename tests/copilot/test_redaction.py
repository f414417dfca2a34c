"""No secret that comes in reaches the disk, a person or a model, and what was equal stays equal."""

import json
import random
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from copilot.settings import Settings, SettingsError, load
from copilot.sources.clock import SystemClock
from copilot.store import Redactor, StoreError
from copilot.store.database import Database
from copilot.surfaces.service import create_app
from copilot.types.home import KeyFileError, key
from copilot.wiring import engine, received
from evals.logs.redaction import SecretShape, shapes
from knowledge_base.documents import documents
from tools.clusterer import Matcher
from tools.types import Alert

SHAPES = [one for one in shapes(random.Random(11)) if len(one.secret) >= 8][::2]
"""Every second one is enough of a crowd."""

SURE = 10
"""Characters: four digits of a passport stand in some digest of the data folder by chance."""

ALERT = Alert(
    fingerprint="ab" * 8,
    name="LoginErrors",
    starts_at=1.0,
    labels={"instance": "https://app:hunter2x@db/x", "password": "hunter2x", "pod": "cart-1"},
    annotations={"summary": "refused with password=hunter2x"},
)


def _halves(shape: SecretShape) -> tuple[str, str]:
    half = max(len(shape.secret) // 2, SURE)
    return shape.secret[:half], shape.secret[-half:]


def _on_disk(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace").replace("\\", "")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".key"
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path, model_use="off", embedder="none", settle_s=0)


def test_no_secret_of_alerts_changes_and_logs_is_stored_or_told(settings: Settings) -> None:
    """The table of shapes through every door, to the files of the data folder and to the API."""
    now = SystemClock().now()
    told = received(settings)
    record = {"timeUnixNano": str(int((now - 5) * 1e9)), "severityText": "ERROR"}
    lines = [record | {"body": {"stringValue": f"refused {one.text}"}} for one in SHAPES]
    service = {"key": "service.name", "value": {"stringValue": "cart"}}
    logs = {
        "resourceLogs": [
            {"resource": {"attributes": [service]}, "scopeLogs": [{"logRecords": lines}]}
        ]
    }
    alerts = [
        {
            "status": "firing",
            "labels": {
                "alertname": "LoginErrors",
                "service": "cart",
                "n": str(n),
                "told": one.text,
            },
            "annotations": {"summary": one.text},
            "startsAt": "0001-01-01T00:00:00Z",
        }
        for n, one in enumerate(SHAPES)
    ]
    changes = [
        {"service": "cart", "kind": "config", "summary": one.text, "at": now - 30, "id": str(n)}
        for n, one in enumerate(SHAPES)
    ]
    with engine(settings, "test", received=told) as running:
        app = create_app(running, settings, received=told)
        client = TestClient(app, base_url="http://127.0.0.1")
        assert client.post("/v1/logs", json=logs).status_code == 200
        assert client.post("/changes", json=changes).status_code == 202
        posted = client.post("/webhooks/alertmanager", json={"version": "4", "alerts": alerts})
        assert posted.status_code == 202
        running.drain()
        (incident,) = client.get("/incidents").json()
        said = client.get(f"/incidents/{incident['id']}").text
    everywhere = said.replace("\\", "") + _on_disk(settings.home)
    leaked = [one.name for one in SHAPES if any(half in everywhere for half in _halves(one))]
    assert leaked == []


def test_a_secret_is_the_same_token_in_a_label_in_a_matcher_and_after_a_restart() -> None:
    one, again = Redactor(b"k" * 32), Redactor(b"k" * 32)
    alert = one.model(ALERT)
    assert "hunter2x" not in alert.model_dump_json()
    assert alert.fingerprint == ALERT.fingerprint
    assert again.model(ALERT) == alert
    assert again.model(alert) == alert
    for label, value in ALERT.labels.items():
        assert again.model(Matcher(label=label, value=value)).matches(alert.labels)
    other = one.model(ALERT.model_copy(update={"labels": ALERT.labels | {"password": "hunter3x"}}))
    assert other.labels["password"] != alert.labels["password"]


def test_a_silence_of_a_label_with_a_secret_mutes_its_alert(settings: Settings) -> None:
    label = "https://app:hunter2x@db/x"
    silence = {
        "matchers": [{"name": "instance", "value": label, "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ann@example.org",
        "comment": "known",
    }
    alert = {"labels": {"alertname": "LoginErrors", "instance": label}}
    with engine(settings, "test") as running:
        client = TestClient(create_app(running, settings), base_url="http://127.0.0.1")
        assert client.post("/api/v2/silences", json=silence).status_code == 200
        assert client.post("/api/v2/alerts", json=[alert]).status_code == 200
        running.drain()
        (stored,) = client.get("/api/v2/alerts").json()
    assert stored["status"]["state"] == "suppressed"
    assert "hunter2x" not in json.dumps(stored) + _on_disk(settings.home)


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"secret": "db-credentials", "namespace": "shop"}, True),
        ({"secret": "hunter2x"}, False),
        ({"token_type": "bearer", "key": "user:17"}, True),
        ({"alertname": "HighErrorRate", "pod": "cart-7d9f8b6c5-x2x4z"}, True),
        ({"api_key": "0a1b2c3d4e5f"}, False),
    ],
    ids=["object of Kubernetes", "secret", "names of ways", "ordinary", "by its name"],
)
def test_labels_keep_what_is_no_secret(labels: dict[str, str], kept: bool) -> None:
    assert (Redactor().pairs(labels) == labels) is kept


def test_the_documents_that_ship_hold_no_secret_and_are_shown_as_written() -> None:
    told = "\n".join(one.model_dump_json() for one in documents())
    assert "_1>" not in told


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("model_headers", '{"x-api-key": 17}', "17"),
        ("model_headers", '"x-api-key: hunter2x"', "hunter2x"),
        ("port", "postgres://app:hunter2x@db/x", "hunter2x"),
    ],
)
def test_a_wrong_setting_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secret: str
) -> None:
    monkeypatch.setenv(f"COPILOT_{name.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        load()
    assert name in str(refused.value)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgres//app:hunter2x@db/x", "mysql://app:hunter2x@db/x", "app:hunter2x@db"]
)
def test_a_wrong_database_address_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        Database(url)
    assert "hunter2x" not in str(refused.value)


def test_a_key_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "some.key"
    assert key(path) == key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        key(path)
