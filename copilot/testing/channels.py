"""Channels on the loopback that take messages as their documents say, and refuse what they do not.

The real ones cannot be reached from where this is tested; each server names the page it was written
from.
"""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
