"""Deciding by a button in Slack: who it is, what counts, and what nobody can forge or repeat."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from copilot.store import Store
from copilot.surfaces.notify.wiring import doors
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.testing.channels import SlackServer
from copilot.types.incident import Incident
from tests.copilot.channel_world import (
    HOOK,
    Channel,
    app,
    channel,
    kinds,
    slack,
)
from tests.copilot.people_world import (
    BASE,
    NOW,
    PLAN,
    QUICK,
    TOKEN,
    Door,
    account,
    empty,
    planned,
    store,
    waiting,
)

__all__ = ["app", "channel", "empty", "planned", "slack", "store", "waiting"]


def test_a_card_carries_the_digest_in_sight_and_in_its_buttons(channel: Channel) -> None:
    shown = json.dumps(channel.slack.messages[channel.message][-1])
    assert PLAN.digest in shown
    assert list(channel.buttons) == ["approve", "reject", "take"]
    value = json.loads(channel.buttons["approve"]["value"])
    assert (value["plan"], value["digest"]) == (PLAN.id, PLAN.digest)
    assert PLAN.digest in channel.buttons["approve"]["confirm"]["text"]["text"]


def test_a_yes_counts_as_the_account_of_who_pressed_and_the_message_says_who(
    channel: Channel, store: Store
) -> None:
    said = channel.press("approve", "U0APP")
    assert said == "Approved, by the approver. (dry run: nothing is really touched)"
    (given,) = store.approvals.get(PLAN.id).given  # type: ignore[union-attr]
    assert (given.approver, given.digest, given.decision) == (
        "the approver",
        PLAN.digest,
        "approve",
    )
    assert ("pressed", "the approver") in kinds(store)
    store.journal.append("I1", "approved", "the approver", {}, NOW)
    channel.told()
    assert channel.head().endswith("plan approved, by the approver")
    assert list(channel.buttons) == ["take"], "nothing is left to answer"


def test_what_the_platform_says_of_a_failure_is_one_line_of_the_log_without_secrets(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    channel.slack.answers.append("down\nERROR all is lost password=hunter2hunter2")
    headers, body = channel.slack.pressed(channel.buttons["take"], "U0RESP", NOW)
    assert channel.post(headers, body).status_code == 200
    (line,) = (one.getMessage() for one in caplog.records if "is not told" in one.getMessage())
    assert "down ERROR" in line
    assert "hunter2" not in line


def test_a_no_counts_of_a_responder(channel: Channel) -> None:
    assert channel.press("reject", "U0RESP") == "Rejected, by the responder."
    assert channel.status() == "rejected"


def test_taking_it_is_said_by_the_message(channel: Channel, store: Store) -> None:
    assert channel.press("take", "U0RESP") == "It is yours, the responder."
    assert store.incidents.require("I1").taken_by == "the responder"
    channel.told()
    assert channel.head().endswith("taken, by the responder")
    assert list(channel.buttons) == ["approve", "reject"], "the plan waits still"


def test_of_four_eyes_the_second_pair_decides(store: Store, slack: SlackServer) -> None:
    channel = Channel(store, slack, needed=2)
    assert channel.press("approve", "U0APP").startswith("Approved 1/2: another person is needed.")
    assert "another person" in channel.press("approve", "U0APP"), "nobody is two people"
    assert channel.status() == "pending"
    store.people.add(account("ann", "admin"))
    slack.users["U0ANN"] = member("ann")
    store.journal.append("I1", "approved", "the approver", {}, NOW)
    channel.told()
    assert "approve" in channel.buttons
    assert channel.press("approve", "U0ANN").startswith("Approved, by ann.")


def member(address: str, **more: object) -> dict[str, Any]:
    return {
        "id": "U", "deleted": False, "is_bot": False, "is_restricted": False,
        "is_ultra_restricted": False, "is_email_confirmed": True, "profile": {"email": address},
        **more,
    }  # fmt: skip


OTHER = Incident(id="I2", title="desk", status="investigating", opened_at=NOW, updated_at=NOW)
REFUSED: dict[str, tuple[str, str, dict[str, str], str]] = {
    "an approver's button under another digest": (
        "approve", "U0APP", {"digest": "cd" * 32}, "digest",
    ),
    "another plan": ("approve", "U0APP", {"plan": "other"}, "has no plan 'other'"),
    "another incident's plan": (
        "approve", "U0APP", {"incident": "I2"}, "incident 'I2' has no plan 'rollback-1'",
    ),
    "an incident that is none": ("take", "U0APP", {"incident": "I3"}, "'I3'"),
    "who may only look": ("reject", "U0VIEW", {}, "may not reject"),
    "who may not approve": ("approve", "U0RESP", {}, "may not approve"),
    "who may not take": ("take", "U0VIEW", {}, "may not take"),
    "a user nobody declared": ("approve", "U0WHO", {}, "nobody here"),
    "a name without an account": ("approve", "U0GONE", {}, "nobody is called"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_does_not_count_is_said_to_who_pressed(row: str, channel: Channel) -> None:
    choice, user, changed, why = REFUSED[row]
    channel.store.incidents.open(OTHER)
    said = channel.press(choice, user, **changed)
    assert said.startswith("This does not count: ")
    assert why in said
    assert channel.status() == "pending"
    assert channel.store.incidents.require("I1").taken_by == ""


MEMBERS = {
    "a member": ({}, ""),
    "a guest": ({"is_restricted": True}, "nobody here"),
    "a guest of one channel": ({"is_ultra_restricted": True}, "nobody here"),
    "an address nobody confirmed": ({"is_email_confirmed": False}, "nobody here"),
    "somebody who left": ({"deleted": True}, "nobody here"),
    "a robot": ({"is_bot": True}, "nobody here"),
}


@pytest.mark.parametrize("row", MEMBERS)
def test_an_address_names_a_full_member_only(row: str, channel: Channel) -> None:
    more, why = MEMBERS[row]
    channel.slack.users["U0ADM"] = member("adm@ours.example", **more)
    said = channel.press("approve", "U0ADM")
    assert why in said
    assert channel.status() == ("pending" if why else "approved")


def test_a_user_of_another_workspace_is_nobody_whatever_their_id(channel: Channel) -> None:
    headers, body = channel.slack.pressed(channel.buttons["approve"], "U0APP", NOW, "T0THEIRS")
    channel.post(headers, body)
    assert "of another workspace" in channel.slack.whispers[-1][1]
    assert channel.status() == "pending"


def test_a_disabled_account_decides_nothing(channel: Channel, store: Store) -> None:
    found = store.people.require("the approver")
    store.people.put(found.model_copy(update={"disabled": True}))
    assert "is disabled" in channel.press("approve", "U0APP")


def test_a_plan_that_is_over_refuses_and_says_so(channel: Channel) -> None:
    channel.press("reject", "U0RESP")
    assert "was rejected before, by 'the responder'" in channel.press("approve", "U0APP")


def test_an_expired_plan_refuses_and_says_so(channel: Channel) -> None:
    channel.engine.time = PLAN.expires_at + 1
    assert "expired" in channel.press("approve", "U0APP")
    assert channel.status() == "pending"


FORGED = {
    "no signature": {"x-slack-signature": ""},
    "another secret": {"x-slack-signature": "v0=" + "00" * 32},
    "no time": {"x-slack-request-timestamp": ""},
    "another time": {"x-slack-request-timestamp": str(int(NOW) + 1)},
    "no number for a time": {"x-slack-request-timestamp": "\u0661"},
}


@pytest.mark.parametrize("row", FORGED)
def test_what_slack_did_not_sign_opens_nothing(row: str, channel: Channel) -> None:
    headers, body = channel.slack.pressed(channel.buttons["approve"], "U0APP", NOW)
    wrong = {key: value.encode() for key, value in {**headers, **FORGED[row]}.items()}
    told = channel.client.post(HOOK, headers=wrong, content=body)  # type: ignore[arg-type]
    assert told.status_code == 401
    assert channel.status() == "pending"
    assert channel.slack.whispers == []


def test_a_body_that_was_changed_opens_nothing(channel: Channel) -> None:
    headers, body = channel.slack.pressed(channel.buttons["approve"], "U0VIEW", NOW)
    assert channel.post(headers, body.replace(b"U0VIEW", b"U0APP")).status_code == 401
    assert channel.status() == "pending"


def test_what_came_before_or_long_ago_counts_no_more(channel: Channel) -> None:
    headers, body = channel.slack.pressed(channel.buttons["take"], "U0RESP", NOW)
    assert channel.post(headers, body).status_code == 200
    assert channel.post(headers, body).json() == {"detail": "this request came before"}
    channel.clock.now += 301
    assert "not of the last 5 minutes" in channel.post(headers, body).json()["detail"]


def test_what_is_no_button_of_ours_is_passed_over(channel: Channel) -> None:
    for value in (
        "",
        "{}",
        '{"choice": "approve"}',
        "[" * 1000,
        '{"choice":"drop","incident":"I1"}',
    ):
        button = {"action_id": "approve", "value": value}
        channel.clock.now += 1
        headers, body = channel.slack.pressed(button, "U0APP", channel.clock.now)
        assert channel.post(headers, body).status_code == 200
    headers = channel.slack.signed(b"payload=%00", channel.clock.now)
    assert channel.post(headers, b"payload=%00").status_code == 200
    assert (channel.status(), channel.slack.whispers) == ("pending", [])


def test_the_service_opens_to_what_is_signed_and_to_nothing_else_there(channel: Channel) -> None:
    access = Access(channel.store, TOKEN, operator="root", clock=channel.clock, passwords=QUICK)
    desks = {"slack": channel.desk}
    made = create_app(channel.engine, Door(), access=access, desks=desks)
    client = TestClient(made, base_url=BASE)
    headers, body = channel.slack.pressed(channel.buttons["take"], "U0RESP", NOW)
    browser = {**headers, "origin": "https://evil.example"}
    assert client.post(HOOK, headers=browser, content=body).status_code == 415
    assert (
        client.post(HOOK, headers={**headers, "x-slack-signature": ""}, content=body).status_code
        == 401
    )
    assert client.post(HOOK, headers=headers, content=body).status_code == 200
    assert channel.store.incidents.require("I1").taken_by == "the responder"
    assert client.post("/hooks/other", json={}).status_code == 401


def test_a_target_without_a_secret_has_no_buttons_and_no_door(channel: Channel) -> None:
    (target,) = channel.file.targets
    plain = channel.file.model_copy(
        update={"targets": (target.model_copy(update={"signing_secret": None}),)}
    )
    assert doors(plain, {"T": "x"}, channel.clock) == {}
