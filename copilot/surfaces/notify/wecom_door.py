"""WeCom: buttons that people press on an app's cards, and what they write to it.

Source: developer.work.weixin.qq.com/document/path: 90930 and 90968 (callback, its signature and
AES), 90376 (events).
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pydantic import JsonValue, SecretStr

from copilot.surfaces.notify.doors import (
    Arrival,
    ButtonPress,
    ChannelLine,
    ChannelQuestion,
    ChannelUser,
    ForgedError,
    Handshake,
    fresh,
    keyed,
    shortened,
    value_of,
    written,
)
from copilot.surfaces.notify.wecom import TEXT_BYTES, WeComApi
from copilot.types.secret_place import ChannelSecretError
from prompts import Language
from tools.types import Timestamp

_BLOCK = 32
"""Bytes; the padding of a callback is to this, AES's own block is half of it."""

_SEALED = re.compile(
    rb"<Encrypt>\s*(?:<!\[CDATA\[)?([A-Za-z0-9+/=]{1,200000})(?:\]\]>)?\s*</Encrypt>"
)
_NOT_SIGNED = "the request is not signed and encrypted with the token and aes_key of this target"


class WeComDoor:
    """Requests to one app, signed with its token and encrypted with its key; the app answers."""

    kind = "wecom_app"
    edits = False
    empty: JsonValue = ""
    line: ChannelLine | None = None

    def __init__(
        self, api: WeComApi, token: SecretStr, aes_key: SecretStr, clock: Callable[[], Timestamp]
    ) -> None:
        self._api, self._token, self._clock = api, token, clock
        self.language: Language = api.app.language
        self.people: Mapping[str, str] = api.app.people
        try:
            self._key = base64.b64decode(f"{aes_key.get_secret_value()}=", validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) != 32:
            raise ChannelSecretError("aes_key is not the EncodingAESKey of 43 characters")

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """A button, a message to the app, or the question whether the address is ours."""
        asks = query.get("echostr", "")
        found = _SEALED.search(body)
        sealed = asks or (found[1].decode() if found else "")
        stamp, given = query.get("timestamp", ""), query.get("msg_signature", "")
        parts = (self._token.get_secret_value(), stamp, query.get("nonce", ""), sealed)
        seal = hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(seal.encode(), given.encode()):
            raise ForgedError(_NOT_SIGNED)
        if not fresh(stamp, self._clock()):
            raise ForgedError("the timestamp is not of the last 5 minutes")
        plain = self._opened(sealed)
        if asks:
            return Handshake(answer=plain.decode("utf-8", "replace"))
        try:
            told = {one.tag: one.text or "" for one in ElementTree.fromstring(plain)}
        except ElementTree.ParseError:
            raise ForgedError(_NOT_SIGNED) from None
        return _read(told)

    def _opened(self, sealed: str) -> bytes:
        """What is in it: 16 random bytes, the length, the text, and whom it is for."""
        try:
            data = base64.b64decode(sealed, validate=True)
            cipher = Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16])).decryptor()
            plain = cipher.update(data) + cipher.finalize()
            padded = plain[-1]
            if not 1 <= padded <= _BLOCK:
                raise ValueError("padding")
            (length,) = struct.unpack(">I", plain[16:20])
            text, receiver = plain[20 : 20 + length], plain[20 + length : -padded]
        except (ValueError, IndexError, struct.error):
            raise ForgedError(_NOT_SIGNED) from None
        if receiver.decode("utf-8", "replace") != self._api.app.corp_id:
            raise ForgedError("the request is for another company than corp_id")
        return text

    def email(self, user: str) -> str:
        """Not asked: people of WeCom are declared."""
        return ""

    def toast(self, text: str, *, done: bool) -> JsonValue:
        """None is shown."""
        return self.empty

    def whisper(self, press: ButtonPress, text: str) -> None:
        """As a message of the app's to who pressed."""
        self._write(press.user.id, text)

    def reply(self, asked: ChannelQuestion, text: str, before: str = "") -> str:
        """As a message of the app's to who asked: an app has no group."""
        self._write(asked.user.id, shortened(text, self.language))
        return ""

    def _write(self, user: str, text: str) -> None:
        said = text.replace("**", "").encode()[:TEXT_BYTES].decode(errors="ignore")
        self._api.call(
            "message/send", {"touser": user, "msgtype": "text", "text": {"content": said}}
        )


def _read(told: Mapping[str, str]) -> Arrival:
    by = ChannelUser(id=told.get("FromUserName", "")[:200])
    if not by.id:
        return None
    if told.get("Event") == "template_card_event":
        value = value_of(told.get("EventKey", ""))
        if value is None:
            return None
        # "Of events, those of one user and time are the same", path/90930.
        key = keyed(by.id, told.get("CreateTime", ""), told.get("TaskId", ""), written(value))
        code = told.get("ResponseCode", "")[:1000]
        return ButtonPress(user=by, value=value, key=key, reference=code)
    if told.get("MsgType") != "text":
        return None
    return ChannelQuestion(
        user=by,
        text=told.get("Content", "").strip(),
        key=f"wecom-{told.get('MsgId', '')}"[:200],
        channel=by.id,
        place=by.id,
        thread=by.id,
    )
