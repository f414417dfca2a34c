"""Feishu on the loopback, as its documents say; the real one cannot be reached from here."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from copilot.testing.channels import LineServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest


class FeishuServer(LineServer):
    """A tenant's token, messages, and their cards: open.feishu.cn/document/server-docs/im-v1; and
    the long connection, as the official SDK speaks it (lark_oapi/ws of 1.7.5).
    """

    name = "feishu"
    app = {"app_id": "cli_fake", "app_secret": "feishu-app-secret"}
    encrypt_key = "feishu-encrypt-key"
    service = 7
    verification_token = "feishu-verification-token"

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self._by_uuid: dict[str, str] = {}
        self._replies: dict[str, tuple[str, int]] = {}

    def clear(self) -> None:
        """Forget what was posted, and under which keys."""
        super().clear()
        self._by_uuid.clear()
        self._replies.clear()

    def expire(self) -> None:
        """No token of before counts any more."""
        self.tokens += 1

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 with `code` 0, or a code with 200 or 400, as its pages list them."""
        told = json.loads(asked.body) if not asked.file else {}
        if asked.path in ("/auth/v3/tenant_access_token/internal", "/callback/ws/endpoint"):
            return self._opened(asked.path, told)
        if asked.headers.get("authorization") != f"Bearer t-{self.tokens}":
            return HttpReply(400, {"code": 99991663, "msg": "Invalid access token"})
        if self.answers:
            return HttpReply(400, {"code": self.answers.popleft(), "msg": "refused"})
        if asked.path == "/im/v1/images":
            self.pictures.append(asked.file)
            return HttpReply(200, {"code": 0, "msg": "success", "data": {"image_key": "img_v1"}})
        if asked.path.endswith("/reply") or asked.method == "PUT":
            return self._answer(asked, told)
        card = json.loads(told["content"])
        if not card["config"]["update_multi"] or len(told["content"].encode()) > 30 * 1024:
            return HttpReply(400, {"code": 230099, "msg": "Failed to create card content"})
        if asked.method == "PATCH":
            return self._patch(asked.path.rpartition("/")[2], card)
        if asked.one("receive_id_type") != "chat_id" or told["receive_id"] != "oc_sre":
            return HttpReply(400, {"code": 230002, "msg": "The bot can not be outside the group."})
        name = self._by_uuid.get(told["uuid"]) or self.post(card)
        self._by_uuid[told["uuid"]] = name
        return HttpReply(200, {"code": 0, "msg": "success", "data": {"message_id": name}})

    def _opened(self, path: str, told: Mapping[str, Any]) -> HttpReply:
        """A token, or the address of a long connection, for the app's secret."""
        names = ("AppID", "AppSecret") if path.startswith("/callback") else self.app.keys()
        if told != dict(zip(names, self.app.values(), strict=True)):
            return HttpReply(200, {"code": 10014, "msg": "app secret invalid"})
        if path.startswith("/callback"):
            query = urlencode({"ticket": self.ticket, "device_id": 1, "service_id": self.service})
            data = {"URL": f"{self.line_url}?{query}", "ClientConfig": {"PingInterval": 120}}
            return HttpReply(200, {"code": 0, "msg": "", "data": data})
        self.tokens += 1
        token = {"tenant_access_token": f"t-{self.tokens}", "expire": 7200}
        return HttpReply(200, {"code": 0, "msg": "ok", **token})

    def framed(self, payload: bytes, kind: str = "event", **about: Any) -> bytes:
        """A frame of the long connection, encoded by hand; `method` 1 is data, 0 control."""
        control = kind in ("ping", "pong")
        headers = {"type": kind, **about}
        numbers = (0, 0, self.service, 0) if control else (1, 2, self.service, 1)
        fields = [_varint(n << 3) + _varint(one) for n, one in enumerate(numbers, 1)]
        for name, value in headers.items():
            fields.append(_bytes(5, _bytes(1, name.encode()) + _bytes(2, str(value).encode())))
        return b"".join([*fields, _bytes(8, payload) if payload else b""])

    def event(self, kind: str, event: Mapping[str, Any], key: str) -> bytes:
        """An event of version 2.0 as it comes over the long connection, in the clear."""
        header = {"event_id": key, "event_type": kind, "tenant_key": "ours"}
        return json.dumps({"schema": "2.0", "header": header, "event": event}).encode()

    def _answer(self, asked: ReceivedRequest, told: Mapping[str, Any]) -> HttpReply:
        """A text under a message, or another text in its place: im-v1/message/reply and update."""
        text = json.loads(told["content"])["text"]
        if asked.method == "PUT":
            key = asked.path.rpartition("/")[2].removeprefix("om_r-")
            if key not in self._replies:
                return HttpReply(400, {"code": 230011, "msg": "The message is recalled."})
        else:
            key, thread = told["uuid"], asked.path.split("/")[-2]
            if key not in self._replies:
                shown = self.threads.setdefault(thread, [])
                self._replies[key] = (thread, len(shown))
                shown.append(text)
        thread, number = self._replies[key]
        self.threads[thread][number] = text
        return HttpReply(200, {"code": 0, "msg": "success", "data": {"message_id": f"om_r-{key}"}})

    def _patch(self, name: str, card: Any) -> HttpReply:
        if name not in self.messages:
            return HttpReply(400, {"code": 230011, "msg": "The message is recalled."})
        self.messages[name].append(card)
        return HttpReply(200, {"code": 0, "msg": "success", "data": {}})

    def buttons(self, message: str) -> dict[str, dict[str, Any]]:
        """The buttons that a card shows now, by their choice."""
        rows = [one for one in self.messages[message][-1]["elements"] if one["tag"] == "action"]
        shown = [one for row in rows for one in row["actions"] if "value" in one]
        return {one["value"]["choice"]: one for one in shown}

    def pressed(
        self, button: Mapping[str, Any], user: str, at: float, tenant: str = "ours"
    ) -> tuple[dict[str, str], bytes]:
        """What Feishu posts when a user presses a button: headers and body."""
        event = self.press(button, user, tenant)
        return self.told("card.action.trigger", event, f"ev-{at}-{user}", at)

    def press(self, button: Mapping[str, Any], user: str, tenant: str = "ours") -> dict[str, Any]:
        """What is told of a button that a user pressed."""
        operator = {"tenant_key": tenant, "open_id": user, "union_id": "on_1"}
        action = {"value": button["value"], "tag": "button"}
        return {"operator": operator, "action": action, "host": "im_message", "token": "c-1"}

    def told(
        self, kind: str, event: Mapping[str, Any], key: str, at: float
    ) -> tuple[dict[str, str], bytes]:
        """An event or a callback of version 2.0, signed and encrypted."""
        header = {
            "event_id": key, "token": self.verification_token, "create_time": f"{at:.0f}000",
            "event_type": kind, "tenant_key": "ours", "app_id": self.app["app_id"],
        }  # fmt: skip
        body = self.sealed({"schema": "2.0", "header": header, "event": event})
        return self.signed(body, at), body

    def sealed(self, document: Mapping[str, Any]) -> bytes:
        """AES-256 in CBC, the key hashed, the vector in front."""
        padder = PKCS7(128).padder()
        plain = padder.update(json.dumps(document).encode()) + padder.finalize()
        key, vector = hashlib.sha256(self.encrypt_key.encode()).digest(), b"sixteen bytes iv"
        cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
        sealed = vector + cipher.update(plain) + cipher.finalize()
        return json.dumps({"encrypt": base64.b64encode(sealed).decode()}).encode()

    def signed(self, body: bytes, at: float) -> dict[str, str]:
        """The headers of a request of Feishu's."""
        stamp = str(int(at))
        seal = hashlib.sha256(f"{stamp}nonce{self.encrypt_key}".encode() + body).hexdigest()
        return {
            "content-type": "application/json",
            "x-lark-request-timestamp": stamp,
            "x-lark-request-nonce": "nonce",
            "x-lark-signature": seal,
        }


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value
