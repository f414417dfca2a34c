"""Deciding and asking in a channel: who it is, what counts, and what nobody can forge or repeat."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from copilot.case.rights import by_accounts
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.surfaces.chat import ChatService, ToolContext
from copilot.surfaces.notify.courier import NoticeCourier
from copilot.surfaces.notify.doors import ChannelQuestion, ChannelUser
from copilot.surfaces.notify.router import NoticeRouter
from copilot.surfaces.notify.routing import NotifyFile
from copilot.surfaces.notify.slack import place_of
from copilot.surfaces.notify.wiring import doors, sender
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.hooks import ChannelDesk, hooks
from copilot.testing.channels import FeishuServer, SlackServer
from copilot.testing.service import CountedEngine
from copilot.testing.strict_http import serving
from copilot.types.incident import Incident
from tests.copilot.people_world import (
    BASE,
    NOW,
    PLAN,
    QUICK,
    TOKEN,
    Clock,
    Door,
    account,
    copied,
    empty,
    planned,
    store,
    waiting,
)
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


SLACK = {
    "name": "slack", "kind": "slack", "channel": "#sre", "token": {"env": "T"},
    "signing_secret": {"env": "S"}, "people": PEOPLE, "by_email": True,
}  # fmt: skip
FEISHU = {
    "name": "feishu", "kind": "feishu", "app_id": "cli_fake", "app_secret": {"env": "A"},
    "chat_id": "oc_sre", "encrypt_key": {"env": "E"}, "verification_token": {"env": "V"},
    "people": PEOPLE, "language": "zh",
}  # fmt: skip
SECRETS = {
    "T": SlackServer.token, "S": SlackServer.signing_secret,
    "A": FeishuServer.app["app_secret"], "E": FeishuServer.encrypt_key,
    "V": FeishuServer.verification_token,
}  # fmt: skip


@dataclass
class Channel:
    """A service with accounts, a Slack app, and the message of an incident whose plan waits."""

    store: Store
    slack: SlackServer
    declared: Mapping[str, object] = field(default_factory=lambda: SLACK)
    clock: Clock = field(default_factory=Clock)
    needed: int = 1
    chat: ChatService | None = None

    def __post_init__(self) -> None:
        declared = {**self.declared, "api": self.slack.url}
        file = {
            "hosts": ["127.0.0.1"],
            "targets": [declared],
            "routes": [{"to": [declared["name"]]}],
        }
        self.file = NotifyFile.model_validate({**file, "wait_s": 0})
        accounts = Policy(accounts=by_accounts(self.store, "root"))
        self.engine = CountedEngine(self.store, NOW, policy=accounts, needed=self.needed)
        (target,) = self.file.targets
        self.router = NoticeRouter(self.store, self.file, self.clock, self.clock)
        self.courier = NoticeCourier(
            self.store, target, sender(target, self.file, SECRETS, self.clock), 60, self.clock
        )
        self.doors = doors(self.file, SECRETS, self.clock)
        app = FastAPI()
        name = target.name
        desk = ChannelDesk(self.engine, name, self.doors[name], self.chat)
        app.include_router(hooks({name: desk}))
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
        hook = f"/hooks/{self.declared['name']}"
        return self.client.post(hook, headers=dict(headers), content=body)

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
    app.clear()
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
    return answering(store, slack)


def answering(store: Store, slack: SlackServer) -> Channel:
    wall = SystemClock()

    def scope_of(incident: Incident | None) -> ToolContext:
        return ToolContext(Deps(store, Sources(), wall, DryRunRunner(wall), ()), incident)

    names = iter(map(str, range(1000)))
    chat = ChatService(store, scope_of, wall, names.__next__)
    return Channel(store, slack, chat=chat)


def asked(there: Channel, key: str = "Ev1", host: str = "T0OURS", **event: str) -> list[str]:
    """What stands in the thread after somebody asked, in a channel that `host` began."""
    said = {"type": "app_mention", "user": "U0VIEW", "channel": "C0SRE", "ts": "7.7", **event}
    there.clock.now += 1
    _, body = there.slack.said(said, key, there.clock.now)
    body = json.dumps({**json.loads(body), "team_id": host}).encode()
    assert there.post(there.slack.signed(body, there.clock.now), body).status_code == 200
    return there.slack.threads.get(said.get("thread_ts", said["ts"]), [])


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


def test_under_the_message_of_a_storm_or_a_digest_no_incident_is_meant(asking: Channel) -> None:
    asking.store.notices.keep_card("slack", "storm-7", place_of("C0SRE", "9.9"))
    (answer,) = asked(asking, text="<@U0BOT> list open incidents", thread_ts="9.9")
    assert "till" in answer


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


QUESTION = ChannelQuestion(
    user=ChannelUser(id="U0VIEW"), text="", key="k", channel="C0SRE", place="p", thread="om_t"
)


def test_in_a_channel_that_another_workspace_shares_ours_ask_and_theirs_do_not(
    asking: Channel,
) -> None:
    text = "list open incidents"
    (answer,) = asked(asking, host="T0THEIRS", user_team="T0OURS", text=text)
    assert "till" in answer
    (other,) = asked(asking, "Ev2", "T0THEIRS", user_team="T0THEIRS", text=text, ts="8.8")
    assert "of another workspace" in other


def test_a_stranger_asks_nothing_where_nobody_has_an_account_either(
    planned: Path, tmp_path: Path, slack: SlackServer
) -> None:
    for unowned in copied(planned, tmp_path):
        there = answering(unowned, slack)
        (other,) = asked(there, user="U0WHO", user_team="T0THEIRS", text="list open incidents")
        assert "of another workspace" in other
        (answer,) = asked(there, "Ev2", user="U0WHO", text="list open incidents", ts="8.8")
        assert "till" in answer


def test_an_answer_calls_nobody(channel: Channel) -> None:
    channel.doors["slack"].reply(QUESTION, "the log says <!channel> & <@U1>")
    assert channel.slack.threads["om_t"] == ["the log says &lt;!channel&gt; &amp; &lt;@U1&gt;"]


def test_what_slack_marks_in_a_question_is_read_as_text(asking: Channel) -> None:
    asked(asking, text="<@U0BOT> what about <https://x.example|this> &lt;now&gt;?")
    (spoken,) = asking.store.conversations.list()
    (turn,) = asking.store.conversations.turns(spoken.id)
    assert turn.question == "what about this <now>?"


def test_the_address_proves_that_it_is_ours(channel: Channel) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode()
    assert channel.post(channel.slack.signed(body, NOW), body).json() == {"challenge": "3eZb"}
    forged = {**channel.slack.signed(body, NOW), "x-slack-signature": "v0=0"}
    assert channel.post(forged, body).status_code == 401


class FeishuChat(Channel):
    """The same, with a Feishu app."""

    @property
    def server(self) -> FeishuServer:
        return self.slack  # type: ignore[return-value]

    def press(self, choice: str, user: str, **changed: str) -> str:
        button = {"value": {**self.buttons[choice]["value"], **changed}}
        self.clock.now += 1
        told = self.post(*self.server.pressed(button, user, self.clock.now)).json()["toast"]
        assert (told["type"] == "error") is told["content"].startswith("未生效:")
        text: str = told["content"]
        return text


@pytest.fixture(scope="module")
def lark() -> Iterator[FeishuServer]:
    with serving(FeishuServer()) as server:
        yield server


@pytest.fixture
def chat(store: Store, lark: FeishuServer) -> FeishuChat:
    lark.clear()
    return FeishuChat(store, lark, FEISHU)  # type: ignore[arg-type]


def test_a_feishu_card_is_answered_and_says_who_decided(chat: FeishuChat, store: Store) -> None:
    card = chat.server.messages[chat.message][-1]
    assert PLAN.digest in json.dumps(card)
    assert chat.buttons["approve"]["value"]["digest"] == PLAN.digest
    assert chat.press("approve", "U0APP") == "已批准,操作人 the approver。(演练,不会真正执行)"
    assert chat.status() == "approved"
    store.journal.append("I1", "approved", "the approver", {}, NOW)
    chat.told()
    title = chat.server.messages[chat.message][-1]["header"]["title"]["content"]
    assert "the approver" in title
    assert list(chat.buttons) == ["take"]


@pytest.mark.parametrize("row", [one for one in REFUSED if "address" not in one])
def test_what_does_not_count_is_a_toast_in_feishu(row: str, chat: FeishuChat) -> None:
    choice, user, changed, why = REFUSED[row]
    chat.store.incidents.open(OTHER)
    assert why in chat.press(choice, user, **changed)
    assert chat.status() == "pending"


def test_a_user_of_another_tenant_is_nobody(chat: FeishuChat) -> None:
    headers, body = chat.server.pressed(chat.buttons["approve"], "U0APP", NOW, "theirs")
    assert "of another tenant" in chat.post(headers, body).json()["toast"]["content"]
    assert chat.status() == "pending"


def test_what_feishu_did_not_sign_and_encrypt_opens_nothing(chat: FeishuChat) -> None:
    headers, body = chat.server.pressed(chat.buttons["approve"], "U0APP", NOW)
    sealed = json.loads(body)["encrypt"]
    plain = json.dumps({"header": {"event_type": "card.action.trigger"}}).encode()
    wrong: list[tuple[dict[str, str], bytes]] = [
        ({**headers, "x-lark-signature": ""}, body),
        ({**headers, "x-lark-request-nonce": "other"}, body),
        ({**headers, "x-lark-request-timestamp": str(int(NOW) - 301)}, body),
        (chat.server.signed(body, NOW - 301), body),
        (chat.server.signed(plain, NOW), plain),
    ]
    for cut in (sealed[:-4], "A" + sealed[1:], "", "%"):
        changed = json.dumps({"encrypt": cut}).encode()
        wrong.append((headers, changed))
    for given, content in wrong:
        told = chat.post(given, content)
        assert (told.status_code, told.json()["detail"][:25]) == (401, "the request is not signed")
    assert chat.status() == "pending"
    assert chat.post(headers, body).status_code == 200
    assert chat.post(headers, body).json() == {"detail": "this request came before"}


def test_another_apps_token_opens_nothing(chat: FeishuChat) -> None:
    header = {"event_type": "card.action.trigger", "token": "other", "event_id": "1"}
    body = chat.server.sealed({"header": header, "event": {}})
    assert chat.post(chat.server.signed(body, NOW), body).status_code == 401


def test_feishu_is_told_that_the_address_is_ours(chat: FeishuChat) -> None:
    asks = {"type": "url_verification", "challenge": "c1", "token": chat.server.verification_token}
    assert chat.post({"content-type": "application/json"}, chat.server.sealed(asks)).json() == {
        "challenge": "c1"
    }
    other = chat.server.sealed({**asks, "token": "other"})
    assert chat.post({"content-type": "application/json"}, other).status_code == 401


def test_a_question_under_a_feishu_card_is_answered_about_its_incident(
    lark: FeishuServer, asking: Channel
) -> None:
    lark.clear()
    store = asking.store
    talks = FeishuChat(store, lark, FEISHU, chat=asking.chat)  # type: ignore[arg-type]
    message = {
        "message_id": "om_q", "root_id": talks.message, "chat_id": "oc_sre", "chat_type": "group",
        "message_type": "text", "content": json.dumps({"text": "@_user_1 现在什么情况"}),
        "mentions": [{"key": "@_user_1", "name": "copilot"}],
    }  # fmt: skip
    sender = {"sender_id": {"open_id": "U0VIEW"}, "sender_type": "user", "tenant_key": "ours"}
    event = {"sender": sender, "message": message}
    told = lark.told("im.message.receive_v1", event, "ev-1", NOW)
    assert talks.post(*told).status_code == 200
    (answer,) = lark.threads["om_q"]
    assert "till" in answer
    (spoken,) = store.conversations.list()
    assert spoken.incident_id == "I1"


def test_an_answer_in_feishu_calls_nobody(chat: FeishuChat) -> None:
    chat.doors["feishu"].reply(QUESTION, 'the log says <at user_id="all"></at>')
    (answer,) = chat.server.threads["om_t"]
    assert "the log says" in answer
    assert "<" not in answer
