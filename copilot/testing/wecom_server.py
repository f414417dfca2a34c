"""WeCom on the loopback, its robots of groups and its apps, as its documents say."""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from copilot.testing.channels import ChatServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest


class WeComServer(ChatServer):
    """A robot of a group: developer.work.weixin.qq.com/document/path/91770."""

    name = "wecom"

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 always; `errcode` says what became of it."""
        if asked.one("key") != "fake-key":
            return HttpReply(200, {"errcode": 93000, "errmsg": "invalid webhook url"})
        if self.answers:
            return HttpReply(200, {"errcode": self.answers.popleft(), "errmsg": "refused"})
        told = json.loads(asked.body)
        if told["msgtype"] == "image":
            self.pictures.append(base64.b64decode(told["image"]["base64"]))
            return HttpReply(200, {"errcode": 0, "errmsg": "ok"})
        if not 0 < len(told["markdown"]["content"].encode()) <= 4096:
            return HttpReply(200, {"errcode": 40058, "errmsg": "markdown.content is too long"})
        self.post(told)
        return HttpReply(200, {"errcode": 0, "errmsg": "ok"})


class WeComAppServer(ChatServer):
    """An app's token, messages, template cards, and its callback:
    developer.work.weixin.qq.com/document/path: 91039, 90236, 94888, 90930, 90968, 90376.
    """

    name = "wecom_app"
    corp, agent, secret = "wwours", 1000002, "wecom-app-secret"
    token = "wecomcallback"
    aes_key = base64.b64encode(bytes(range(32))).decode().rstrip("=")

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.codes: dict[str, str] = {}
        self.whispers: list[tuple[str, str]] = []

    def clear(self) -> None:
        """Forget what was sent, and its codes."""
        super().clear()
        self.codes.clear()
        self.whispers.clear()

    def expire(self) -> None:
        """No token of before counts any more."""
        self.tokens += 1

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 always; `errcode` says what became of it."""
        if asked.path == "/gettoken" and asked.method == "GET":
            if (asked.one("corpid"), asked.one("corpsecret")) != (self.corp, self.secret):
                return _errcode(40001, "invalid credential, hint: [1], from ip: 127.0.0.1")
            self.tokens += 1
            token = {"access_token": f"t-{self.tokens}", "expires_in": 7200}
            return HttpReply(200, {"errcode": 0, "errmsg": "ok", **token})
        if asked.one("access_token") != f"t-{self.tokens}":
            return _errcode(40014, "invalid access_token")
        if self.answers:
            return _errcode(self.answers.popleft(), "refused")
        if asked.path == "/media/upload":
            self.pictures.append(asked.file)
            return HttpReply(200, {"errcode": 0, "errmsg": "ok", "media_id": "3a8"})
        told = json.loads(asked.body)
        if told["agentid"] != self.agent:
            return _errcode(301002, "not allowed to operate another agent with this accesstoken")
        if asked.path == "/message/update_template_card":
            return self._update(told)
        return self._sent(asked.path, told)

    def _sent(self, path: str, told: dict[str, Any]) -> HttpReply:
        if path != "/message/send" or not (told.get("touser") or told.get("toparty")):
            return _errcode(40056, "invalid agentid, or nobody to write to")
        if told["msgtype"] == "image":
            return _errcode(0 if told["image"]["media_id"] == "3a8" else 40007, "media_id")
        if told["msgtype"] == "text":
            self.whispers.append((told["touser"], told["text"]["content"]))
            return _errcode(0, "ok")
        if told["msgtype"] == "template_card" and (problem := _wrong_card(told["template_card"])):
            return _errcode(40058, problem)
        name = self.post(told[told["msgtype"]])
        return HttpReply(200, {"errcode": 0, "errmsg": "ok", "msgid": name, **self._code(name)})

    def _code(self, name: str) -> dict[str, str]:
        """A code that changes a card once; only those with buttons have any."""
        if self.messages[name][-1].get("card_type") != "button_interaction":
            return {}
        code = f"code-{len(self.codes) + 1}"
        self.codes[code] = name
        return {"response_code": code}

    def _update(self, told: dict[str, Any]) -> HttpReply:
        name = self.codes.get(told["response_code"], "")
        if not name:
            return _errcode(42036, "response_code is used or expired")
        if problem := _wrong_card(told["template_card"]):
            return _errcode(40058, problem)
        self.codes[told["response_code"]] = ""
        self.messages[name].append(told["template_card"])
        return HttpReply(200, {"errcode": 0, "errmsg": "ok", "invaliduser": []})

    def buttons(self, message: str) -> dict[str, dict[str, Any]]:
        """The buttons that a card shows now, by their choice."""
        shown = self.messages[message][-1].get("button_list", ())
        return {json.loads(one["key"])["choice"]: one for one in shown}

    def pressed(
        self, button: Mapping[str, Any], user: str, at: float, message: str = "message-1"
    ) -> tuple[str, bytes]:
        """What WeCom posts when a user presses a button: the query and the body."""
        code = self._code(message).get("response_code", "")
        return self.told(
            user, at, MsgType="event", Event="template_card_event", EventKey=button["key"],
            TaskId="t", CardType="button_interaction", ResponseCode=code,
        )  # fmt: skip

    def told(self, user: str, at: float, **fields: str) -> tuple[str, bytes]:
        """A message or an event, sealed and signed: the query and the body."""
        named = {"ToUserName": self.corp, "FromUserName": user, "CreateTime": f"{at:.0f}", **fields}
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in named.items())
        sealed = self.sealed(f"<xml>{inner}<AgentID>{self.agent}</AgentID></xml>")
        body = f"<Encrypt><![CDATA[{sealed}]]></Encrypt><AgentID>{self.agent}</AgentID>"
        return self.signed(sealed, at), f"<xml>{body}</xml>".encode()

    def sealed(self, text: str, corp: str = "wwours") -> str:
        """AES-256 in CBC: random bytes, length, text, receiver, padded to 32 bytes."""
        plain = b"sixteen bytes iv" + struct.pack(">I", len(text.encode())) + text.encode()
        plain += corp.encode()
        more = 32 - len(plain) % 32
        key = base64.b64decode(f"{self.aes_key}=")
        cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(
            cipher.update(plain + bytes([more]) * more) + cipher.finalize()
        ).decode()

    def signed(self, sealed: str, at: float, nonce: str = "n1") -> str:
        """The query of a request of WeCom's."""
        parts = sorted((self.token, f"{at:.0f}", nonce, sealed))
        seal = hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()
        return f"msg_signature={seal}&timestamp={at:.0f}&nonce={nonce}"


def _errcode(code: int, message: str) -> HttpReply:
    return HttpReply(200, {"errcode": code, "errmsg": message})


def _wrong_card(card: dict[str, Any]) -> str:
    """What path/90236 refuses of a template card."""
    if card["card_type"] not in ("button_interaction", "text_notice"):
        return "card_type is invalid"
    if card["card_type"] == "text_notice" and not card.get("card_action", {}).get("url"):
        return "card_action is missing"
    listed = card.get("button_list", [])
    if card["card_type"] == "button_interaction" and not 1 <= len(listed) <= 6:
        return "button_list takes 1 to 6"
    if any(len(one["key"].encode()) > 1024 for one in listed):
        return "button key is too long"
    if not card.get("main_title", {}).get("title") or len(card["task_id"]) > 128:
        return "main_title or task_id is invalid"
    return ""
