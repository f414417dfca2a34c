"""People who are who they say: accounts, roles, tokens; a name is its credential's alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import JsonValue, SecretStr
from starlette.responses import Response as StarletteResponse
from starlette.types import Receive, Scope, Send

from copilot.case.rights import by_accounts
from copilot.store import NameTakenError, Store
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import COOKIE, IDLE_S, Access, digest_of
from copilot.surfaces.service.gate import Gate
from copilot.surfaces.service.passwords import WeakPasswordError
from copilot.surfaces.service.rights import LEAST, RIGHTS, Need, need_of
from copilot.surfaces.service.throttle import TRIES
from copilot.testing.service import CountedEngine
from copilot.types.people import ROLES
from tests.copilot import people_world as world
from tests.copilot.people_world import (
    BASE,
    HASH,
    NOW,
    PASSWORD,
    PLAN,
    QUICK,
    TOKEN,
    Clock,
    Door,
    account,
    answer,
    approvers,
    browser,
    login,
    program,
    signed_in,
)
from tools.playbook_executor import ApprovalScope, Policy
from tools.types import Alert, Plan, PlanStep, Subject

empty, planned, waiting, store = world.empty, world.planned, world.waiting, world.store
clock, access = world.clock, world.access
engine, app, client = world.engine, world.app, world.client

# --- every route, with everybody ---------------------------------------------------------------


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of everything that the service answers."""
    found = set()
    for one in app.routes:
        listed: Any = one.original_router.routes if hasattr(one, "original_router") else [one]
        for route in listed:
            found |= {(verb, route.path) for verb in route.methods if verb != "HEAD"}
    return found


ALLOWED: dict[str, set[Need]] = {
    "nobody": {"open", "form"},
    "alerts": {"open", "form", "alerts"},
    "read": {"open", "form", "read"},
    "chat": {"open", "form", "chat"},
    "viewer": {"open", "form", "read", "chat"},
    "responder": {"open", "form", "read", "chat", "alerts", "respond"},
    "approver": {"open", "form", "read", "chat", "alerts", "respond"},
    "admin": {"open", "form", "read", "chat", "alerts", "respond", "admin"},
}


async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands behind the gate: whatever comes so far is answered with 204."""
    await StarletteResponse(status_code=204)(scope, receive, send)


@pytest.mark.parametrize("who", ALLOWED)
def test_each_route_lets_in_whom_the_table_says(
    app: FastAPI, access: Access, store: Store, who: str
) -> None:
    headers = {}
    if who in ROLES:
        headers = login(store, f"the {who}")
    elif who != "nobody":
        headers = {"authorization": f"Bearer {program(store, who)[0]}"}  # type: ignore[arg-type]
    client = TestClient(Gate(let_in, Door(), access=access), base_url=BASE)
    for method, path in sorted(routes(app)):
        asked = path.replace("{", "").replace("}", "")
        told = client.request(method, asked, headers=headers, json={})
        allowed = need_of(method, asked) in ALLOWED[who]
        assert (told.status_code == 204) is allowed, (method, path, told.text)


def test_every_route_stands_in_the_table_and_nothing_else_does(app: FastAPI) -> None:
    shapes = {(verb, "/".join(part if "{" not in part else "{}" for part in path.split("/")))
              for verb, path, _ in RIGHTS}  # fmt: skip
    missing = [
        (verb, path)
        for verb, path in routes(app)
        if not any(verb == one and _fits(shape, path) for one, shape in shapes)
    ]
    assert missing == []
    assert set(LEAST) == {need for *_, need in RIGHTS} | {"admin"}


def _fits(shape: str, path: str) -> bool:
    told, wanted = path.split("/"), shape.split("/")
    return len(told) == len(wanted) and all(
        a == b or b == "{}" for a, b in zip(told, wanted, strict=True)
    )


def test_what_changes_something_and_stands_nowhere_needs_an_admin() -> None:
    assert need_of("POST", "/incidents/I1/forget") == "admin"
    assert need_of("DELETE", "/incidents") == "admin"
    assert need_of("GET", "/incidents/I1/../x") == "read"


def test_the_first_account_shuts_the_door_for_who_merely_says_who_they_are(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    alone = Store(f"sqlite:///{tmp_path / 'alone.sqlite'}")
    alone.create()
    access = Access(alone, TOKEN, operator="root", clock=clock, passwords=QUICK)
    client = browser(create_app(CountedEngine(alone, NOW), Door(), access=access))
    client.post("/console/sign-in", data={"name": "anna", "token": TOKEN})
    assert "anna" in client.get("/").text
    owner = TestClient(client.app, base_url=BASE)
    owner.post("/console/sign-in", data={"name": "root", "token": TOKEN})
    assert client.post("/webhooks/generic", json={"name": "a"}).status_code == 202
    alone.people.add(account("anna", "viewer"))
    access._looked = (-1e9, False)  # a second later
    assert client.get("/").status_code == 401
    client.cookies = owner.cookies  # who merely said so is the owner no more than anybody
    assert client.get("/").status_code == 401
    assert client.post("/webhooks/generic", json={"name": "a"}).status_code == 401
    sent_to = client.get("/console/alerts", headers={"accept": "text/html"})
    assert sent_to.headers["location"] == "/console/sign-in?next=%2Fconsole%2Falerts"
    client.post("/console/sign-in", data={"name": "anna", "token": TOKEN})
    assert "root" in client.get("/").text  # the token is its owner's, whatever the form says
    alone.close()


# --- passwords ---------------------------------------------------------------------------------


def test_a_person_signs_in_and_the_journal_knows(client: TestClient, store: Store) -> None:
    answered = signed_in(client, "the viewer")
    cookie = answered.headers["set-cookie"]
    assert all(mark in cookie for mark in ("HttpOnly", "SameSite=strict"))
    assert "the viewer" in client.get("/").text
    (row,) = store.journal.events()
    assert (row.kind, row.by) == ("signed_in", "the viewer")
    assert row.detail["reason"] == "by password"


@pytest.mark.parametrize(
    "after",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", ""),
        *("/incidents", "/?next=//evil.example", "/console/?a=<b>", "/console/x\n"),
    ],
)
def test_signing_in_leads_to_pages_of_ours_only(
    app: FastAPI, client: TestClient, after: str
) -> None:
    sent = {"name": "the viewer", "password": PASSWORD, "next": after}
    assert client.post("/console/sign-in", data=sent).headers["location"] == "/"
    for page in ("/console/incidents/I1", "/console/device?code=BCDF-GHJK"):
        asked = browser(app).get(page, headers={"accept": "text/html"}).headers["location"]
        there = {**sent, "next": parse_qs(urlsplit(asked).query)["next"][0]}
        answered = client.post("/console/sign-in", data=there)
        assert answered.headers["location"] == page


def test_who_is_not_let_in_learns_nothing_of_why(client: TestClient, store: Store) -> None:
    gone = account("gone", "admin").model_copy(update={"disabled": True})
    outside = account("outside", "admin").model_copy(update={"password": ""})
    for one in (gone, outside):
        store.people.add(one)
    told = {
        signed_in(client, name, password).text
        for name, password in (
            ("the viewer", "wrong"), ("unheard of", PASSWORD), ("gone", PASSWORD), ("outside", ""),
        )
    }  # fmt: skip
    assert len(told) == 1
    assert [one.kind for one in store.journal.events()] == ["refused"] * 4


def test_wrong_passwords_slow_down_their_name_and_their_address(
    client: TestClient, access: Access, clock: Clock
) -> None:
    for _ in range(TRIES):
        assert signed_in(client, "the viewer", "wrong").status_code == 403
    assert signed_in(client, "the viewer").status_code == 429
    assert signed_in(client, "the admin").status_code == 429  # the same address
    assert access.by_password("the admin", PASSWORD, "192.0.2.7") is not None
    clock.now += 61
    assert signed_in(client, "the viewer").status_code == 303


def test_sessions_end_when_the_account_does_and_when_nobody_uses_them(
    client: TestClient, store: Store, clock: Clock
) -> None:
    for name, changed in (
        ("the viewer", {"disabled": True}), ("the admin", {"generation": 1}),
    ):  # fmt: skip
        signed_in(client, name)
        assert client.get("/").status_code == 200
        store.people.put(store.people.require(name).model_copy(update=changed))
        assert client.get("/").status_code == 401
    signed_in(client, "the responder")
    clock.now += IDLE_S + 1
    assert client.get("/").status_code == 401


WEAK = {
    "too short": "fourteen chars",
    "a pattern": "abababababababab",
    "the name again": "annabellannabellannabell",
    "too long": "ab cd ef " * 40,
}


@pytest.mark.parametrize("case", WEAK)
def test_a_password_that_would_be_guessed_is_refused(case: str) -> None:
    with pytest.raises(WeakPasswordError):
        QUICK.hashed(WEAK[case], "annabell")


def test_a_password_is_kept_as_argon2id_and_however_it_was_typed() -> None:
    assert HASH.startswith("$argon2id$")
    assert QUICK.right("\uff46our words of your own", HASH)  # NFKC
    assert not QUICK.right("x" * 1_000_000, HASH)


def test_names_that_look_alike_are_one_name(store: Store) -> None:
    for name in ("The Viewer", "the \u0432iewer".replace("\u0432", "v"), "the  viewer"):
        with pytest.raises(NameTakenError):
            store.people.add(account(name, "admin"))


# --- who decides is whose credential it is -----------------------------------------------------


def test_nobody_approves_under_another_name(client: TestClient, store: Store) -> None:
    headers = login(store, "the approver")
    path = "/incidents/I1/approval"
    refused = client.post(path, json=answer(approver="the admin"), headers=headers)
    assert refused.status_code == 403
    assert "you are 'the approver'" in refused.text
    told = client.post(path, json=answer(), headers=headers).json()
    assert told["by"] == "the approver"
    assert approvers(store) == ["the approver"]


def test_two_sessions_of_one_person_are_one_of_two_who_are_needed(
    app: FastAPI, engine: CountedEngine, store: Store
) -> None:
    engine.needed = 2
    first, second = browser(app), browser(app)
    for one in (first, second):
        signed_in(one, "the approver")
        said = one.get("/console/incidents/I1").text
        csrf = said.partition('name="csrf" value="')[2].partition('"')[0]
        one.post("/console/incidents/I1/decision", data={**answer(), "csrf": csrf})
    again = first.post(
        "/incidents/I1/approval", json=answer(), headers=login(store, "the approver")
    )
    assert again.status_code == 409
    assert approvers(store) == ["the approver"]
    other = first.post("/incidents/I1/approval", json=answer(), headers=login(store, "the admin"))
    assert other.json()["plan_status"] == "approved"
    assert approvers(store) == ["the approver", "the admin"]


def test_the_token_of_the_data_folder_is_its_owner_and_a_key_is_one_for_all(
    engine: CountedEngine, store: Store, clock: Clock
) -> None:
    engine.needed = 3
    access = Access(store, TOKEN, "k3y", operator="root", clock=clock, passwords=QUICK)
    client = browser(create_app(engine, Door(api_key=SecretStr("k3y")), access=access))
    path = "/incidents/I1/approval"
    for held, name in ((TOKEN, "root"), ("k3y", "api-key")):
        headers = {"authorization": f"Bearer {held}"}
        for said in ("anna", "bob"):
            given = client.post(path, json=answer(approver=said), headers=headers)
            assert given.status_code == 403
        assert client.post(path, json=answer(), headers=headers).json()["by"] == name
    assert approvers(store) == ["root", "api-key"]


WISHES: dict[str, tuple[str, str, dict[str, object]]] = {
    "an edit": (
        "POST", "/incidents/I1/plan", {**answer(), "editor": "bob", "parameters": {"a": 1}},
    ),
    "a word on a step": ("POST", "/incidents/I1/step", {"ran": True, "by": "bob"}),
    "a wish to try again": ("POST", "/incidents/I1/retry", {"by": "bob"}),
    "a cause": (
        "POST", "/incidents/I1/cause",
        {"component": "till", "fault_kind": "bad_deploy", "by": "bob"},
    ),
    "a cause taken back": ("DELETE", "/incidents/I1/cause?by=bob", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", WISHES)
def test_nothing_is_decided_under_another_name(client: TestClient, store: Store, case: str) -> None:
    method, path, sent = WISHES[case]
    sent = {k: v for k, v in sent.items() if k != "decision"}
    told = client.request(method, path, json=sent, headers=login(store, "the responder"))
    assert (told.status_code, "you are 'the responder'" in told.text) == (403, True), told.text


def test_a_silence_is_its_callers(client: TestClient, store: Store) -> None:
    sent = {
        "matchers": [{"name": "service", "value": "till", "isRegex": False}],
        "startsAt": "2023-11-14T22:13:20Z", "endsAt": "2023-11-15T22:13:20Z",
        "createdBy": "somebody", "comment": "known",
    }  # fmt: skip
    headers = login(store, "the responder")
    made = client.post("/api/v2/silences", json=sent, headers=headers).json()["silenceID"]
    assert client.delete(f"/api/v2/silence/{made}", headers=headers).status_code == 200
    assert {one.by for one in store.journal.events()} == {"the responder"}
    assert store.silences.require(made).silence.created_by == "the responder"


def test_a_key_is_not_the_owner_on_the_console_either(
    engine: CountedEngine, store: Store, clock: Clock
) -> None:
    engine.needed = 2
    access = Access(store, TOKEN, "k3y", operator="root", clock=clock, passwords=QUICK)
    client = browser(create_app(engine, Door(api_key=SecretStr("k3y")), access=access))
    client.post("/console/sign-in", data={"token": "k3y"})
    page = client.get("/console/incidents/I1").text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    client.post("/console/incidents/I1/decision", data={**answer(), "csrf": csrf})
    headers = {"authorization": "Bearer k3y"}
    assert client.post("/incidents/I1/approval", json=answer(), headers=headers).status_code == 409
    assert approvers(store) == ["api-key"]


# --- what an approver may approve --------------------------------------------------------------

TOUCHES_LEDGER = PLAN.model_copy(
    update={
        "steps": (
            PlanStep(
                index=0, title="x", action="config",
                arguments={"service": "ledger", "key": "pool", "value": 1},
            ),
        )
    }
)  # fmt: skip
DRAINS = PLAN.model_copy(
    update={
        "steps": (
            PlanStep(
                index=0, title="x", action="kubernetes",
                arguments={"verb": "drain", "kind": "node", "name": "till"},
            ),
        )
    }
)  # fmt: skip

RESTARTS = PLAN.model_copy(
    update={
        "steps": (
            PlanStep(
                index=0, title="x", action="kubernetes",
                arguments={"verb": "restart", "kind": "deployment", "name": "till"},
            ),
        )
    }
)  # fmt: skip

SCOPES: dict[str, tuple[ApprovalScope, Plan, bool]] = {
    "everywhere": (ApprovalScope(), PLAN, True),
    "a class below": (ApprovalScope(risks=frozenset({"A"})), PLAN, False),
    "its service": (ApprovalScope(services=("till",)), PLAN, True),
    "its service by a pattern": (ApprovalScope(services=("ti*",)), PLAN, True),
    "another service": (ApprovalScope(services=("ledger",)), PLAN, False),
    "its service, and a step at another": (
        ApprovalScope(services=("till",)), TOUCHES_LEDGER, False,
    ),
    "both services": (ApprovalScope(services=("till", "ledger")), TOUCHES_LEDGER, True),
    "a node of the same name": (ApprovalScope(services=("till",)), DRAINS, False),
    "its namespace": (ApprovalScope(namespaces=("shop",)), PLAN, True),
    "another namespace": (ApprovalScope(namespaces=("bank",)), PLAN, False),
    "its namespace, and a step nobody knows where": (
        ApprovalScope(namespaces=("shop",)), TOUCHES_LEDGER, False,
    ),
    "its namespace, and steps act in another": (
        ApprovalScope(namespaces=("shop",)), RESTARTS, False,
    ),
    "the namespaces of both": (ApprovalScope(namespaces=("shop", "live")), RESTARTS, True),
}  # fmt: skip


@pytest.mark.parametrize("case", SCOPES)
def test_an_approver_approves_what_is_in_their_scope(store: Store, case: str) -> None:
    scope, plan, allowed = SCOPES[case]
    alert = Alert(
        fingerprint="f", name="a", status="firing", severity="critical", service="till",
        starts_at=NOW, subject=Subject(namespace="shop"),
    )  # fmt: skip
    store.alerts.accept([alert], NOW)
    store.alerts.assign([1], "I1", "first", "opened", NOW)
    store.people.add(account("cho", "approver", scope))
    policy = Policy(accounts=by_accounts(store, "root", cluster="live"))
    assert policy.may_approve("cho", plan) is allowed


def test_outside_of_the_scope_says_so_and_a_rejection_is_anybodys_who_responds(
    client: TestClient, store: Store
) -> None:
    store.people.add(account("cho", "approver", ApprovalScope(services=("ledger",))))
    headers = login(store, "cho")
    refused = client.post("/incidents/I1/approval", json=answer(), headers=headers)
    assert refused.status_code == 409
    assert "'cho' may not approve this plan" in refused.text
    signed_in(client, "cho")
    page = client.get("/console/incidents/I1").text
    assert 'value="reject"' in page
    assert 'value="approve"' not in page
    rejected = answer(decision="reject", reason="not at noon")
    told = client.post(
        "/incidents/I1/approval", json=rejected, headers=login(store, "the responder")
    )
    assert told.json()["plan_status"] == "rejected"


# --- tokens of programs ------------------------------------------------------------------------


def test_a_token_ends_when_it_is_revoked_or_its_days_are_over(
    client: TestClient, store: Store, access: Access, clock: Clock
) -> None:
    token, token_id = program(store, "read")
    short, _ = program(store, "read", ends_at=NOW + 10)
    for one in (token, short):
        assert client.get("/metrics", headers={"authorization": f"Bearer {one}"}).is_success
    used = {one.id: one.used_at for one in store.access_tokens.all()}
    assert used[token_id] == NOW
    store.access_tokens.revoke(token_id, NOW)
    clock.now += 11
    access._tokens.clear()  # a second later
    for one in (token, short):
        assert client.get("/metrics", headers={"authorization": f"Bearer {one}"}).status_code == 401


def test_a_login_ends_with_its_account(client: TestClient, store: Store, access: Access) -> None:
    headers = login(store, "the admin")
    assert client.get("/incidents", headers=headers).status_code == 200
    changed = store.people.require("the admin").model_copy(update={"generation": 3})
    store.people.put(changed)
    access._tokens.clear()  # a second later
    assert client.get("/incidents", headers=headers).status_code == 401


def test_no_secret_is_kept_that_could_be_shown(client: TestClient, store: Store) -> None:
    token, _ = program(store, "read")
    signed_in(client, "the viewer")
    cookie = client.cookies[COOKIE]
    file = Path(str(store.database.url.database))
    kept = b"".join(one.read_bytes() for one in file.parent.glob("store.sqlite*"))
    for secret in (token, cookie, PASSWORD):
        assert secret.encode() not in kept


def test_without_accounts_the_policy_asks_its_lists(tmp_path: Path) -> None:
    alone = Store(f"sqlite:///{tmp_path / 'alone.sqlite'}")
    alone.create()
    policy = Policy(accounts=by_accounts(alone, "root"), approvers=frozenset({"anna"}))
    assert policy.may_approve("anna", PLAN)
    assert not policy.may_approve("bob", PLAN)
    alone.close()


def test_the_owner_and_the_key_may_everything_and_who_is_not_known_nothing(
    engine: CountedEngine,
) -> None:
    assert engine.policy.may_approve("root", PLAN)
    assert engine.policy.may_approve("api-key", PLAN)
    assert not engine.policy.may_approve("bob", PLAN)
    assert not engine.policy.may_reject("the viewer")


# --- logging in on a command line --------------------------------------------------------------


def test_a_command_line_acts_for_who_agrees_on_the_console(app: FastAPI, store: Store) -> None:
    person, machine = browser(app), browser(app)
    begun = machine.post("/login/device", json={"machine": "laptop"}).json()
    wanted = {"device_code": begun["device_code"]}
    pending = machine.post("/login/token", json=wanted)
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    signed_in(person, "the approver")
    said = person.get("/console/device", params={"code": begun["user_code"]}).text
    assert begun["user_code"] in said
    csrf = said.partition('name="csrf" value="')[2].partition('"')[0]
    sent = {"csrf": csrf, "code": begun["user_code"].lower().replace("-", " ")}
    assert person.post("/console/device", data={**sent, "csrf": ""}).status_code == 403
    assert person.post("/console/device", data=sent).status_code == 200
    assert person.post("/console/device", data=sent).status_code == 409  # once
    given = machine.post("/login/token", json=wanted).json()
    assert given["name"] == "the approver"
    assert machine.post("/login/token", json=wanted).json()["error"] == "expired_token"
    headers = {"authorization": f"Bearer {given['access_token']}"}
    assert machine.post("/incidents/I1/approval", json=answer(), headers=headers).is_success
    assert approvers(store) == ["the approver"]


def test_a_code_that_was_agreed_to_before_a_new_password_gives_no_token(
    app: FastAPI, store: Store
) -> None:
    thief, machine = browser(app), browser(app)
    begun = machine.post("/login/device", json={}).json()
    signed_in(thief, "the admin")
    csrf = thief.get("/console/device").text.partition('name="csrf" value="')[2].partition('"')[0]
    sent = {"csrf": csrf, "code": begun["user_code"]}
    assert thief.post("/console/device", data=sent).status_code == 200
    changed = store.people.require("the admin").model_copy(update={"generation": 1})
    store.people.put(changed)  # as `users passwd` does
    told = machine.post("/login/token", json={"device_code": begun["device_code"]})
    assert told.json() == {"error": "access_denied"}
    assert store.access_tokens.all() == []


@pytest.mark.parametrize(("generation", "status"), [(0, 200), (1, 400)])
def test_a_login_that_was_agreed_to_before_the_upgrade_holds_for_the_first_password(
    app: FastAPI, store: Store, generation: int, status: int
) -> None:
    owner = store.people.require("the admin").model_copy(update={"generation": generation})
    store.people.put(owner)
    told: dict[str, JsonValue] = {"machine": "laptop", "until": NOW + 60, "account": owner.id}
    store.sessions.begin(digest_of("device of before"), told, NOW + 60, NOW)
    asked = browser(app).post("/login/token", json={"device_code": "of before"})
    assert asked.status_code == status, asked.text


def test_nobody_fills_the_store_with_codes(client: TestClient, clock: Clock) -> None:
    told = [client.post("/login/device", json={}).status_code for _ in range(TRIES + 1)]
    assert told == [200] * TRIES + [429]
    clock.now += 61
    assert client.post("/login/device", json={}).status_code == 200


def test_codes_are_not_guessed_and_are_for_people_with_accounts(
    app: FastAPI, client: TestClient
) -> None:
    for name, status, times in (("root", 409, 1), ("the viewer", 409, TRIES + 1)):
        client.post("/console/sign-in", data={"token": TOKEN}) if name == "root" else signed_in(
            client, name
        )
        csrf = client.get("/console/device").text.partition('name="csrf" value="')[2]
        sent = {"csrf": csrf.partition('"')[0], "code": "BBBB-BBBB"}
        for _ in range(times):
            told = client.post("/console/device", data=sent)
            assert told.status_code == status
    assert "Too many" in told.text


def test_while_the_store_is_away_a_request_is_to_come_again(app: FastAPI, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as database:
        database.execute("DROP TABLE accounts")
    client = browser(app)
    for path in ("/incidents", "/", "/api/v2/alerts"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert client.get("/healthz").status_code == 200
