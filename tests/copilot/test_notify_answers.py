"""Deciding and asking in a channel: who it is, what counts, and what nobody can forge or repeat."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from copilot.case.rights import by_accounts
from copilot.store import Store
from copilot.deps import Deps, Sources
from copilot.hands import DryRunRunner
from copilot.surfaces.chat import ChatService, ToolContext
from copilot.surfaces.notify.courier import NoticeCourier
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.wiring import doors, sender
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.hooks import ChannelDesk, hooks
from copilot.testing.channels import SlackServer
from copilot.testing.service import CountedEngine
from copilot.testing.strict_http import serving
from tests.copilot.people_world import (
    BASE,
    NOW,
    PLAN,
    QUICK,
    TOKEN,
    Clock,
    Door,
    account,
    empty,
    planned,
    store,
    waiting,
)
from copilot.types.incident import Incident
from tools.playbook_executor import Policy

__all__ = ["empty", "planned", "store", "waiting"]
HOOK = "/hooks/slack"
PEOPLE = {
    "U0APP": "the approver",
    "U0RESP": "the responder",
    "U0VIEW": "the viewer",
    "U0GONE": "nobody of ours",
    "adm@ours.example": "the admin",
}


@dataclass
class Channel:
    """A service with accounts, a Slack app, and the message of an incident whose plan waits."""

    store: Store
    slack: SlackServer
    clock: Clock = field(default_factory=Clock)
    needed: int = 1
    chat: ChatService | None = None

    def __post_init__(self) -> None:
        self.file = NotifyFile.model_validate(
            {
                "hosts": ["127.0.0.1"],
                "targets": [
                    {
                        "name": "slack", "kind": "slack", "channel": "#sre", "api": self.slack.url,
                        "token": {"env": "T"}, "signing_secret": {"env": "S"}, "people": PEOPLE,
                        "by_email": True,
                    }
                ],
                "routes": [{"to": ["slack"]}],
                "wait_s": 0,
            }
        )  # fmt: skip
        secrets = {"T": SlackServer.token, "S": SlackServer.signing_secret}
        accounts = Policy(accounts=by_accounts(self.store, "root"))
        self.engine = CountedEngine(self.store, NOW, policy=accounts, needed=self.needed)
        (target,) = self.file.targets
        self.router = NoticeRouter(self.store, self.file, self.clock, self.clock)
        self.courier = NoticeCourier(
            self.store, target, sender(target, self.file, secrets, self.clock), 60, self.clock
        )
        self.doors = doors(self.file, secrets, self.clock)
        app = FastAPI()
        desk = ChannelDesk(self.engine, "slack", self.doors["slack"], self.chat)
        app.include_router(hooks({"slack": desk}))
        self.client = TestClient(app, base_url=BASE)
        self.router.route()
        self.happens("planned")

    def happens(self, kind: str) -> None:
        self.store.journal.append("I1", kind, "copilot", {}, NOW)
        self.told()

    def told(self) -> None:
        """What happened is shown in the channel."""
        while self.router.route() or self.courier.deliver():
            pass

    @property
    def message(self) -> str:
        (name,) = self.slack.messages
        return name

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        return self.slack.buttons(self.message)

    def head(self) -> str:
        text: str = self.slack.messages[self.message][-1]["text"]
        return text

    def press(self, choice: str, user: str, **changed: str) -> str:
        """What is whispered to who pressed a button, whose value may be `changed`."""
        button = dict(self.buttons[choice])
        button["value"] = json.dumps({**json.loads(button["value"]), **changed})
        self.clock.now += 1
        headers, body = self.slack.pressed(button, user, self.clock.now)
        assert self.post(headers, body).status_code == 200
        to, text = self.slack.whispers[-1]
        assert to == user
        return text

    def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        return self.client.post(HOOK, headers=dict(headers), content=body)

    def status(self) -> str:
        found = self.store.approvals.get(PLAN.id)
        assert found is not None
        return found.status


@pytest.fixture(scope="module")
def app() -> Iterator[SlackServer]:
    with serving(SlackServer()) as server:
        yield server


@pytest.fixture
def slack(app: SlackServer) -> SlackServer:
    for kept in (app.messages, app.threads, app.whispers, app.users):
        kept.clear()
    return app


@pytest.fixture
def channel(store: Store, slack: SlackServer) -> Channel:
    return Channel(store, slack)


def kinds(store: Store) -> list[tuple[str, str]]:
    return [(one.kind, one.by) for one in store.journal.events("I1")]


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


REFUSED: dict[str, tuple[str, str, dict[str, str], str]] = {
    "an approver's button under another digest": (
        "approve", "U0APP", {"digest": "cd" * 32}, "digest",
    ),
    "another plan": ("approve", "U0APP", {"plan": "other"}, "has no plan 'other'"),
    "another incident's plan": ("approve", "U0APP", {"incident": "I2"}, "'I2'"),
    "who may only look": ("reject", "U0VIEW", {}, "may not reject"),
    "who may not approve": ("approve", "U0RESP", {}, "may not approve"),
    "who may not take": ("take", "U0VIEW", {}, "may not take"),
    "a user nobody declared": ("approve", "U0WHO", {}, "nobody here"),
    "a name without an account": ("approve", "U0GONE", {}, "nobody is called"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_does_not_count_is_said_to_who_pressed(row: str, channel: Channel) -> None:
    choice, user, changed, why = REFUSED[row]
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
    made = create_app(channel.engine, Door(), access=access, doors=channel.doors)
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


@pytest.fixture
def asking(store: Store, slack: SlackServer) -> Channel:
    """As `channel`, with the chat that answers without a model."""
    clock = Clock()

    def scope_of(incident: Incident | None) -> ToolContext:
        standing = StandingClock(NOW)
        return ToolContext(
            Deps(store, Sources(), standing, DryRunRunner(standing), ()), incident
        )

    names = iter(map(str, range(1000)))
    chat = ChatService(store, scope_of, StandingClock(NOW), names.__next__)
    return Channel(store, slack, clock, chat=chat)


def asked(channel: Channel, key: str = "Ev1", **event: str) -> list[str]:
    """What stands in the thread after somebody asked."""
    said = {"type": "app_mention", "user": "U0VIEW", "channel": "C0SRE", "ts": "7.7", **event}
    channel.clock.now += 1
    headers, body = channel.slack.said(said, key, channel.clock.now)
    assert channel.post(headers, body).status_code == 200
    return channel.slack.threads.get(said.get("thread_ts", said["ts"]), [])


def test_a_mention_under_an_incidents_message_is_answered_there_about_it(asking: Channel) -> None:
    text = "<@U0BOT> what is the status of this incident?"
    (answer,) = asked(asking, text=text, thread_ts=asking.message)
    assert "till" in answer
    assert "**" not in answer
    (spoken,) = asking.store.conversations.list()
    assert spoken.incident_id == "I1"
    (turn,) = asking.store.conversations.turns(spoken.id)
    assert turn.question == "what is the status of this incident?"
    again = asked(asking, "Ev2", text="<@U0BOT> who is affected?", thread_ts=asking.message)
    assert len(again) == 2
    assert len(asking.store.conversations.turns(spoken.id)) == 2, "one conversation a thread"


def test_a_direct_message_is_answered_in_its_thread(asking: Channel) -> None:
    event = {"type": "message", "channel_type": "im", "channel": "D0DIRECT"}
    assert len(asked(asking, text="list open incidents &lt;now&gt;", **event)) == 1


def test_what_slack_delivers_twice_is_answered_once(asking: Channel) -> None:
    asked(asking, text="list open incidents")
    assert len(asked(asking, text="list open incidents")) == 1


UNANSWERED = {
    "a robot": {"type": "message", "channel_type": "im", "bot_id": "B1"},
    "an edit": {"type": "message", "channel_type": "im", "subtype": "message_changed"},
    "talk in the channel": {"type": "message", "channel_type": "channel"},
    "a reaction": {"type": "reaction_added"},
}


@pytest.mark.parametrize("row", UNANSWERED)
def test_what_nobody_asks_us_is_not_answered(row: str, asking: Channel) -> None:
    assert asked(asking, text="hello", **UNANSWERED[row]) == []
    assert asking.store.conversations.list() == ()


def test_who_has_no_account_is_told_so_and_asks_nothing(asking: Channel) -> None:
    (answer,) = asked(asking, user="U0WHO", text="list open incidents")
    assert "nobody here" in answer
    (other,) = asked(asking, user_team="T0THEIRS", text="list", ts="8.8", key="Ev2")
    assert "of another workspace" in other
    assert asking.store.conversations.list() == ()


def test_an_answer_calls_nobody(asking: Channel) -> None:
    (answer,) = asked(asking, text="<!channel> <@U1> what about <https://x.example|this>?")
    assert "<" not in answer


def test_the_address_proves_that_it_is_ours(channel: Channel) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode()
    assert channel.post(channel.slack.signed(body, NOW), body).json() == {"challenge": "3eZb"}
    forged = {**channel.slack.signed(body, NOW), "x-slack-signature": "v0=0"}
    assert channel.post(forged, body).status_code == 401
