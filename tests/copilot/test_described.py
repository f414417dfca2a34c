"""The OpenAPI document: every route has its shapes, and real answers are of them."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from copilot.store import Store
from copilot.surfaces.service.described import SHAPES, DescribedApp, shape_of
from copilot.types.incident import Incident
from docs.generate import openapi
from tests.copilot import people_world as world
from tests.copilot.people_world import NOW, answer, login
from tools.types import Alert

empty, planned, waiting, store = world.empty, world.planned, world.waiting, world.store
clock, access = world.clock, world.access
engine, app, client = world.engine, world.app, world.client


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(openapi())
    return read


def routes(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(verb, path) for path, verbs in document["paths"].items() for verb in verbs}


def test_every_route_has_its_shapes_and_the_table_names_no_other(
    document: dict[str, Any], app: DescribedApp
) -> None:
    told = routes(document) | routes(app.openapi())
    assert {one for one in told if shape_of(*one) is None} == set()
    assert SHAPES.keys() - {f"{verb.upper()} {path}" for verb, path in told} == set()


def test_every_shape_that_is_named_is_there(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    named = {one.partition('"')[0] for one in text.split('"$ref": "#/components/schemas/')[1:]}
    assert named <= document["components"]["schemas"].keys()
    assert "IncidentView" in named


def test_what_reads_a_document_says_which(document: dict[str, Any]) -> None:
    silent = {
        (verb, path)
        for verb, path in routes(document)
        if verb in ("post", "put") and "requestBody" not in document["paths"][path][verb]
    }
    assert silent == set()


@pytest.mark.parametrize("route", [name for name, one in SHAPES.items() if one.example is not None])
def test_an_example_is_of_its_shape(route: str) -> None:
    TypeAdapter(SHAPES[route].sent).validate_python(SHAPES[route].example)


ALERTS = [{"labels": {"alertname": "Down", "service": "till"}}]
SILENCE = {
    "matchers": [{"name": "service", "value": "till", "isRegex": False}], "comment": "a release",
    "startsAt": "2023-11-14T22:00:00Z", "endsAt": "2033-11-14T22:00:00Z", "createdBy": "",
}  # fmt: skip
CAUSE = {"component": "till", "fault_kind": "bad_deploy", "note": "", "force": True}
ASKED: list[tuple[str, str, str, Any]] = [
    ("GET", "/incidents", "", None),
    ("GET", "/incidents/{incident_id}", "/incidents/I1", None),
    ("POST", "/incidents/{incident_id}/on-call", "/incidents/I1/on-call", {"action": "take"}),
    ("POST", "/incidents/{incident_id}/approval", "/incidents/I1/approval", answer()),
    ("POST", "/incidents/{incident_id}/cause", "/incidents/I2/cause", CAUSE),
    ("DELETE", "/incidents/{incident_id}/cause", "/incidents/I2/cause", None),
    ("POST", "/api/v2/alerts", "", ALERTS),
    ("POST", "/webhooks/generic", "", {"alertname": "Down", "service": "till"}),
    ("POST", "/changes", "", {"kind": "deploy", "service": "till", "to": "v2"}),
    ("GET", "/alerts", "", None),
    ("GET", "/incidents/{incident_id}/alerts", "/incidents/I1/alerts", None),
    ("POST", "/api/v2/silences", "", SILENCE),
    ("GET", "/api/v2/silences", "", None),
    ("GET", "/api/v2/alerts", "", None),
    ("GET", "/api/v2/alerts/groups", "", None),
    ("GET", "/api/v2/receivers", "", None),
    ("GET", "/api/v2/status", "", None),
    ("GET", "/healthz", "", None),
    ("GET", "/readyz", "", None),
    ("GET", "/doctor", "", None),
    ("POST", "/login/device", "", {"machine": "laptop"}),
]
"""Method, route, path where it is another, document; in this order, as one goes by the other."""


def firing(name: str) -> Alert:
    return Alert(
        fingerprint=name, name=name, status="firing", severity="critical", service="till",
        starts_at=NOW, labels={"alertname": name},
    )  # fmt: skip


def test_a_real_answer_is_of_its_shape(client: TestClient, store: Store) -> None:
    store.incidents.open(
        Incident(id="I2", title="over", status="resolved", opened_at=NOW, updated_at=NOW)
    )
    store.alerts.accept([firing("a"), firing("b")], NOW)
    store.alerts.assign([1], "I1", "first", "opened", NOW)
    store.alerts.assign([2], None, "it fires all the time", "noise", NOW)
    headers = login(store, "the admin")
    for method, route, path, sent in ASKED:
        shape = shape_of(method, route)
        assert shape is not None
        told = client.request(method, path or route, json=sent, headers=headers)
        assert told.status_code == shape.status, (route, told.text)
        if shape.answered is None:
            assert told.content == b"", route
        else:
            assert told.headers["content-type"].startswith(shape.media), route
            assert told.json(), route
            TypeAdapter(shape.answered).validate_json(told.content)
