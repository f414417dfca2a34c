"""Channels on the loopback that take messages as their documents say, and refuse what they do not.

The real ones cannot be reached from here; each server names the page it was written from.
"""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from copilot.ports import NoticeError
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer
from copilot.types.notice import Notice

FRESH_S = 300.0
"""How old a signed request may be. Source: Standard Webhooks, "a few minutes"."""


class WebhookReceiver(StrictServer):
    """Takes signed webhooks, each id once, as https://www.standardwebhooks.com describes."""

    name = "webhook"

    def __init__(self, secret: bytes) -> None:
        super().__init__()
        self._secret = secret
        self.clock: Callable[[], float] = time.time
        self.ids: Counter[str] = Counter()
        self.told: list[dict[str, Any]] = []

    @property
    def hook(self) -> str:
        """The address to post to."""
        return f"{self.url}/hook"

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """204 for a good signature; 401 for a bad or an old one."""
        headers = asked.headers
        identity, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        content = f"{identity}.{sent_at}.".encode() + asked.body
        seal = base64.b64encode(hmac.new(self._secret, content, hashlib.sha256).digest()).decode()
        given = headers.get("webhook-signature", "").split(" ")
        fresh = sent_at.isdigit() and abs(self.clock() - int(sent_at)) < FRESH_S
        if not fresh or not any(hmac.compare_digest(f"v1,{seal}", one) for one in given):
            return HttpReply(401, {"error": "signature or timestamp is not valid"})
        if asked.method != "POST" or asked.path != "/hook":
            return HttpReply(404, {"error": "no such hook"})
        self.ids[identity] += 1
        if self.ids[identity] == 1:
            self.told.append(json.loads(asked.body))
        return HttpReply(204, b"")


@dataclass
class ListedSender:
    """Keeps what it was given; the next calls meet the `failures`; with `edits` it can edit."""

    edits: bool = False
    failures: deque[NoticeError] = field(default_factory=deque)
    sent: list[tuple[str, Notice]] = field(default_factory=list)
    edited: list[tuple[str, Notice]] = field(default_factory=list)

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Take it, or fail as was asked for."""
        if self.failures:
            raise self.failures.popleft()
        (self.edited if before else self.sent).append((key, notice))
        return (before or f"message {len(self.sent)}") if self.edits else ""


class ChatServer(StrictServer):
    """A platform's API: `messages` by their id, each with every card it has shown.

    `answers` are codes that the next calls are refused with, before anything else is looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, list[Any]] = {}
        self.answers: deque[Any] = deque()
        self.threads: dict[str, list[str]] = {}

    def clear(self) -> None:
        """Forget what was posted."""
        self.messages.clear()
        self.threads.clear()

    def post(self, card: Any) -> str:
        """Keep a new message; returns its id."""
        name = f"message-{len(self.messages) + 1}"
        self.messages[name] = [card]
        return name


class SlackServer(ChatServer):
    """`chat.postMessage`, `chat.update`, `chat.postEphemeral`, `users.info`:
    docs.slack.dev/reference/methods; and what Slack posts when people press, mention or write.
    """

    name = "slack"
    token = "xoxb-fake-token"
    signing_secret = "slack-signing-secret"

    def __init__(self) -> None:
        super().__init__()
        self.whispers: list[tuple[str, str]] = []
        self.users: dict[str, dict[str, Any]] = {}

    def clear(self) -> None:
        """Forget what was posted and whispered, and who is there."""
        super().clear()
        self.whispers.clear()
        self.users.clear()

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 with `ok`, or with `error`; 429 with `Retry-After` where it is asked too often."""
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return HttpReply(200, {"ok": False, "error": "invalid_auth"})
        if self.answers:
            error = self.answers.popleft()
            if error == "ratelimited":
                return HttpReply(429, {"ok": False, "error": error}, {"Retry-After": "30"})
            return HttpReply(200, {"ok": False, "error": error})
        if asked.path == "/users.info":
            user = self.users.get(asked.one("user")) if asked.is_form else None
            found = {"ok": True, "user": user} if user else {"ok": False, "error": "user_not_found"}
            return HttpReply(200, found)
        return self._written(asked.path, json.loads(asked.body))

    def _written(self, path: str, told: dict[str, Any]) -> HttpReply:
        if problem := _wrong_blocks(told):
            return HttpReply(200, {"ok": False, "error": problem})
        if path == "/chat.update":
            return self._update(told)
        if told.get("channel") not in ("#sre", "C0SRE", "D0DIRECT"):
            return HttpReply(200, {"ok": False, "error": "channel_not_found"})
        if path == "/chat.postEphemeral":
            self.whispers.append((told["user"], told["text"]))
            return HttpReply(200, {"ok": True, "message_ts": "1.2"})
        if path != "/chat.postMessage":
            return HttpReply(200, {"ok": False, "error": "unknown_method"})
        if "thread_ts" in told:
            self.threads.setdefault(told["thread_ts"], []).append(told["text"])
            return HttpReply(200, {"ok": True, "channel": "C0SRE", "ts": "in a thread"})
        return HttpReply(200, {"ok": True, "channel": "C0SRE", "ts": self.post(told)})

    def _update(self, told: dict[str, Any]) -> HttpReply:
        # A name that `chat.postMessage` takes is no channel to `chat.update`.
        if told.get("channel") != "C0SRE":
            return HttpReply(200, {"ok": False, "error": "channel_not_found"})
        if told.get("ts") not in self.messages:
            return HttpReply(200, {"ok": False, "error": "message_not_found"})
        self.messages[told["ts"]].append(told)
        return HttpReply(200, {"ok": True, "channel": "C0SRE", "ts": told["ts"]})

    def buttons(self, message: str) -> dict[str, dict[str, Any]]:
        """The buttons that a message shows now, by their action."""
        rows = [one for one in self.messages[message][-1]["blocks"] if one["type"] == "actions"]
        return {one["action_id"]: one for row in rows for one in row["elements"]}

    def pressed(
        self, button: Mapping[str, Any], user: str, at: float, team: str = "T0OURS"
    ) -> tuple[dict[str, str], bytes]:
        """What Slack posts when a user presses a button: headers and body."""
        action = {"type": "button", "action_id": button["action_id"], "block_id": "b"}
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": user.lower(), "team_id": team},
            "team": {"id": "T0OURS", "domain": "ours"},
            "api_app_id": "A0",
            "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0SRE"},
            "trigger_id": f"{at}.{len(self.whispers)}",
            "channel": {"id": "C0SRE", "name": "sre"},
            "response_url": "https://hooks.slack.example/actions/x",
            "actions": [{**action, "value": button.get("value", "")}],
        }
        form = urlencode({"payload": json.dumps(payload)}).encode()
        return self.signed(form, at, "application/x-www-form-urlencoded"), form

    def said(self, event: Mapping[str, Any], key: str, at: float) -> tuple[dict[str, str], bytes]:
        """What the Events API posts: headers and body."""
        ours = {"team_id": "T0OURS"}
        told = {**ours, "type": "event_callback", "authorizations": [ours]}
        body = json.dumps({**told, "event_id": key, "event_time": int(at), "event": event}).encode()
        return self.signed(body, at), body

    def signed(self, body: bytes, at: float, content: str = "application/json") -> dict[str, str]:
        """The headers of a request of Slack's: version 0 of its signature."""
        base = b"v0:%d:%s" % (int(at), body)
        seal = hmac.new(self.signing_secret.encode(), base, hashlib.sha256).hexdigest()
        return {
            "content-type": content,
            "x-slack-request-timestamp": str(int(at)),
            "x-slack-signature": f"v0={seal}",
        }


def _wrong_blocks(told: dict[str, Any]) -> str:
    """What Block Kit refuses: docs.slack.dev/reference/block-kit."""
    for block in told.get("blocks", ()):
        text = block.get("text", {}).get("text", "x")
        longest = {"header": 150, "section": 3000}.get(block["type"], 3000)
        if not 0 < len(text) <= longest or block["type"] not in ("header", "section", "actions"):
            return "invalid_blocks"
        names = [one["action_id"] for one in block.get("elements", ())]
        wrong = [one for one in block.get("elements", ()) if _wrong_button(one)]
        if wrong or len(names) > 25 or len(set(names)) < len(names):
            return "invalid_blocks"
    return "" if told.get("text") else "no_text"


def _wrong_button(button: dict[str, Any]) -> bool:
    longest = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
    asks = button.get("confirm", {})
    return (
        len(button["text"]["text"]) > 75
        or len(button.get("value", "")) > 2000
        or button.get("style", "primary") not in ("primary", "danger")
        or any(len(asks[one]["text"]) > most for one, most in longest.items() if asks)
    )


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

    def clear(self) -> None:
        """Forget what was posted, and under which keys."""
        super().clear()
        self._by_uuid.clear()

    def expire(self) -> None:
        """No token of before counts any more."""
        self.tokens += 1

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 with `code` 0, or a code with 200 or 400, as its pages list them."""
        told = json.loads(asked.body)
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
        if asked.path.endswith("/reply"):
            text = json.loads(told["content"])["text"]
            self.threads.setdefault(asked.path.split("/")[-2], []).append(text)
            return HttpReply(200, {"code": 0, "msg": "success", "data": {"message_id": "om_r"}})
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


class DingTalkServer(ChatServer):
    """A signed robot of a group: open.dingtalk.com/document/robots/custom-robot-access."""

    name = "dingtalk"
    secret = "SECdingtalk-robot-secret"
    clock: Callable[[], float] = staticmethod(time.time)

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 always; `errcode` says what became of it."""
        if asked.one("access_token") != "fake-token":
            return HttpReply(200, {"errcode": 300005, "errmsg": "token is not exist"})
        millis, sign = asked.one("timestamp"), asked.one("sign")
        seal = hmac.new(
            self.secret.encode(), f"{millis}\n{self.secret}".encode(), hashlib.sha256
        ).digest()
        late = not millis.isdigit() or abs(self.clock() - int(millis) / 1000) > 3600
        if late or base64.b64encode(seal).decode() != sign:
            return HttpReply(200, {"errcode": 310000, "errmsg": "sign not match"})
        if self.answers:
            return HttpReply(200, {"errcode": self.answers.popleft(), "errmsg": "refused"})
        told = json.loads(asked.body)
        card = told.get(told["msgtype"], {})
        wanted = {"actionCard": ("title", "text", "singleTitle", "singleURL")}
        if not all(card.get(one) for one in wanted.get(told["msgtype"], ("title", "text"))):
            return HttpReply(200, {"errcode": 40035, "errmsg": "invalid parameter"})
        self.post(told)
        return HttpReply(200, {"errcode": 0, "errmsg": "ok"})


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
        if not 0 < len(told["markdown"]["content"].encode()) <= 4096:
            return HttpReply(200, {"errcode": 40058, "errmsg": "markdown.content is too long"})
        self.post(told)
        return HttpReply(200, {"errcode": 0, "errmsg": "ok"})


class TeamsServer(ChatServer):
    """A workflow that posts adaptive cards: learn.microsoft.com, "Create incoming webhooks"."""

    name = "teams"

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """202 and nothing; 413 above 28 KB; 401 without the signature in the address."""
        if asked.one("sig") != "fake-signature":
            return HttpReply(401, {"error": {"code": "DirectApiAuthorizationRequired"}})
        if self.answers:
            return HttpReply(self.answers.popleft(), b"refused")
        if len(asked.body) > 28 * 1024:
            return HttpReply(413, b"too large")
        (one,) = json.loads(asked.body)["attachments"]
        right = one["contentType"] == "application/vnd.microsoft.card.adaptive"
        if not right or one["content"]["type"] != "AdaptiveCard":
            return HttpReply(400, {"error": {"code": "TriggerInputSchemaMismatch"}})
        self.post(one["content"])
        return HttpReply(202, b"")
