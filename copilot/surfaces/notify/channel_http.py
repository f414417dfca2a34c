"""One POST of JSON to a declared host: bounded, without redirects, its refusals told apart."""

import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Literal
from urllib.parse import urlsplit

import httpx
from pydantic import JsonValue

from copilot.ports import NoticeError, NoticeFault
from tools.types import Timestamp

Method = Literal["GET", "PATCH", "POST", "PUT"]

TIMEOUT_S = 10.0
RENEW_S = 300.0
"""A token is renewed when it has no longer than this to live."""

MOST_BYTES = 65_536
"""Of an answer; what a channel says of one message is a few hundred bytes."""

_TARGET = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 410})
"""Statuses that say: nothing will get through here."""

_AGAIN = frozenset({408, 425, 429})


NO_HEADERS: Mapping[str, str] = {}


class ChannelHttp:
    """Posts to the declared hosts and to no other; what it says of a failure holds no secret."""

    def __init__(
        self, hosts: Collection[str], transport: httpx.BaseTransport | None = None
    ) -> None:
        self._hosts = frozenset(one.lower() for one in hosts)
        self._transport = transport

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: Method = "POST",
        coded: bool = False,
    ) -> JsonValue:
        """The JSON of the answer, None where it is none; raises `NoticeError`.

        `coded`: a refusal that says `code` in its body is an answer, and the caller's to read.
        """
        host = _host(url, self._hosts)
        sent = {"content-type": "application/json; charset=utf-8", **headers}
        deadline = time.monotonic() + TIMEOUT_S
        try:
            with (
                self._client() as client,
                client.stream(method, url, content=body, headers=sent) as answer,
            ):
                kept = bytearray()
                for chunk in answer.iter_bytes():
                    kept += chunk[: MOST_BYTES - len(kept)]
                    if len(kept) >= MOST_BYTES or time.monotonic() > deadline:
                        break
        except httpx.HTTPError as error:
            # Its text may hold the address, and the address the secret.
            raise NoticeError("again", f"{host}: {type(error).__name__}") from None
        found = _json(bytes(kept))
        if coded and isinstance(found, dict) and "code" in found:
            return found
        if not answer.is_success:
            raise NoticeError(
                _fault(answer.status_code),
                f"{host} answered {answer.status_code}: {said(bytes(kept))}".rstrip(": "),
                retry_after(answer.headers.get("retry-after", "")),
            )
        return found

    def upload(
        self, url: str, fields: Mapping[str, str], name: str, picture: bytes,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> JsonValue:  # fmt: skip
        """Post a PNG as a file of a form; the JSON of the answer."""
        mark = secrets.token_hex(16)
        lines = [
            f'--{mark}\r\ncontent-disposition: form-data; name="{one}"\r\n\r\n{value}\r\n'
            for one, value in fields.items()
        ]
        lines.append(
            f'--{mark}\r\ncontent-disposition: form-data; name="{name}"; filename="series.png"'
            "\r\ncontent-type: image/png\r\n\r\n"
        )
        body = "".join(lines).encode() + picture + f"\r\n--{mark}--\r\n".encode()
        form = {"content-type": f"multipart/form-data; boundary={mark}"}
        return self.post(url, body, {**form, **headers}, coded=True)

    def declared(self, url: str) -> str:
        """The address of a line, where its host is a declared one; raises `NoticeError`."""
        _host(url, self._hosts)
        return url

    def _client(self) -> httpx.Client:
        # A connection for each message: a channel is told a few an hour.
        return httpx.Client(
            transport=self._transport,
            verify=trusted(),
            trust_env=False,
            follow_redirects=False,
            timeout=TIMEOUT_S,
        )


@cache
def trusted() -> ssl.SSLContext:
    """Whom to believe, read once: it takes a third of a second."""
    return httpx.create_ssl_context(trust_env=False)


class RenewedToken:
    """A token that a platform gives for a while; asked for anew before it ends."""

    def __init__(self, ask: Callable[[], tuple[str, float]], wall: Callable[[], Timestamp]) -> None:
        self._ask, self._wall = ask, wall
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def value(self) -> str:
        """The token, with its seconds to live asked for; raises `NoticeError`."""
        with self._lock:
            if self._wall() > self._until - RENEW_S:
                self._token, lasts_s = self._ask()
                self._until = self._wall() + lasts_s
            return self._token

    def forget(self) -> None:
        """The platform does not know it any more."""
        self._token, self._until = "", 0.0


def _host(url: str, hosts: Collection[str]) -> str:
    """The host of an address; raises `NoticeError` where it is not a declared one."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https", "ws", "wss") or not host:
        raise NoticeError("target", "the address is none; it reads like https://HOST/…")
    if host not in hosts:
        raise NoticeError(
            "target", f"host {host!r} is not declared; add it to hosts of the notify_file"
        )
    return host


def retry_after(given: str) -> float:
    """Seconds of a `Retry-After` that counts them; 0 for a date or none."""
    return float(given[:6]) if given.isascii() and given.isdigit() else 0.0


def said(body: bytes) -> str:
    """The beginning of what an answer says."""
    return body[:200].decode("utf-8", "replace")


def _fault(status: int) -> NoticeFault:
    if status in _TARGET:
        return "target"
    return "again" if status >= 500 or status in _AGAIN else "message"


def _json(body: bytes) -> JsonValue:
    try:
        found: JsonValue = json.loads(body)
    except ValueError:
        return None
    return found
