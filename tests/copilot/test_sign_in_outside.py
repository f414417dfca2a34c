"""Signing in by a provider's or a proxy's word: what is checked, and who somebody then is."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from copilot.settings import SettingsError, load
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.oidc import OpenIdProvider
from copilot.surfaces.service.outside import OutsideWord, TrustedProxy
from copilot.surfaces.service.throttle import TRIES
from copilot.surfaces.service.wiring import outside_word
from copilot.testing.oidc import ISSUER, LocalProvider, query
from copilot.testing.service import CountedEngine
from copilot.types.people import Role
from tests.copilot import people_world as world
from tests.copilot.people_world import BASE, NOW, TOKEN, Clock, Door, account

empty, store, clock = world.empty, world.bare, world.clock

BACK = f"{BASE}/console/sign-in/back"
ROLES: dict[str, Role] = {"sre": "approver", "staff": "viewer"}


@cache
def key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


@pytest.fixture
def sso(clock: Clock) -> LocalProvider:
    return LocalProvider("copilot", "s3cret", BACK, clock, key=key())


@pytest.fixture
def client(store: Store, sso: LocalProvider, clock: Clock) -> TestClient:
    provider = OpenIdProvider(
        ISSUER, "copilot", "s3cret", BACK, transport=sso.transport(), clock=clock
    )
    return browser(store, OutsideWord(ROLES, provider), clock)


def browser(
    store: Store, outside: OutsideWord, clock: Clock, peer: str = "127.0.0.1"
) -> TestClient:
    access = Access(store, TOKEN, operator="root", outside=outside, clock=clock)
    app = create_app(CountedEngine(store, NOW), Door(), access=access)
    return TestClient(app, base_url=BASE, follow_redirects=False, client=(peer, 1))


def came_back(client: TestClient, sso: LocalProvider, **changed: str) -> Response:
    """To the provider, which agrees, and back; with another answer where one is given."""
    sent = client.get("/console/sign-in/oidc", params={"next": "/console/alerts"})
    return back(client, sso.authorize(sent.headers["location"]) | changed)


def back(client: TestClient, told: dict[str, str]) -> Response:
    return client.get(f"/console/sign-in/back?{query(told)}")


def test_who_the_provider_names_is_in_with_the_role_of_their_groups(
    client: TestClient, sso: LocalProvider, store: Store
) -> None:
    sso.person = {"sub": "7", "preferred_username": "anna", "groups": ["staff", "sre"]}
    assert client.get("/").status_code == 401  # before anybody has come
    entered = came_back(client, sso)
    assert entered.status_code == 200
    assert "url=/console/alerts" in entered.text
    assert "anna" in client.get("/").text
    assert store.people.require("anna").role == "approver"
    assert [(one.kind, one.by) for one in store.journal.events()] == [("signed_in", "anna")]


def test_a_person_is_their_subject_whatever_they_are_called_and_their_role_follows(
    client: TestClient, sso: LocalProvider, store: Store
) -> None:
    for name, groups in (("anna", ["sre"]), ("anna.miller", ["staff"])):
        sso.person = {"sub": "7", "preferred_username": name, "groups": groups}
        came_back(client, sso)
    (only,) = store.people.all()
    assert (only.name, only.role) == ("anna", "viewer")


def test_nobody_becomes_somebody_of_ours_by_their_name(
    client: TestClient, sso: LocalProvider, store: Store
) -> None:
    store.people.add(account("anna", "admin"))
    sso.person = {"sub": "8", "preferred_username": "\u0430nna", "groups": ["staff"]}
    came_back(client, sso)
    assert {one.name: one.role for one in store.people.all()} == {
        "anna": "admin", "\u0430nna (sso.example)": "viewer",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["root", "R\u043eot ", "api-key", "copilot"])
def test_nobody_is_called_as_the_owner_of_the_data_folder_is_or_the_journal(
    client: TestClient, sso: LocalProvider, store: Store, name: str
) -> None:
    sso.person = {"sub": "8", "preferred_username": name, "groups": ["staff"]}
    came_back(client, sso)
    (only,) = store.people.all()
    assert only.name == f"{name.strip()} (sso.example)"


def test_who_is_disabled_while_they_come_back_stays_disabled(
    client: TestClient, sso: LocalProvider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    came_back(client, sso)
    (only,) = store.people.all()
    sso.person = sso.person | {"groups": ["staff"]}
    other = Store(f"sqlite:///{store.database.url.database}")
    begun = threading.Event()

    def disable() -> None:
        begun.set()
        other.people.put(only.model_copy(update={"disabled": True, "generation": 1}))

    thread = threading.Thread(target=disable)
    looked = type(store.people).of_identity

    def slowly(people: Any, identity: str) -> Any:
        found = looked(people, identity)
        thread.start()
        begun.wait()
        thread.join(0.3)  # it waits for us where we look and write together
        return found

    monkeypatch.setattr(type(store.people), "of_identity", slowly)
    came_back(client, sso)
    thread.join()
    other.close()
    assert store.people.get(only.id) == only.model_copy(update={"disabled": True, "generation": 1})


def test_refusals_are_told_to_the_journal_a_few_times_only(
    client: TestClient, store: Store, clock: Clock
) -> None:
    told = [back(client, {"state": "x"}).status_code for _ in range(TRIES + 5)]
    assert told == [403] * TRIES + [429] * 5
    assert len(store.journal.events()) == TRIES


Spoil = Callable[[dict[str, object]], dict[str, object]]
FALSE_CLAIMS: dict[str, Spoil] = {
    "the nonce of another sign-in": lambda claims: claims | {"nonce": "x"},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "for another service": lambda claims: claims | {"aud": "grafana"},
    "for another service, too": lambda claims: claims | {"aud": ["copilot", "grafana"]},
    "given to another party": lambda claims: claims | {"azp": "grafana"},
    "of another issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "expired": lambda claims: claims | {"exp": int(NOW) - 120},
    "without an end": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "of nobody": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
    "from the future": lambda claims: claims | {"iat": int(NOW) + 600},
}


@pytest.mark.parametrize("case", FALSE_CLAIMS)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    client: TestClient, sso: LocalProvider, store: Store, case: str
) -> None:
    sso.spoil = FALSE_CLAIMS[case]
    refused(client, came_back(client, sso), store)


def refused(client: TestClient, answer: Response, store: Store) -> None:
    assert answer.status_code == 403
    assert 'role="alert"' in answer.text
    assert client.get("/").status_code == 401
    assert store.people.all() == ()
    assert [one.kind for one in store.journal.events()] == ["refused"]


def _unsigned(_sso: LocalProvider, claims: dict[str, Any]) -> str:
    head, body, _ = jwt.encode({"alg": "HS256"}, claims, OctKey.generate_key(256)).split(".")
    return f"eyJhbGciOiJub25lIn0.{body}."


def _by_the_public_key(sso: LocalProvider, claims: dict[str, Any]) -> str:
    public = OctKey.import_key(sso.key.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": str(sso.key.kid)}, claims, public)


def _by_another_key(sso: LocalProvider, claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "kid": str(sso.key.kid)}, claims, other)


FORGED: dict[str, Callable[[LocalProvider, dict[str, Any]], str]] = {
    "no signature (alg none)": _unsigned,
    "the public key as a secret": _by_the_public_key,
    "another key of that name": _by_another_key,
    "no token": lambda _sso, _claims: "",
}


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.filterwarnings("ignore")
def test_an_id_token_that_the_provider_did_not_sign_is_refused(
    client: TestClient, sso: LocalProvider, store: Store, case: str
) -> None:
    sso.sign = FORGED[case]
    refused(client, came_back(client, sso), store)


ANSWERS = {
    "another state": {"state": "x"},
    "another code": {"code": "x"},
    "another provider's": {"iss": "https://evil.example"},
    "a no": {"error": "access_denied"},
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_not_the_one_to_this_browser_is_refused(
    client: TestClient, sso: LocalProvider, store: Store, case: str
) -> None:
    refused(client, came_back(client, sso, **ANSWERS[case]), store)


def test_an_answer_counts_once_and_in_the_browser_that_asked(
    client: TestClient, sso: LocalProvider, store: Store, clock: Clock
) -> None:
    sent = client.get("/console/sign-in/oidc")
    told = sso.authorize(sent.headers["location"])
    other = browser(store, OutsideWord(ROLES), clock)
    assert back(other, told).status_code == 403
    assert back(client, told).status_code == 200
    assert back(client, told).status_code == 403  # replayed, by the same browser
    late = sso.authorize(client.get("/console/sign-in/oidc").headers["location"])
    clock.now += 601
    assert back(client, late).status_code == 403


def test_the_code_is_given_out_with_its_proof_only(client: TestClient, sso: LocalProvider) -> None:
    address = client.get("/console/sign-in/oidc").headers["location"]
    assert "code_challenge_method=S256" in address
    (code,) = (sso.authorize(address)["code"],)
    with httpx.Client(transport=sso.transport(), auth=("copilot", "s3cret")) as thief:
        sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        assert thief.post(f"{ISSUER}/token", data=sent).status_code == 400


def test_a_new_key_of_the_provider_is_asked_for(client: TestClient, sso: LocalProvider) -> None:
    assert came_back(client, sso).status_code == 200
    sso.key = RSAKey.generate_key(2048, auto_kid=True)
    assert came_back(client, sso).status_code == 200


@pytest.mark.parametrize("groups", [["guests"], [], None, "guests", {"sre": 1}])
def test_who_is_in_no_group_of_ours_is_not_let_in(
    client: TestClient, sso: LocalProvider, store: Store, groups: object
) -> None:
    sso.person = {"sub": "9", "groups": groups}
    refused(client, came_back(client, sso), store)


def test_a_disabled_account_stays_out_whatever_the_provider_says(
    client: TestClient, sso: LocalProvider, store: Store
) -> None:
    came_back(client, sso)
    (only,) = store.people.all()
    store.people.put(only.model_copy(update={"disabled": True, "generation": 1}))
    assert client.get("/").status_code == 401
    assert came_back(client, sso).status_code == 403


# --- a proxy that says who it is ---------------------------------------------------------------

NAMED = {"remote-user": "anna", "remote-groups": "staff, sre"}


def test_the_proxys_word_counts_from_its_address_alone(store: Store, clock: Clock) -> None:
    word = OutsideWord(ROLES, proxy=TrustedProxy(["10.0.0.0/24"], "remote-user", "remote-groups"))
    stranger = browser(store, word, clock, "10.0.1.5")
    assert "anna" not in stranger.get("/console/sign-in", headers=NAMED).text
    assert stranger.get("/", headers=NAMED).status_code == 401
    proxy = browser(store, word, clock, "10.0.0.7")
    assert proxy.get("/console/sign-in", headers=NAMED).status_code == 303
    assert "anna" in proxy.get("/", headers=NAMED).text
    assert store.people.require("anna").role == "approver"


@pytest.mark.parametrize("header", ["remote-user", "remote-groups"])
def test_a_header_that_the_browser_sent_too_names_nobody(
    store: Store, clock: Clock, header: str
) -> None:
    word = OutsideWord(ROLES, proxy=TrustedProxy(["10.0.0.7"], "Remote-User", "Remote-Groups"))
    proxy = browser(store, word, clock, "10.0.0.7")
    forged = [(header, "sre"), *NAMED.items()]
    assert proxy.get("/console/sign-in", headers=forged).status_code == 200  # the page, and no name
    assert not store.people.known()


def test_a_session_is_not_the_next_persons_at_the_proxy(store: Store, clock: Clock) -> None:
    word = OutsideWord(ROLES, proxy=TrustedProxy(["10.0.0.7"], "remote-user", "remote-groups"))
    proxy = browser(store, word, clock, "10.0.0.7")
    proxy.get("/console/sign-in", headers=NAMED)
    for headers in (NAMED | {"remote-user": "bob"}, {}):
        assert 'class="person"' not in proxy.get("/", headers=headers).text
        assert proxy.get("/incidents", headers=headers).status_code == 401
    assert proxy.get("/incidents", headers=NAMED).status_code == 200


FORWARDED: dict[str, tuple[str, str | tuple[str, ...], str]] = {
    "by the proxy": ("10.0.0.7", "192.0.2.7", "192.0.2.7"),
    "by two of ours": ("10.0.0.7", "192.0.2.7, 10.0.0.9", "192.0.2.7"),
    "with what the browser claimed": ("10.0.0.7", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
    "by somebody else": ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
    "with a header of the browser's own": ("10.0.0.7", ("198.51.100.1", "192.0.2.7"), "192.0.2.7"),
    "with no address": ("10.0.0.7", "me", "10.0.0.7"),
    "with nothing": ("10.0.0.7", "", "10.0.0.7"),
}


@pytest.mark.parametrize("case", FORWARDED)
def test_behind_a_proxy_people_are_where_they_are(store: Store, clock: Clock, case: str) -> None:
    peer, told, where = FORWARDED[case]
    word = OutsideWord(ROLES, proxy=TrustedProxy(["10.0.0.0/24"], "", ""))
    client = browser(store, word, clock, peer)
    hops = [("x-forwarded-for", one) for one in (told if isinstance(told, tuple) else (told,))]
    client.post("/console/sign-in", data={"token": "wrong"}, headers=hops)
    (row,) = store.journal.events()
    assert row.detail["address"] == where


HALF_SAID: dict[str, tuple[dict[str, Any], str]] = {
    "no group": ({"oidc_issuer": ISSUER}, "group_roles"),
    "no client": ({"oidc_issuer": ISSUER, "group_roles": {"*": "viewer"}}, "oidc_client_id"),
    "no proxy": (
        {"proxy_user_header": "x", "group_roles": {"*": "viewer"}}, "proxy_addresses",
    ),
    "no address": (
        {"proxy_user_header": "x", "group_roles": {"*": "viewer"}, "proxy_addresses": ("any",)},
        "proxy_addresses",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HALF_SAID)
def test_what_is_half_said_is_said_at_the_start(case: str) -> None:
    given, said = HALF_SAID[case]
    with pytest.raises(SettingsError, match=said):
        outside_word(load(**given))
