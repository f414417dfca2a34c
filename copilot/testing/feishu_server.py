"""Feishu on the loopback, as its documents say; the real one cannot be reached from here."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from copilot.testing.channels import ChatServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest


class FeishuServer(ChatServer):
    """A tenant's token, messages, and their cards: open.feishu.cn/document/server-docs/im-v1."""

    name = "feishu"
    app = {"app_id": "cli_fake", "app_secret": "feishu-app-secret"}
    encrypt_key = "feishu-encrypt-key"
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
        if asked.path == "/auth/v3/tenant_access_token/internal":
            if told != self.app:
                return HttpReply(200, {"code": 10014, "msg": "app secret invalid"})
            self.tokens += 1
            token = {"tenant_access_token": f"t-{self.tokens}", "expire": 7200}
            return HttpReply(200, {"code": 0, "msg": "ok", **token})
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
        operator = {"tenant_key": tenant, "open_id": user, "union_id": "on_1"}
        action = {"value": button["value"], "tag": "button"}
        event = {"operator": operator, "action": action, "host": "im_message", "token": "c-1"}
        return self.told("card.action.trigger", event, f"ev-{at}-{user}", at)

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
