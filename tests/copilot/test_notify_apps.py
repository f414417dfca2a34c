"""Deciding and asking in DingTalk and WeCom, each signed, or told over a line, in its own way."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from copilot.store import Store
from copilot.surfaces.notify.doors import ForgedError
from copilot.surfaces.service import create_app
from copilot.surfaces.service.access import Access
from copilot.testing.dingtalk_server import DingTalkAppServer
from copilot.testing.strict_http import serving
from copilot.testing.wecom_server import WeComAppServer
from tests.copilot.channel_world import DINGTALK, WECOM, Channel, app, asking, slack
from tests.copilot.people_world import (
    BASE,
    NOW,
    PLAN,
    QUICK,
    TOKEN,
    Door,
    empty,
    planned,
    store,
    waiting,
)
from tests.copilot.test_notify_answers import OTHER, REFUSED

__all__ = ["app", "asking", "empty", "planned", "slack", "store", "waiting"]


class DingTalkChat(Channel):
    """The same, with a DingTalk app, whose line is heard frame by frame."""

    server: DingTalkAppServer

    def press(self, choice: str, user: str, **changed: str) -> str:
        value = json.dumps({**json.loads(self.value(choice)), **changed})
        self.clock.now += 1
        self.hear(self.server.pressed(value, user, f"m-{self.clock.now}"))
        to, text = self.server.whispers[-1]
        assert to == user
        return text

    def value(self, choice: str) -> str:
        return str(self.buttons[choice])

    def hear(self, frame: str) -> dict[str, Any]:
        """What is sent back over the line."""
        line = self.desk.door.line
        assert line is not None
        message = line.heard(frame)
        answer, later = self.desk.answered(message.arrival)
        if later is not None:
            later()
        found: dict[str, Any] = json.loads(message.receipt(answer)) if message.receipt else {}
        return found

    def ask(self, text: str, user: str, key: str = "q1") -> list[str]:
        self.hear(self.server.said(text, user, key))
        return self.server.threads.get(key, [])

    def head(self) -> str:
        return str(self.server.messages[self.message][-1]["title"])


class WeComChat(Channel):
    """The same, with a WeCom app, which posts what it seals and signs."""

    server: WeComAppServer

    @property
    def message(self) -> str:
        return list(self.server.messages)[-1]

    def value(self, choice: str) -> str:
        return str(self.buttons[choice]["key"])

    def press(self, choice: str, user: str, **changed: str) -> str:
        value = json.dumps({**json.loads(self.value(choice)), **changed})
        self.clock.now += 1
        query, body = self.server.pressed({"key": value}, user, self.clock.now, self.message)
        told = self.sent(query, body)
        assert (told.status_code, told.text) == (200, "")
        to, text = self.server.whispers[-1]
        assert to == user
        return text

    def sent(self, query: str, body: bytes) -> Any:
        xml = {"content-type": "text/xml"}
        return self.client.post(f"/hooks/wecom?{query}", headers=xml, content=body)

    def ask(self, text: str, user: str, key: str = "q1") -> list[str]:
        self.clock.now += 1
        said = {"MsgType": "text", "Content": text, "MsgId": key}
        assert self.sent(*self.server.told(user, self.clock.now, **said)).status_code == 200
        return [said for to, said in self.server.whispers if to == user]

    def head(self) -> str:
        return str(self.server.messages[self.message][-1]["main_title"]["title"])


WORLDS: dict[str, tuple[type[Any], type[Any], Mapping[str, object]]] = {
    "dingtalk": (DingTalkChat, DingTalkAppServer, DINGTALK),
    "wecom": (WeComChat, WeComAppServer, WECOM),
}
AppChat = DingTalkChat | WeComChat


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Any]]:
    with serving(DingTalkAppServer()) as ding, serving(WeComAppServer()) as wecom:
        yield {"dingtalk": ding, "wecom": wecom}


@pytest.fixture(params=WORLDS)
def chat(request: pytest.FixtureRequest, store: Store, servers: dict[str, Any]) -> AppChat:
    made: AppChat = opened(request.param, store, servers)
    return made


def opened(name: str, store: Store, servers: dict[str, Any], **more: Any) -> Any:
    world, _, declared = WORLDS[name]
    server = servers[name]
    server.clear()
    made = world(store, server, declared, **more)
    made.server = server
    return made


def test_a_card_is_answered_and_says_who_decided(chat: AppChat, store: Store) -> None:
    card = chat.server.messages[chat.message][-1]
    assert PLAN.digest in json.dumps(card)
    assert json.loads(chat.value("approve"))["digest"] == PLAN.digest
    said = chat.press("approve", "U0APP")
    assert said == "Approved, by the approver. (dry run: nothing is really touched)"
    assert chat.status() == "approved"
    store.journal.append("I1", "approved", "the approver", {}, NOW)
    chat.told()
    assert chat.head().endswith("plan approved, by the approver")
    assert list(chat.buttons) == ["take"]
    assert len(chat.server.messages) == 1, "the card was changed, not sent again"


@pytest.mark.parametrize("row", [one for one in REFUSED if "address" not in one])
def test_what_does_not_count_is_said_to_who_pressed(row: str, chat: AppChat) -> None:
    choice, user, changed, why = REFUSED[row]
    chat.store.incidents.open(OTHER)
    said = chat.press(choice, user, **changed)
    assert said.startswith("This does not count: ")
    assert why in said
    assert chat.status() == "pending"


def test_a_plan_that_is_over_or_expired_refuses_and_says_so(chat: AppChat) -> None:
    old = chat.value("approve")
    chat.engine.time = PLAN.expires_at + 1
    assert "expired" in chat.press("approve", "U0APP")
    chat.engine.time = NOW
    chat.press("reject", "U0RESP")
    assert json.loads(old)["plan"] == PLAN.id
    assert "was rejected before, by 'the responder'" in chat.press("approve", "U0APP")


@pytest.mark.parametrize("name", WORLDS)
def test_of_four_eyes_the_second_pair_is_needed(
    name: str, store: Store, servers: dict[str, Any]
) -> None:
    chat = opened(name, store, servers, needed=2)
    assert chat.press("approve", "U0APP").startswith("Approved 1/2: another person is needed.")
    assert chat.status() == "pending"


def test_a_secret_that_ended_is_asked_for_anew(chat: AppChat, store: Store) -> None:
    chat.server.expire()
    store.journal.append("I1", "approved", "the approver", {}, NOW)
    chat.told()
    assert "plan approved" in chat.head()


def test_what_dingtalk_tells_again_or_of_others_counts_no_more(
    store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("dingtalk", store, servers)
    frame = chat.server.pressed(chat.value("take"), "U0RESP", "m-1")
    assert chat.hear(frame)["code"] == 200
    with pytest.raises(ForgedError, match="came before"):
        chat.hear(frame)
    chat.hear(chat.server.pressed(chat.value("approve"), "U0APP", "m-2", corp="dingtheirs"))
    assert "of another company" in chat.server.whispers[-1][1]
    assert chat.status() == "pending"
    assert chat.client.post("/hooks/ding", json={}).status_code == 401, "nothing is posted"


LINES: dict[str, tuple[tuple[str, str, dict[str, Any]], dict[str, Any]]] = {
    "a ping is sent back": (
        ("SYSTEM", "ping", {"opaque": "1-2"}),
        {"code": 200, "data": '{"opaque": "1-2"}'},
    ),
    "a card of somebody else": (("CALLBACK", "/v1.0/other", {}), {"code": 200}),
    "a value that is none of ours": (
        ("CALLBACK", "/v1.0/card/instances/callback",
         {"userId": "U0APP", "content": '{"cardPrivateData": {"params": {"value": "{}"}}}'}),
        {"code": 200},
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", LINES)
def test_each_frame_of_dingtalk_is_acknowledged(
    row: str, store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("dingtalk", store, servers)
    (kind, topic, data), expected = LINES[row]
    told = chat.hear(chat.server.framed(kind, topic, "m-9", data))
    assert told["headers"]["messageId"] == "m-9"
    assert expected.items() <= told.items()
    with pytest.raises(ForgedError, match="form"):
        chat.hear("[]")


def test_a_card_whose_delivery_was_not_heard_of_is_the_same_one(
    store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("dingtalk", store, servers)
    (row,) = [one for one in store.notices.of("I1") if one.status == "sent"]
    sender = chat.courier._sender
    assert sender.send(row.notice, row.key, "") == chat.message
    assert len(chat.server.messages) == 1


def wecom_forged(server: WeComAppServer, value: str) -> dict[str, tuple[str, bytes]]:
    query, body = server.pressed({"key": value}, "U0APP", NOW)
    other, _ = server.pressed({"key": value}, "U0VIEW", NOW)
    for_other = server.sealed("<xml></xml>", corp="wwtheirs")
    whole = f"<xml><Encrypt>{for_other}</Encrypt></xml>".encode()
    late = server.sealed("<xml></xml>")
    return {
        "no signature": ("timestamp=1&nonce=1", body),
        "the signature of another body": (other, body),
        "another time": (query.replace(f"{NOW:.0f}", f"{NOW + 1:.0f}"), body),
        "another company": (server.signed(for_other, NOW), whole),
        "long ago": (
            server.signed(late, NOW - 301),
            whole.replace(for_other.encode(), late.encode()),
        ),
        "no XML": (query, b"{}"),
        "half of it": (server.signed("QUJD", NOW), b"<xml><Encrypt>QUJD</Encrypt></xml>"),
    }


def test_what_wecom_did_not_sign_and_seal_opens_nothing(
    store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("wecom", store, servers)
    for row, (query, body) in wecom_forged(chat.server, chat.value("approve")).items():
        assert chat.sent(query, body).status_code == 401, row
    assert chat.status() == "pending"
    query, body = chat.server.pressed({"key": chat.value("take")}, "U0RESP", NOW)
    assert chat.sent(query, body).status_code == 200
    assert chat.sent(query, body).json() == {"detail": "this request came before"}


def test_wecom_asks_by_get_whether_the_address_is_ours(
    store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("wecom", store, servers)
    sealed = chat.server.sealed("8675309")
    query = f"{chat.server.signed(sealed, NOW)}&echostr={quote(sealed)}"
    access = Access(store, TOKEN, operator="root", clock=chat.clock, passwords=QUICK)
    whole = create_app(chat.engine, Door(), access=access, desks={"wecom": chat.desk})
    told = TestClient(whole, base_url=BASE).get(f"/hooks/wecom?{query}")
    assert (told.status_code, told.text) == (200, "8675309")
    chat.client = TestClient(whole, base_url=BASE)
    assert chat.press("take", "U0RESP") == "It is yours, the responder."


def test_a_wecom_card_is_changed_once_by_a_code_and_then_sent_anew(
    store: Store, servers: dict[str, Any]
) -> None:
    chat = opened("wecom", store, servers)
    store.journal.append("I1", "acted", "copilot", {"step": "wait"}, NOW)
    chat.told()
    assert [len(cards) for cards in chat.server.messages.values()] == [2]
    store.journal.append("I1", "acted", "copilot", {"step": "wait more"}, NOW + 1)
    chat.told()
    assert [len(cards) for cards in chat.server.messages.values()] == [2, 1]


@pytest.mark.parametrize("name", WORLDS)
def test_a_question_is_answered_where_it_was_asked_and_once(
    name: str, store: Store, servers: dict[str, Any], asking: Channel
) -> None:
    chat = opened(name, store, servers, chat=asking.chat)
    (answer,) = chat.ask("list open incidents", "U0VIEW")
    assert "till" in answer
    assert chat.ask("list open incidents", "U0VIEW") == [answer]
    assert any("nobody here" in one for one in chat.ask("list open incidents", "U0WHO", "q2"))
