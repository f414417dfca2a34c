"""The gate: hostile requests get a clear 4xx, and the service lives on."""

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store)
    store.close()


@pytest.fixture
def client(engine: CountedEngine) -> TestClient:
    return TestClient(create_app(engine, Door()), base_url="http://127.0.0.1")


def lives(client: TestClient) -> bool:
    return client.post("/webhooks/generic", json={"name": "still here"}).status_code == 202


# --- size and type -----------------------------------------------------------------------------

TOO_BIG = b'"' + b"x" * 200_000 + b'"'
CARRIED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "too large": (TOO_BIG, JSON, 413, "larger than 100000 bytes"),
    "too large once unpacked": (
        gzip.compress(b" " * 50_000_000), {**JSON, "content-encoding": "gzip"}, 413, "larger than"
    ),
    "not gzip": (b"{}", {**JSON, "content-encoding": "gzip"}, 400, "not gzip"),
    "half a gzip": (
        gzip.compress(b'{"name": "a"}')[:-6], {**JSON, "content-encoding": "gzip"}, 400, "too early"
    ),
    "another packing": (b"{}", {**JSON, "content-encoding": "br"}, 415, "'br' is not read"),
    "a form": (
        b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "send application/json"
    ),
    "plain text": (b"{}", {"content-type": "text/plain"}, 415, "send application/json"),
    "no type": (b"{}", {}, 415, "no content type"),
    "XML": (b"<a/>", {"content-type": "application/xml"}, 415, "send application/json"),
    "nothing": (b"", JSON, 400, "expected JSON"),
    "not JSON": (b"alerts!", JSON, 400, "expected JSON"),
    "NaN": (b'{"name": NaN}', JSON, 400, "expected JSON"),
    "very deep": (b"[" * 50_000, JSON, 400, "recursion limit"),
    "a wrong type": (b'{"name": []}', JSON, 422, "name: expected a string"),
    "too many alerts": (
        json.dumps([{"name": "a"}] * 101).encode(), JSON, 413, "at most 100 alerts"
    ),
    "a length that is none": (b"{}", {**JSON, "content-length": "many"}, 400, "not a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIED)
def test_a_body_that_is_not_read_gets_a_clear_answer(
    client: TestClient, engine: CountedEngine, case: str
) -> None:
    content, headers, status, says = CARRIED[case]
    answer = client.post("/webhooks/generic", content=content, headers=headers)
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True)
    assert engine.store.alerts.unassigned() == ()
    assert lives(client)


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", "application/cloudevents+json", "TEXT/JSON"]
)
def test_every_kind_of_json_is_read(client: TestClient, media: str) -> None:
    answer = client.post(
        "/webhooks/generic", content=b'{"name": "a"}', headers={"content-type": media}
    )
    assert answer.status_code == 202


def test_a_packed_body_is_read(client: TestClient) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    content = gzip.compress(json.dumps([{"name": str(n)} for n in range(100)]).encode())
    assert client.post("/webhooks/generic", content=content, headers=headers).json()["new"] == 100


# --- who may come in ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8383", "[::1]:80", "app.localhost"])
def test_without_a_key_this_machine_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/incidents", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8383", "10.0.0.1", "127.0.0.1.x"])
def test_without_a_key_no_other_name_is_answered(client: TestClient, host: str) -> None:
    answer = client.get("/incidents", headers={"host": host})
    assert answer.status_code == 421
    assert "set an API key" in answer.json()["detail"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        (basic("anybody", "s3cret"), 200),
        (basic("s3cret", ""), 401),
        ("Bearer s3cre", 401),
        ("Bearer s3crets", 401),
        ("Bearer", 401),
        ("Basic ???", 401),
        ("Basic " + base64.b64encode(b"\xff\xff").decode(), 401),
        ("Digest s3cret", 401),
        ("", 401),
    ],
)
def test_with_a_key_every_request_carries_it(
    engine: CountedEngine, authorization: str, status: int
) -> None:
    app = create_app(engine, Door(api_key=SecretStr("s3cret")))
    client = TestClient(app, base_url="http://copilot.example")
    answer = client.get("/incidents", headers={"authorization": authorization})
    assert answer.status_code == status
    if status == 401:
        assert "Bearer" in answer.headers["www-authenticate"]
        assert "s3cret" not in answer.text


def test_with_a_key_only_the_probes_are_open(engine: CountedEngine) -> None:
    app = create_app(engine, Door(api_key=SecretStr("s3cret")))
    client = TestClient(app, base_url="http://copilot.example")
    opened = {
        path: client.get(path).status_code
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/incidents/x/events")
    }
    assert opened == {
        "/healthz": 200,
        "/readyz": 200,
        "/metrics": 401,
        "/openapi.json": 401,
        "/incidents/x/events": 401,
    }
    assert client.post("/webhooks/generic", json={"name": "a"}).status_code == 401


# --- over a real socket ------------------------------------------------------------------------


@pytest.fixture
def port(engine: CountedEngine) -> Iterator[int]:
    """The service on the loopback, as it is run."""
    config = uvicorn.Config(create_app(engine, Door()), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


HEAD = "POST /webhooks/generic HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def exchange(port: int, *parts: bytes, end: bool = False) -> str:
    """Send the parts one by one and read until the service closes or says all it has to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()


def chunked(*chunks: bytes) -> list[bytes]:
    return [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")]


def test_a_chunked_body_is_read(port: int) -> None:
    head = (HEAD + "connection: close\r\ntransfer-encoding: chunked\r\n\r\n").encode()
    assert "202 Accepted" in exchange(port, head, *chunked(b'{"na', b'me": "a"}'))


def test_a_chunked_body_is_counted_while_it_arrives(port: int) -> None:
    head = (HEAD + "connection: close\r\ntransfer-encoding: chunked\r\n\r\n").encode()
    answer = exchange(port, head, *chunked(*[b"x" * 50_000] * 20))
    assert "413" in answer.splitlines()[0]
    assert "larger than 100000 bytes" in answer


def test_who_asks_before_sending_too_much_hears_it_at_once(port: int) -> None:
    head = (HEAD + "expect: 100-continue\r\ncontent-length: 999999999\r\n\r\n").encode()
    answer = exchange(port, head)
    assert "413" in answer.splitlines()[0]
    assert "100 Continue" not in answer


def test_who_sends_too_much_without_asking_still_hears_why(port: int) -> None:
    body = b"x" * 1_000_000
    head = (HEAD + f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n").encode()
    assert "413" in exchange(port, head, body).splitlines()[0]


def test_a_body_that_ends_before_its_length_is_dropped(port: int, engine: CountedEngine) -> None:
    short = (HEAD + "content-length: 999\r\n\r\n").encode()
    assert "202" not in exchange(port, short, b'{"name": "a"}', end=True)
    whole = (HEAD + "connection: close\r\ncontent-length: 13\r\n\r\n").encode()
    assert "202 Accepted" in exchange(port, whole, b'{"name": "b"}')
    assert [row.alert.name for row in engine.store.alerts.unassigned()] == ["b"]


def test_bytes_after_the_declared_length_are_not_part_of_the_body(
    port: int, engine: CountedEngine
) -> None:
    head = (HEAD + "connection: close\r\ncontent-length: 13\r\n\r\n").encode()
    assert "202 Accepted" in exchange(port, head, b'{"name": "a"},{"name": "b"}')
    assert [row.alert.name for row in engine.store.alerts.unassigned()] == ["a"]


# --- anything at all ---------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
PATHS = [
    "/api/v2/alerts",
    "/api/v2/silences",
    "/webhooks/alertmanager",
    "/webhooks/grafana",
    "/webhooks/pagerduty",
    "/webhooks/cloudevents",
    "/webhooks/generic",
    "/incidents/I1/approval",
]


def reason(refused: Any) -> str:
    """Alertmanager's API says it plainly or as a message, every other path as a detail."""
    if isinstance(refused, str):
        return refused
    return str(refused.get("detail") or refused["message"])


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=json_values, path=st.sampled_from(PATHS))
def test_any_json_gets_an_answer_that_is_not_ours_to_blame(
    client: TestClient, document: Any, path: str
) -> None:
    answer = client.post(path, content=json.dumps(document).encode(), headers=JSON)
    assert answer.status_code in (200, 202, 400, 404, 409, 413, 422)
    assert answer.status_code in (200, 202) or reason(answer.json())


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=64),
    path=st.sampled_from(PATHS),
    encoding=st.sampled_from(["", "gzip", "identity", "deflate"]),
)
def test_any_bytes_get_an_answer_that_is_not_ours_to_blame(
    client: TestClient, body: bytes, path: str, encoding: str
) -> None:
    headers = {**JSON, **({"content-encoding": encoding} if encoding else {})}
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code in (200, 202, 400, 404, 409, 415, 422)
