"""Feishu (Lark): buttons that people press on cards, and what they ask the robot.

Source: open.feishu.cn/document, event-subscription-guide/callback-subscription (signature, AES) and
card-callback-communication (`card.action.trigger`), im-v1/message/events/receive, message/reply,
message/update.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import Field, JsonValue, SecretStr, ValidationError

from copilot.alerts.formats.fields import Payload
from copilot.store.canonical import canonical
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
)
from copilot.surfaces.notify.feishu import FeishuApi
from copilot.surfaces.notify.robots import Card
from prompts import Language
from tools.types import Timestamp

_NOT_SIGNED = "the request is not signed and encrypted with the encrypt_key of this target"
_BLOCK = 16


class _Sealed(Payload):
    encrypt: str


class _Header(Payload):
    event_id: str = ""
    event_type: str = ""
    token: str = ""
    tenant_key: str = ""


class _Ids(Payload):
    open_id: str = ""
    tenant_key: str = ""


class _Sender(Payload):
    sender_id: _Ids = _Ids()
    sender_type: str = ""
    tenant_key: str = ""


class _Mention(Payload):
    key: str = ""


class _Message(Payload):
    message_id: str = ""
    root_id: str = ""
    chat_id: str = ""
    message_type: str = ""
    content: str = ""
    mentions: tuple[_Mention, ...] = ()


class _Text(Payload):
    text: str = ""


class _Action(Payload):
    value: JsonValue = None


class _Event(Payload):
    operator: _Ids = _Ids()
    action: _Action = _Action()
    sender: _Sender = _Sender()
    message: _Message = _Message()


class _Told(Payload):
    type: str = ""
    token: str = ""
    challenge: str = Field(default="", max_length=200)
    header: _Header = _Header()
    event: _Event = _Event()


class FeishuDoor:
    """Requests to one app, signed and encrypted with its key; the app answers them."""

    kind = "feishu"
    edits = True
    empty: JsonValue = {}
    line: ChannelLine | None = None

    def __init__(
        self,
        api: FeishuApi,
        encrypt_key: SecretStr,
        token: SecretStr,
        language: Language,
        people: Mapping[str, str],
        clock: Callable[[], Timestamp],
    ) -> None:
        self.language: Language = language
        self.people = people
        self._api, self._encrypt_key, self._token = api, encrypt_key, token
        self._clock = clock

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """A button, a message to the robot, or the question whether the address is ours."""
        signed = self._is_signed(headers, body)
        told = self._opened(body)
        asks = told.type == "url_verification"
        given = told.token if asks else told.header.token
        right = hmac.compare_digest(given.encode(), self._token.get_secret_value().encode())
        # Whether the address is ours is asked without a signature, and encrypted all the same.
        if not right or not (signed or asks):
            raise ForgedError(_NOT_SIGNED)
        if asks:
            return Handshake(answer={"challenge": told.challenge})
        if told.header.event_type == "card.action.trigger":
            return _pressed(told)
        return _said(told) if told.header.event_type == "im.message.receive_v1" else None

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        stamp, nonce, given = (
            headers.get(f"x-lark-{one}", "")
            for one in ("request-timestamp", "request-nonce", "signature")
        )
        key = self._encrypt_key.get_secret_value()
        seal = hashlib.sha256(f"{stamp}{nonce}{key}".encode() + body).hexdigest()
        right = hmac.compare_digest(seal.encode(), given.encode())
        return right and fresh(stamp, self._clock())

    def _opened(self, body: bytes) -> _Told:
        """What is in it; whatever is wrong with it is said in one way."""
        key = hashlib.sha256(self._encrypt_key.get_secret_value().encode()).digest()
        try:
            sealed = base64.b64decode(_Sealed.model_validate_json(body).encrypt, validate=True)
            cipher = Cipher(algorithms.AES(key), modes.CBC(sealed[:_BLOCK])).decryptor()
            unpad = PKCS7(8 * _BLOCK).unpadder()
            plain = unpad.update(cipher.update(sealed[_BLOCK:]) + cipher.finalize())
            return _Told.model_validate_json(plain + unpad.finalize())
        except (ValidationError, ValueError):
            raise ForgedError(_NOT_SIGNED) from None

    def email(self, user: str) -> str:
        """Not asked: people of Feishu are declared."""
        return ""

    def toast(self, text: str, *, done: bool) -> JsonValue:
        """What who pressed sees for a moment."""
        return {"toast": {"type": "success" if done else "error", "content": text}}

    def whisper(self, press: ButtonPress, text: str) -> None:
        """The toast has said it."""

    def reply(self, asked: ChannelQuestion, text: str, before: str = "") -> str:
        """As an answer to the message, in which no tag of Feishu's (`<at …>`) calls anybody."""
        said = shortened(text, self.language).replace("**", "").replace("<", "‹")
        content = canonical({"text": said})
        message: Card = {"msg_type": "text", "content": content}
        if before:
            self._api.call("PUT", f"/im/v1/messages/{before}", message)
            return before
        message["uuid"] = keyed(asked.key, text)
        told = self._api.call("POST", f"/im/v1/messages/{asked.thread}/reply", message).get("data")
        return str(told.get("message_id", "")) if isinstance(told, dict) else ""


def _user(open_id: str, tenant: str, home: str) -> ChannelUser:
    return ChannelUser(id=open_id, stranger="" if tenant in ("", home) else "of another tenant")


def _pressed(told: _Told) -> ButtonPress | None:
    value, by = value_of(told.event.action.value), told.event.operator
    if value is None or not by.open_id:
        return None
    user = _user(by.open_id, by.tenant_key, told.header.tenant_key)
    return ButtonPress(user=user, value=value, key=told.header.event_id[:200])


def _said(told: _Told) -> ChannelQuestion | None:
    """A text that a person wrote to the robot; in a group it is told those that mention it."""
    sender, message = told.event.sender, told.event.message
    if sender.sender_type != "user" or message.message_type != "text":
        return None
    try:
        text = _Text.model_validate_json(message.content).text
    except ValidationError:
        return None
    for one in message.mentions:
        text = text.replace(one.key, " ") if one.key else text
    about = message.root_id or message.message_id
    return ChannelQuestion(
        user=_user(sender.sender_id.open_id, sender.tenant_key, told.header.tenant_key),
        text=text.strip(),
        key=told.header.event_id,
        channel=message.chat_id,
        place=f"{message.chat_id}-{about}",
        thread=message.message_id,
        reference=about,
    )
