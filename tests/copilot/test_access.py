"""Who may decide: reading stays open, deciding needs the admin token or a session made with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import COOKIE, IDLE_S, LONGEST_S, Access
from copilot.surfaces.service.rights import need_of
from copilot.surfaces.service.throttle import TRIES, TooManyTriesError
from copilot.testing.service import CountedEngine
from tests.copilot import people_world as world
from tests.copilot.people_world import BASE, NOW, PLAN, TOKEN, Clock, Door, copied
from tools.playbook_executor import Policy

empty, planned, clock = world.empty, world.planned, world.clock


@pytest.fixture
def engine(planned: Path, tmp_path: Path) -> Iterator[CountedEngine]:
    """Over a store of people without accounts."""
    for opened in copied(planned, tmp_path):
        yield CountedEngine(opened, NOW)


@pytest.fixture
def client(engine: CountedEngine, clock: Clock) -> TestClient:
    return browser(engine, Access(engine.store, TOKEN, clock=clock))


def browser(engine: CountedEngine, access: Access, key: str = "") -> TestClient:
    door = Door(api_key=SecretStr(key) if key else None)
    return TestClient(
        create_app(engine, door, access=access), base_url=BASE, follow_redirects=False
    )


def signed_in(client: TestClient, name: str = "anna", token: str = TOKEN) -> Response:
    return client.post("/console/sign-in", data={"name": name, "token": token})


def form(client: TestClient, **changed: str) -> dict[str, str]:
    """The form of the incident's page, as a browser would send it back."""
    text = client.get("/console/incidents/I1").text
    csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
    known = {
        "csrf": csrf, "plan_id": PLAN.id, "digest": PLAN.digest, "decision": "approve",
    }  # fmt: skip
    return known | changed


def decide(
    client: TestClient, sent: dict[str, str], headers: dict[str, str] | None = None
) -> Response:
    return client.post("/console/incidents/I1/decision", data=sent, headers=headers or {})


# --- what stays open, what does not ------------------------------------------------------------

DECISIONS: dict[str, tuple[str, str]] = {
    "an answer to a plan": ("POST", "/incidents/I1/approval"),
    "an edited plan": ("POST", "/incidents/I1/plan"),
    "a word on a step": ("POST", "/incidents/I1/step"),
    "a wish to try again": ("POST", "/incidents/I1/retry"),
    "a confirmed cause": ("POST", "/incidents/I1/cause"),
    "a cause taken back": ("DELETE", "/incidents/I1/cause?by=x"),
    "a silence": ("POST", "/api/v2/silences"),
    "a silence ended": ("DELETE", "/api/v2/silence/3f7a6a2e-0000-4000-8000-000000000000"),
}


@pytest.mark.parametrize("case", DECISIONS)
def test_a_decision_needs_the_token(client: TestClient, case: str) -> None:
    method, path = DECISIONS[case]
    signed_in(client)  # a session does not decide for programs: another page could ride on it
    for given in ({}, {"authorization": "Bearer wrong"}):
        refused = client.request(method, path, json={}, headers=given)
        assert refused.status_code == 401
        assert "admin" in refused.text
    let_in = client.request(method, path, json={}, headers={"authorization": f"Bearer {TOKEN}"})
    assert let_in.status_code != 401


def test_reading_and_what_senders_send_stay_open(client: TestClient) -> None:
    for path in ("/", "/incidents", "/incidents/I1", "/console/incidents/I1", "/openapi.json"):
        assert client.get(path).status_code == 200, path
    assert client.post("/webhooks/generic", json={"name": "a"}).status_code == 202
    assert need_of("POST", "/incidents/I1/unknown") == "admin"
    assert need_of("GET", "/api/v2/silences") == "read"


def test_with_an_api_key_it_is_an_admin_token_too(engine: CountedEngine) -> None:
    client = browser(engine, Access(engine.store, TOKEN, "k3y"), key="k3y")
    assert client.get("/").status_code == 401
    assert client.get("/console/sign-in").status_code == 200
    for held in (TOKEN, "k3y"):
        given = {"authorization": f"Bearer {held}"}
        assert client.post("/incidents/I1/approval", json={}, headers=given).status_code == 422
    assert signed_in(client, token="k3y").status_code == 303
    assert client.get("/").status_code == 200
    assert client.get("/incidents").status_code == 200
    assert client.post("/incidents/I1/approval", json={}).status_code == 401
    assert client.post("/webhooks/generic", json={"name": "a"}).status_code == 401


# --- signing in --------------------------------------------------------------------------------


def test_the_link_signs_in_and_the_journal_knows(client: TestClient, engine: CountedEngine) -> None:
    link = Access(engine.store, TOKEN).link(BASE)
    assert TOKEN in client.get(link).text
    cookie = signed_in(client).headers["set-cookie"]
    assert all(mark in cookie for mark in ("HttpOnly", "SameSite=strict"))
    assert TOKEN not in cookie
    assert "anna" in client.get("/").text
    assert [(e.kind, e.by) for e in engine.store.journal.events()] == [("signed_in", "anna")]
    sent = {"csrf": form(client)["csrf"]}
    assert client.post("/console/sign-out", data=sent).status_code == 303
    assert "anna" not in client.get("/").text


def test_a_wrong_token_is_refused_told_and_slowed_down(
    client: TestClient, engine: CountedEngine, clock: Clock
) -> None:
    for _ in range(TRIES):
        assert signed_in(client, token="b" * 64).status_code == 403
    assert {e.kind for e in engine.store.journal.events()} == {"refused"}
    assert signed_in(client).status_code == 429
    clock.now += 61
    assert signed_in(client).status_code == 303


def test_wrong_tokens_close_the_door_for_their_address_alone(engine: CountedEngine) -> None:
    access = Access(engine.store, TOKEN, clock=Clock())
    for _ in range(TRIES):
        assert access.by_token("anna", "b" * 64, "192.0.2.7") is None
    with pytest.raises(TooManyTriesError):
        access.by_token("anna", TOKEN, "192.0.2.7")
    assert access.by_token("anna", TOKEN, "192.0.2.8") is not None


def test_who_signs_in_says_who_they_are(client: TestClient) -> None:
    assert signed_in(client, name=" \u202e").status_code == 403


def test_a_session_survives_a_restart_and_ends_in_time(
    client: TestClient, engine: CountedEngine, clock: Clock
) -> None:
    signed_in(client)
    again = browser(engine, Access(engine.store, TOKEN, clock=clock))
    again.cookies = client.cookies
    assert "anna" in again.get("/").text
    for _ in range(int(LONGEST_S // IDLE_S) - 1):
        clock.now += IDLE_S - 1
        assert "anna" in again.get("/").text  # each look renews it
    clock.now += IDLE_S + 120
    assert "anna" not in again.get("/").text


def test_a_cookie_that_is_not_ours_is_nobody(engine: CountedEngine) -> None:
    ours, other = Access(engine.store, TOKEN), Access(engine.store, "b" * 64)
    cookie = ours.by_token("anna", TOKEN, "127.0.0.1")
    assert cookie is not None
    found = ours.session(cookie)
    assert found is not None
    assert found.name == "anna"
    assert other.session(cookie) is None  # another admin.token: every session is over
    forged = [cookie[:-1], cookie.swapcase(), found.digest, "", ".", "\u00e9" * 43, "x" * 10_000]
    assert [one for one in forged if ours.session(one) is not None] == []


def test_signing_in_and_out_ends_the_session_before_wherever_its_cookie_went(
    client: TestClient, engine: CountedEngine
) -> None:
    access = Access(engine.store, TOKEN, clock=Clock())
    leaves: list[Callable[[], Response]] = [
        lambda: signed_in(client, "bob"),
        lambda: sign_out(client),
    ]
    for leave in leaves:
        signed_in(client)
        stolen = client.cookies[COOKIE]
        assert access.session(stolen) is not None
        leave()
        assert access.session(stolen) is None


def sign_out(client: TestClient) -> Response:
    return client.post("/console/sign-out", data={"csrf": form(client)["csrf"]})


# --- deciding on a page ------------------------------------------------------------------------


def test_who_is_signed_in_approves_what_was_shown(
    client: TestClient, engine: CountedEngine
) -> None:
    assert "Approve" not in client.get("/console/incidents/I1").text
    signed_in(client)
    answer = decide(client, form(client))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/incidents/I1")
    request = engine.store.approvals.get(PLAN.id)
    assert request is not None
    assert (request.status, request.given[0].approver) == ("approved", "anna")


def test_a_rejection_carries_its_reason(client: TestClient, engine: CountedEngine) -> None:
    signed_in(client)
    refused = decide(client, form(client, decision="reject"))
    assert refused.status_code == 409
    assert "reason" in refused.text
    assert decide(client, form(client, decision="reject", reason="not at noon")).status_code == 303
    request = engine.store.approvals.get(PLAN.id)
    assert request is not None
    assert request.given[0].reason == "not at noon"


NOT_MEANT: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "no form token": ({"csrf": ""}, {}),
    "the form token of another session": ({"csrf": "0" * 64}, {}),
    "from another page": ({}, {"origin": "http://evil.example"}),
    "from another port of this machine": ({}, {"origin": "http://127.0.0.1:3000"}),
    "from a page without an origin": ({}, {"origin": "null"}),
    "from another site, as the browser tells": ({}, {"sec-fetch-site": "cross-site"}),
}


@pytest.mark.parametrize("case", NOT_MEANT)
def test_a_form_that_nobody_meant_decides_nothing(
    client: TestClient, engine: CountedEngine, case: str
) -> None:
    changed, headers = NOT_MEANT[case]
    signed_in(client)
    assert decide(client, form(client, **changed), headers).status_code == 403
    request = engine.store.approvals.get(PLAN.id)
    assert request is not None
    assert request.status == "pending"


REFUSED: dict[str, dict[str, str]] = {
    "another content": {"digest": "cd" * 32},
    "a plan of nobody": {"plan_id": "rollback-9"},
    "another decision": {"decision": "maybe"},
    "somebody else's name": {"approver": "bob"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_form_that_is_not_the_plans_decides_nothing(
    client: TestClient, engine: CountedEngine, case: str
) -> None:
    signed_in(client)
    answer = decide(client, form(client, **REFUSED[case]))
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text
    request = engine.store.approvals.get(PLAN.id)
    assert request is not None
    assert request.status == "pending"


def test_nobody_decides_without_a_session_or_a_right(
    client: TestClient, engine: CountedEngine
) -> None:
    assert decide(client, form(client)).status_code == 403
    engine.policy = Policy(approvers=frozenset({"bob"}), responders=frozenset({"anna"}))
    signed_in(client)
    text = client.get("/console/incidents/I1").text
    assert 'value="reject"' in text
    assert 'value="approve"' not in text


def test_another_name_of_this_machine_is_not_answered(client: TestClient) -> None:
    signed_in(client)
    rebound: dict[str, Any] = {"host": "evil.example", "origin": "http://evil.example"}
    assert decide(client, form(client), rebound).status_code == 421
    assert COOKIE in client.cookies
