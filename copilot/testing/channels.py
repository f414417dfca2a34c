"""Channels on the loopback that take messages as their documents say, and refuse what they do not.

The real ones cannot be reached from here; each server names the page it was written from.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

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
        self.pictures: list[bytes] = []

    def clear(self) -> None:
        """Forget what was posted."""
        self.messages.clear()
        self.threads.clear()
        self.pictures.clear()

    def post(self, card: Any) -> str:
        """Keep a new message; returns its id."""
        name = f"message-{len(self.messages) + 1}"
        self.messages[name] = [card]
        return name


class LineServer(ChatServer):
    """A platform that also sends over a websocket, to whoever comes with its `ticket`.

    What is put in `frames` is sent, and what comes back is kept in `receipts`.
    """

    ticket = "one/ticket"

    def __init__(self) -> None:
        super().__init__()
        self.frames: queue.Queue[str | bytes] = queue.Queue()
        self.receipts: queue.Queue[str | bytes] = queue.Queue()
        self._line: Server | None = None

    def clear(self) -> None:
        """Forget what was posted, sent and received."""
        super().clear()
        self.frames, self.receipts = queue.Queue(), queue.Queue()

    @property
    def line_url(self) -> str:
        """Where the websocket listens, from the first time that it is asked."""
        if self._line is None:
            self._line = serve(self._talk, "127.0.0.1", 0)
            threading.Thread(target=self._line.serve_forever, daemon=True).start()
        return f"ws://127.0.0.1:{self._line.socket.getsockname()[1]}/line"

    def server_close(self) -> None:
        """End the websocket, too."""
        super().server_close()
        if self._line is not None:
            self._line.shutdown()

    def _talk(self, line: ServerConnection) -> None:
        given = parse_qs(urlsplit(line.request.path if line.request else "").query)
        if given.get("ticket") != [self.ticket]:
            line.close(1008, "no ticket")
            return
        try:
            while not self.closing.is_set():
                with contextlib.suppress(queue.Empty):
                    line.send(self.frames.get(timeout=0.02))
                with contextlib.suppress(TimeoutError):
                    self.receipts.put(line.recv(timeout=0.02))
        except ConnectionClosed:
            return


class SlackServer(LineServer):
    """`chat.postMessage`, `chat.update`, `chat.postEphemeral`, `users.info`:
    docs.slack.dev/reference/methods; and what Slack posts when people press, mention or write.
    """

    name = "slack"
    token = "xoxb-fake-token"
    app_token = "xapp-fake-token"
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
        if asked.path == "/upload":  # at another host of theirs, without a token
            self.pictures.append(asked.body)
            return HttpReply(200, b"OK - 1")
        opens = asked.path == "/apps.connections.open"
        token = self.app_token if opens else self.token
        if asked.headers.get("authorization") != f"Bearer {token}":
            return HttpReply(200, {"ok": False, "error": "invalid_auth"})
        if self.answers:
            error = self.answers.popleft()
            if error == "ratelimited":
                return HttpReply(429, {"ok": False, "error": error}, {"Retry-After": "30"})
            return HttpReply(200, {"ok": False, "error": error})
        if opens:
            url = f"{self.line_url}?{urlencode({'ticket': self.ticket})}"
            return HttpReply(200, {"ok": True, "url": url})
        if asked.path.startswith("/files."):
            return self._file(asked)
        if asked.path == "/users.info":
            user = self.users.get(asked.one("user")) if asked.is_form else None
            found = {"ok": True, "user": user} if user else {"ok": False, "error": "user_not_found"}
            return HttpReply(200, found)
        return self._written(asked.path, json.loads(asked.body))

    def _file(self, asked: ReceivedRequest) -> HttpReply:
        """`files.getUploadURLExternal` and `files.completeUploadExternal`."""
        if asked.path == "/files.getUploadURLExternal" and asked.one("length").isdigit():
            where = {"upload_url": f"{self.url}/upload", "file_id": "F1"}
            return HttpReply(200, {"ok": True, **where})
        there = asked.one("channel_id") == "C0SRE" and asked.one("thread_ts") in self.messages
        if not there or json.loads(asked.one("files"))[0]["id"] != "F1":
            return HttpReply(200, {"ok": False, "error": "invalid_arguments"})
        self.threads.setdefault(asked.one("thread_ts"), []).append("series.png")
        return HttpReply(200, {"ok": True, "files": [{"id": "F1"}]})

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
            thread = self.threads.setdefault(told["thread_ts"], [])
            thread.append(told["text"])
            stamp = f"{told['thread_ts']}/{len(thread) - 1}"
            return HttpReply(200, {"ok": True, "channel": told["channel"], "ts": stamp})
        return HttpReply(200, {"ok": True, "channel": "C0SRE", "ts": self.post(told)})

    def _update(self, told: dict[str, Any]) -> HttpReply:
        # A name that `chat.postMessage` takes is no channel to `chat.update`.
        if told.get("channel") != "C0SRE":
            return HttpReply(200, {"ok": False, "error": "channel_not_found"})
        thread, _, number = str(told.get("ts")).partition("/")
        if number and thread in self.threads:
            self.threads[thread][int(number)] = told["text"]
            return HttpReply(200, {"ok": True, "channel": "C0SRE", "ts": told["ts"]})
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

    def enveloped(self, kind: str, key: str, posted: tuple[dict[str, str], bytes]) -> str:
        """What was to be posted, as a frame of Socket Mode."""
        body = posted[1]
        if body.startswith(b"payload="):
            body = parse_qs(body.decode())["payload"][0].encode()
        about = {"type": kind, "envelope_id": key, "accepts_response_payload": False}
        return json.dumps({**about, "payload": json.loads(body)})

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


class GrafanaServer(ChatServer):
    """Annotations of an organization: grafana.com/docs/grafana/v12.4/developer-resources/
    api-reference/http-api/annotations. A region is kept whole, as it stood after each change.
    """

    name = "grafana"
    token = "glsa_fake-token"

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 with a number; 401 for another token, 404 for what is not there."""
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return HttpReply(401, {"message": "Invalid API key", "messageId": "api-key.invalid"})
        if self.answers:
            return HttpReply(self.answers.popleft(), {"message": "refused"})
        _, api, kind, *number = asked.path.split("/")
        if (api, kind) != ("api", "annotations"):
            return HttpReply(404, {"message": "Not found"})
        if asked.method == "GET":
            return HttpReply(200, self._listed(asked))
        told = json.loads(asked.body)
        if not told.get("text") or len(json.dumps(told.get("tags", []))) > 500:
            return HttpReply(400, {"message": "Failed to save annotation"})
        if asked.method == "POST" and not number:
            name = self.post(told)
            return HttpReply(200, {"message": "Annotation added", "id": _numbered(name)})
        shown = self.messages.get(f"message-{''.join(number)}")
        if asked.method != "PATCH" or shown is None:
            return HttpReply(404, {"message": "Could not find annotation to update"})
        given = {name: value for name, value in told.items() if value}  # an end stays
        shown.append({**shown[-1], **given})
        return HttpReply(200, {"message": "Annotation patched"})

    def _listed(self, asked: ReceivedRequest) -> list[dict[str, Any]]:
        """The newest that have all of the tags."""
        wanted, most = set(asked.query.get("tags", [])), int(asked.one("limit") or 100)
        found = [
            {"id": _numbered(name), **shown[-1]}
            for name, shown in self.messages.items()
            if wanted <= set(shown[-1]["tags"])
        ]
        return sorted(found, key=lambda one: -int(one["time"]))[:most]


def _numbered(message: str) -> int:
    return int(message.removeprefix("message-"))


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
