"""What people on an incident say of it: on the page, by the API, on the command line."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from copilot.case.on_call import OnCallWord, say
from copilot.store import PolicyRefusedError, Store
from tests.copilot import people_world as world
from tests.copilot.people_world import NOW, browser, login, signed_in
from tools.playbook_executor import Policy

empty, planned, waiting, store = world.empty, world.planned, world.waiting, world.store
clock, access = world.clock, world.access
engine, app, client = world.engine, world.app, world.client


def sent(client: TestClient, path: str, **fields: str) -> int:
    """A form of the incident's page, as a browser would send it back."""
    text = client.get("/console/incidents/I1").text
    csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
    return client.post(path, data={"csrf": csrf, **fields}).status_code


def rows(store: Store) -> list[tuple[str, str, object]]:
    events = store.journal.events("I1")
    return [(one.kind, one.by, one.detail["reason"]) for one in events]


def test_an_incident_is_taken_noted_and_handed_over_by_who_is_signed_in(
    client: TestClient, store: Store
) -> None:
    signed_in(client, "the responder")
    path = "/console/incidents/I1/on-call"
    assert sent(client, path, action="take") == 303
    assert "taken by the responder" in client.get("/").text
    assert sent(client, path, action="note", text="the shard is full") == 303
    assert sent(client, path, action="hand_over", to="the approver", text="I sleep") == 303
    assert store.incidents.require("I1").taken_by == "the approver"
    assert rows(store) == [
        ("taken", "the responder", "works on it"),
        ("noted", "the responder", "the shard is full"),
        ("passed_on", "the responder", "to the approver: I sleep"),
    ]


def test_a_cause_is_corrected_and_what_people_alone_worked_on_is_closed(
    client: TestClient, store: Store
) -> None:
    signed_in(client, "the responder")
    assert sent(client, "/console/incidents/I1/on-call", action="resolve") == 409
    store.incidents.update("I1", NOW, status="handed_over", services=("till",))
    assert "Say what it was" in client.get("/console/incidents/I1").text
    path = "/console/incidents/I1/cause"
    wrong = {"component": "tiil", "fault_kind": "dns_failure", "close": "1"}
    assert sent(client, path, **wrong) == 409
    assert store.incidents.require("I1").status == "handed_over"
    assert sent(client, path, **{**wrong, "component": "till"}) == 303
    closed = store.incidents.require("I1")
    assert closed.cause is not None
    assert (closed.status, closed.cause.by) == ("resolved", "the responder")


def test_an_alert_is_silenced_from_the_page_of_alerts(client: TestClient, store: Store) -> None:
    signed_in(client, "the responder")
    fields = {"alertname": "DiskFull", "service": "till", "hours": "4", "comment": "known"}
    assert sent(client, "/console/silences", **fields) == 303
    (kept,) = store.silences.all()
    assert (kept.silence.created_by, kept.silence.ends_at) == ("the responder", NOW + 4 * 3600)
    assert sent(client, "/console/silences", **{**fields, "hours": "9999"}) == 422


@pytest.mark.parametrize("path", ["incidents/I1/on-call", "incidents/I1/cause", "silences"])
def test_who_only_looks_on_sees_no_form_and_sends_none(
    app: FastAPI, store: Store, path: str
) -> None:
    viewer = browser(app)
    signed_in(viewer, "the viewer")
    assert "on-call-title" not in viewer.get("/console/incidents/I1").text
    assert "silence-title" not in viewer.get("/console/alerts").text
    fields = {"action": "take", "component": "till", "fault_kind": "bad_deploy",
              "alertname": "a", "hours": "1"}  # fmt: skip
    assert sent(viewer, f"/console/{path}", **fields) in (403, 409)
    assert [one.kind for one in store.journal.events()] == ["signed_in"]


def test_a_program_of_a_person_says_it_in_their_name(client: TestClient, store: Store) -> None:
    headers = login(store, "the responder")
    path = "/incidents/I1/on-call"
    told = client.post(path, json={"action": "take"}, headers=headers).json()
    assert (told["by"], told["taken_by"]) == ("the responder", "the responder")
    other = client.post(path, json={"action": "take", "by": "bob"}, headers=headers)
    assert other.status_code == 403
    shown = client.get("/incidents/I1", headers=headers).json()
    assert shown["taken_by"] == "the responder"


REFUSED = {
    "to nobody": ({"action": "hand_over"}, "to whom"),
    "an empty note": ({"action": "note", "text": " \u200b"}, "the note is empty"),
    "over while it goes on": ({"action": "resolve"}, "ends by itself"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(store: Store, case: str) -> None:
    given, said = REFUSED[case]
    word = OnCallWord.model_validate({**given, "by": "anna"})
    with pytest.raises(PolicyRefusedError, match=said):
        say(store, Policy(), "I1", word, NOW)
    assert rows(store) == []


def test_what_is_over_is_not_taken(store: Store, tmp_path: Path) -> None:
    store.incidents.update("I1", NOW, status="recovered")
    with pytest.raises(PolicyRefusedError, match="it is over"):
        say(store, Policy(), "I1", OnCallWord(action="take", by="anna"), NOW)
