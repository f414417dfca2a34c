"""A signed webhook, in the form of the Standard Webhooks specification.

`webhook-id` is the same for every try, so a receiver that keeps the ids it took takes each once.
`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; a receiver
refuses a timestamp that is more than a few minutes old, so that nothing can be replayed.
Source: https://github.com/standard-webhooks/standard-webhooks `spec/standard-webhooks.md`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from pydantic import SecretStr

from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.types.notice import Notice
from copilot.types.secret_place import ChannelSecretError
from copilot.types.time_format import iso
from tools.types import Timestamp

SHORTEST_SECRET = 24
"""Bytes of a secret. Source: the specification asks for 24 to 64."""

_PREFIX = "whsec_"


class WebhookSender:
    """Posts every change of an incident as JSON, signed."""

    def __init__(
        self, http: ChannelHttp, url: SecretStr, secret: SecretStr, wall: Callable[[], Timestamp]
    ) -> None:
        self._http = http
        self._url = url
        self._key = _key(secret.get_secret_value())
        self._wall = wall

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Post it; there is nothing to edit."""
        told = notice.model_dump(mode="json")
        kind = f"incident.{notice.moment}"
        body = canonical({"type": kind, "timestamp": iso(notice.at), "data": told}).encode()
        headers = {"idempotency-key": key, **signed(self._key, key, int(self._wall()), body)}
        self._http.post(self._url.get_secret_value(), body, headers)
        return ""


def signed(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers by which a receiver knows who sent it, when, and that nobody changed it."""
    content = f"{message_id}.{timestamp}.".encode() + body
    seal = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{seal}",
    }


def _key(secret: str) -> bytes:
    """The key in a secret: base64 behind `whsec_`, else the text itself."""
    if not secret.startswith(_PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ChannelSecretError("the secret begins with whsec_ and is no base64") from None
    if len(key) < SHORTEST_SECRET:
        raise ChannelSecretError(
            f"the secret of a webhook has {len(key)} bytes; it needs {SHORTEST_SECRET}: "
            "openssl rand -base64 32"
        )
    return key
