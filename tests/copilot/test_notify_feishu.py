"""Deciding and asking in Feishu: the same as in Slack, signed and encrypted its way."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from copilot.ports import NoticeError
from copilot.store import Store
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.doors import ButtonPress, ForgedError
from copilot.surfaces.notify.feishu import FeishuApi
from copilot.surfaces.notify.feishu_door import FeishuLine
from copilot.surfaces.notify.lines import LineHolder
from copilot.testing.feishu_server import FeishuServer
from copilot.testing.strict_http import serving
from tests.copilot.channel_world import (
    FEISHU,
    Channel,
    app,
    asking,
    slack,
)
from tests.copilot.people_world import (
    NOW,
    PLAN,
    empty,
    planned,
    store,
    waiting,
)
from tests.copilot.test_notify_answers import OTHER, REFUSED
from tests.copilot.test_notify_questions import QUESTION

__all__ = ["app", "asking", "empty", "planned", "slack", "store", "waiting"]


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


LINE = {
    one: it for one, it in FEISHU.items() if one not in ("encrypt_key", "verification_token")
} | {"long_connection": True}


def lined(server: FeishuServer, secret: str = FeishuServer.app["app_secret"]) -> FeishuLine:
    http = ChannelHttp(["127.0.0.1"])
    return FeishuLine(FeishuApi(http, "cli_fake", SecretStr(secret), lambda: NOW, server.url))


def test_feishu_is_answered_over_its_long_connection(store: Store, lark: FeishuServer) -> None:
    lark.clear()
    chat = FeishuChat(store, lark, LINE)  # type: ignore[arg-type]
    pressed = lark.press(chat.buttons["approve"], "U0APP")
    event = lark.event("card.action.trigger", pressed, "ev-1")
    line = chat.desk.door.line
    assert line is not None
    holder = LineHolder("it", line, chat.desk)
    about: dict[str, Any] = {"message_id": "m-1", "sum": 1, "seq": 0, "trace_id": "t"}
    try:
        lark.frames.put(lark.framed(b'{"PingInterval": 90}', "pong"))
        lark.frames.put(lark.framed(event, **about))
        while lark.receipts.qsize() < 2:
            holder.work()
    finally:
        holder.close()
    assert lark.receipts.get() == lark.framed(b"", "ping"), "it is kept open"
    toast = {
        "toast": {"content": "已批准,操作人 the approver。(演练,不会真正执行)", "type": "success"}
    }
    said = json.dumps(toast, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    data = base64.b64encode(said.encode()).decode()
    assert lark.receipts.get() == lark.framed(b'{"code":200,"data":"%s"}' % data.encode(), **about)
    assert chat.status() == "approved"
    assert chat.post(*lark.pressed(chat.buttons["take"], "U0RESP", NOW)).status_code == 401


def test_an_event_in_pieces_counts_when_all_are_there_in_any_order(lark: FeishuServer) -> None:
    button = {"value": {"choice": "take", "incident": "I1"}}
    event = lark.event("card.action.trigger", lark.press(button, "U0APP"), "ev-1")
    line = lined(lark)
    parts: dict[str, Any] = {"message_id": "m-1", "sum": 2}
    assert line.heard(lark.framed(event[50:], seq=1, **parts)).receipt is None
    told = line.heard(lark.framed(event[:50], seq=0, **parts)).arrival
    assert isinstance(told, ButtonPress)
    assert (told.user.id, told.value.choice, told.key) == ("U0APP", "take", "ev-1")


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff",
        "a text",
        FeishuServer.framed(FeishuServer, b"no json", sum=1),  # type: ignore[arg-type]
        FeishuServer.framed(FeishuServer, b"{}", sum=999, seq=1, message_id="m"),  # type: ignore[arg-type]
    ],
    ids=["no protobuf", "a text", "no JSON", "too many pieces"],
)
def test_a_frame_of_another_form_is_said_to_be_one(lark: FeishuServer, frame: bytes | str) -> None:
    with pytest.raises(ForgedError):
        lined(lark).heard(frame)


def test_pieces_that_never_end_are_not_kept_for_ever(lark: FeishuServer) -> None:
    line = lined(lark)
    for number in range(50):
        line.heard(lark.framed(b"{", message_id=f"m-{number}", sum=2, seq=0))
    assert line.heard(lark.framed(b"}", message_id="m-0", sum=2, seq=1)).receipt is None


def test_a_long_connection_is_not_opened_with_a_wrong_secret(lark: FeishuServer) -> None:
    with pytest.raises(NoticeError, match="10014") as caught:
        lined(lark, "wrong").address()
    assert caught.value.fault == "target"
