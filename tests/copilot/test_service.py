"""The service: alerts in, incidents out, plans answered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from copilot.store import Store, StoreError
from copilot.surfaces.service import create_app
from copilot.testing.payloads import alertmanager, cloud_event, grafana, pagerduty
from copilot.testing.service import CountedEngine
from copilot.types.incident import Clocks, Incident
from tools.types import Evidence, Plan, Window

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


def incident(store: Store, incident_id: str = "I1", at: float = NOW, **fields: Any) -> Incident:
    opened = Incident(id=incident_id, title="cart is slow", opened_at=at, updated_at=at, **fields)
    store.incidents.open(opened)
    return opened


def plan(incident_id: str = "I1") -> Plan:
    return Plan(
        id="P1",
        incident_id=incident_id,
        playbook_id="restart",
        title="Restart cart",
        risk="B",
        component="cart",
        steps=(),
        created_at=NOW,
        expires_at=NOW + 900,
        digest="a" * 64,
    )


# --- deliveries --------------------------------------------------------------------------------

DELIVERIES: dict[str, tuple[str, str, Any]] = {
    "alertmanager": ("POST", "/webhooks/alertmanager", alertmanager()),
    "grafana": ("POST", "/webhooks/grafana", grafana()),
    "grafana by PUT": ("PUT", "/webhooks/grafana", grafana()),
    "pagerduty": ("POST", "/webhooks/pagerduty", pagerduty()),
    "cloudevents": ("POST", "/webhooks/cloudevents", cloud_event({"title": "full"})),
    "generic": ("POST", "/webhooks/generic", {"name": "full"}),
}


@pytest.mark.parametrize("source", DELIVERIES)
def test_alerts_are_on_disk_when_the_answer_is_202_and_once_only(
    client: TestClient, engine: CountedEngine, source: str
) -> None:
    method, path, document = DELIVERIES[source]
    first = client.request(method, path, json=document)
    assert (first.status_code, first.json()["new"]) == (202, 1)
    engine.time += 30
    again = client.request(method, path, json=document)
    assert (again.status_code, again.json()["new"], again.json()["repeated"]) == (202, 0, 1)
    assert len(engine.store.alerts.unassigned()) == 1


def test_a_cloud_event_in_headers_is_read(client: TestClient, engine: CountedEngine) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "full"}
    answer = client.post("/webhooks/cloudevents", json={"host": "h1"}, headers=headers)
    assert answer.status_code == 202
    assert engine.store.alerts.unassigned()[0].alert.name == "full"


def test_nothing_is_accepted_while_the_store_cannot_write(
    client: TestClient, engine: CountedEngine
) -> None:
    engine.broken = StoreError("disk is full", recoverable=True)
    answer = client.post("/webhooks/generic", json={"name": "full"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "disk is full" in answer.json()["detail"]
    assert client.post("/webhooks/generic", json={"name": "full"}).json()["new"] == 1


def test_a_fault_of_ours_is_a_recorded_500_and_the_service_lives_on(
    client: TestClient, engine: CountedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.broken = ZeroDivisionError("secret detail")
    answer = client.post("/webhooks/generic", json={"name": "full"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert client.post("/webhooks/generic", json={"name": "full"}).status_code == 202
    assert "copilot_http_errors_total 1.0" in client.get("/metrics").text


# --- reading -----------------------------------------------------------------------------------


def test_incidents_are_a_list_newest_first(client: TestClient, engine: CountedEngine) -> None:
    assert client.get("/incidents").json() == []
    for number in range(3):
        incident(engine.store, f"I{number}", NOW + number)
    engine.store.incidents.update("I1", NOW, status="recovered")
    assert [i["id"] for i in client.get("/incidents").json()] == ["I2", "I1", "I0"]
    assert [i["id"] for i in client.get("/incidents?limit=2").json()] == ["I2", "I1"]
    assert [i["id"] for i in client.get("/incidents?before=I1").json()] == ["I0"]
    assert [i["id"] for i in client.get("/incidents?status=recovered").json()] == ["I1"]


def test_an_incident_is_shown_whole_in_the_language_asked_for(
    client: TestClient, engine: CountedEngine
) -> None:
    evidence = Evidence(
        id="E1",
        kind="metric",
        subject="cart",
        name="latency",
        source="prometheus",
        query="p99",
        window=Window(start=NOW - 60, end=NOW),
        value=float("nan"),
        figures={"z": float("inf")},
        statement="cart is slow",
    )
    incident(
        engine.store,
        clocks=Clocks(onset=NOW - 100, detected=NOW - 70),
        brief={"en": "cart is slow", "zh": "购物车很慢"},
        report={"en": "# Report"},
        evidence=(evidence,),
        plan=plan(),
    )
    engine.store.approvals.request(plan(), "I1.1", NOW)
    shown = client.get("/incidents/I1").json()
    assert (shown["id"], shown["status"], shown["title"], shown["brief"]) == (
        "I1", "investigating", "cart is slow", "cart is slow"
    )  # fmt: skip
    assert shown["clocks"]["detected"] == {
        "at": "2026-01-01T00:00:30Z", "seconds": 30.0, "limit_s": 60.0
    }  # fmt: skip
    assert shown["clocks"]["measured_from"] == "metrics"
    assert shown["clocks"]["recovered"] == {"at": None, "seconds": None, "limit_s": 600.0}
    assert shown["evidence"][0]["id"] == "E1"
    assert shown["evidence"][0]["value"] is None
    assert shown["ranking"]["candidates"] == []
    assert shown["plan"]["digest"] == shown["approval"]["digest"] == "a" * 64
    assert shown["approval"]["status"] == "pending"
    chinese = client.get("/incidents/I1?lang=zh").json()
    assert (chinese["brief"], chinese["report"]) == ("购物车很慢", "# Report")


def test_clocks_that_measure_nothing_have_no_limits(
    client: TestClient, engine: CountedEngine
) -> None:
    incident(engine.store, clocks=Clocks(onset=NOW - 9, detected=NOW, measured_from="alert"))
    (listed,) = client.get("/incidents").json()
    clocks = listed["clocks"]
    assert clocks["measured_from"] is None
    assert "no metric shows when it began" in clocks["why"]
    assert clocks["detected"] == {"at": "2026-01-01T00:01:40Z", "seconds": None, "limit_s": None}


def test_suppressed_alerts_are_listed_with_the_reason(
    client: TestClient, engine: CountedEngine
) -> None:
    incident(engine.store)
    client.post("/webhooks/generic", json=[{"name": "a"}, {"name": "b"}, {"name": "c"}])
    keys = [row.key for row in engine.store.alerts.unassigned()]
    engine.store.alerts.assign(keys[:1], "I1", "first", "opened", NOW)
    engine.store.alerts.assign(keys[1:2], "I1", "caused by a", "inhibited", NOW)
    engine.store.alerts.assign(keys[2:], None, "maintenance", "silenced", NOW)
    listed = client.get("/incidents/I1/alerts").json()
    assert [(a["name"], a["action"], a["reason"], a["suppressed"]) for a in listed] == [
        ("a", "opened", "first", False),
        ("b", "inhibited", "caused by a", True),
    ]
    assert client.get("/incidents/I1").json()["alerts"] == listed
    assert [a["reason"] for a in client.get("/alerts").json()] == ["maintenance"]


@pytest.mark.parametrize("path", ["", "/alerts", "/events"])
def test_an_incident_that_is_not_there_is_404(client: TestClient, path: str) -> None:
    answer = client.get(f"/incidents/nobody{path}")
    assert (answer.status_code, answer.json()) == (
        404, {"detail": "there is no incident 'nobody'"}
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/incidents?limit=0", "/incidents?limit=x", "/incidents?status=no", "/incidents/I1?lang=fr"],
)  # fmt: skip
def test_a_wrong_parameter_is_422_and_named(
    client: TestClient, engine: CountedEngine, path: str
) -> None:
    incident(engine.store)
    answer = client.get(path)
    assert answer.status_code == 422
    assert path.partition("?")[2].partition("=")[0] in answer.json()["detail"]


# --- answering ---------------------------------------------------------------------------------


def said(**fields: Any) -> dict[str, Any]:
    answer = {"plan_id": "P1", "digest": "a" * 64, "decision": "approve", "approver": "ann"}
    return {**answer, **fields}


def test_a_plan_is_approved_by_its_digest(client: TestClient, engine: CountedEngine) -> None:
    incident(engine.store, plan=plan())
    engine.store.approvals.request(plan(), "I1.1", NOW)
    answer = client.post("/incidents/I1/approval", json=said())
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert answer.json()["approvals"] == {"given": 1, "needed": 1}
    shown = client.get("/incidents/I1").json()["approval"]
    assert (shown["status"], shown["approver"]) == ("approved", "ann")


def test_a_first_approval_of_two_says_so(client: TestClient, engine: CountedEngine) -> None:
    engine.needed, engine.dry_run = 2, False
    incident(engine.store, plan=plan())
    engine.store.approvals.request(plan(), "I1.1", NOW)
    answer = client.post("/incidents/I1/approval", json=said()).json()
    assert (answer["plan_status"], answer["dry_run"]) == ("pending", False)
    assert answer["approvals"] == {"given": 1, "needed": 2}
    shown = client.get("/incidents/I1").json()["approval"]
    assert (shown["dry_run"], shown["approvals"]) == (False, {"given": 1, "needed": 2})


REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "another digest": ("I1", said(digest="b" * 64), 409, "look at the plan again"),
    "another plan": ("I1", said(plan_id="P9"), 409, "has no plan 'P9'"),
    "the plan of another incident": ("I2", said(), 409, "has no plan 'P1'"),
    "no incident": ("I9", said(), 404, "no incident"),
    "no reason to reject": ("I1", said(decision="reject"), 409, "reason"),
    "no approver": ("I1", said(approver="  "), 422, "approver"),
    "neither yes nor no": ("I1", said(decision="maybe"), 422, "decision: expected 'approve' or"),
    "a field nobody knows": ("I1", said(force=True), 422, "force"),
    "a digest of another type": ("I1", said(digest=1), 422, "digest: expected a string"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_that_does_not_count_is_refused_with_the_reason(
    client: TestClient, engine: CountedEngine, case: str
) -> None:
    incident_id, body, status, says = REFUSED[case]
    incident(engine.store, plan=plan())
    incident(engine.store, "I2")
    engine.store.approvals.request(plan(), "I1.1", NOW)
    answer = client.post(f"/incidents/{incident_id}/approval", json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert [request.plan.id for request in engine.store.approvals.pending()] == ["P1"]


def test_a_second_answer_is_refused(client: TestClient, engine: CountedEngine) -> None:
    incident(engine.store, plan=plan())
    engine.store.approvals.request(plan(), "I1.1", NOW)
    client.post("/incidents/I1/approval", json=said(decision="reject", reason="not at noon"))
    answer = client.post("/incidents/I1/approval", json=said())
    assert (answer.status_code, answer.json()["detail"]) == (
        409, "plan 'P1' was rejected before, by 'ann'"
    )  # fmt: skip


# --- health ------------------------------------------------------------------------------------


def test_readiness_says_what_is_wrong(client: TestClient, engine: CountedEngine) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    engine.checks = {"store": "ok", "workers": "not running"}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"] == "not running"


def test_metrics_count_what_happened_by_route(client: TestClient, engine: CountedEngine) -> None:
    incident(engine.store)
    client.post("/webhooks/generic", json={"name": "a"})
    client.post("/webhooks/generic", content=b"{", headers={"content-type": "application/json"})
    client.get("/incidents/I1")
    client.get("/no/such/place")
    client.request("INVENTED", "/healthz")
    text = client.get("/metrics").text
    for row in (
        'copilot_http_requests_total{method="POST",route="/webhooks/generic",status="202"} 1.0',
        'copilot_http_requests_total{method="POST",route="/webhooks/generic",status="400"} 1.0',
        'method="GET",route="/incidents/{incident_id}",status="200"} 1.0',
        'copilot_http_requests_total{method="GET",route="none",status="404"} 1.0',
        "copilot_alerts_accepted_total 1.0",
        'copilot_incidents{status="investigating"} 1.0',
    ):
        assert row in text
    assert "INVENTED" not in text


def test_the_schema_names_every_route(client: TestClient) -> None:
    paths = json.loads(client.get("/openapi.json").text)["paths"]
    assert {
        "/api/v2/alerts",
        "/api/v2/silence/{silence_id}",
        "/webhooks/grafana",
        "/incidents/{incident_id}/events",
        "/incidents/{incident_id}/approval",
        "/metrics",
    } <= set(paths)
