"""Feishu (Lark): buttons that people press on cards, and what they ask the robot.

Source: open.feishu.cn/document, event-subscription-guide/callback-subscription (signature, AES) and
card-callback-communication (`card.action.trigger`), im-v1/message/events/receive, message/reply,
message/update.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
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
    LineMessage,
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
    """Requests to one app, signed and encrypted by its `sealing` (key and token), or what comes
    over its `line`; the app answers them.
    """

    kind = "feishu"
    edits = True
    empty: JsonValue = {}

    def __init__(
        self,
        api: FeishuApi,
        sealing: tuple[SecretStr, SecretStr] | None,
        language: Language,
        people: Mapping[str, str],
        clock: Callable[[], Timestamp],
        line: ChannelLine | None = None,
    ) -> None:
        self.language: Language = language
        self.people = people
        self.line = line
        self._api, self._sealing, self._clock = api, sealing, clock

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """A button, a message to the robot, or the question whether the address is ours."""
        if self._sealing is None:
            raise ForgedError("this target is answered over its long connection only")
        key, token = (one.get_secret_value() for one in self._sealing)
        signed = self._is_signed(headers, body, key)
        told = _opened(body, key)
        asks = told.type == "url_verification"
        given = told.token if asks else told.header.token
        right = hmac.compare_digest(given.encode(), token.encode())
        # Whether the address is ours is asked without a signature, and encrypted all the same.
        if not right or not (signed or asks):
            raise ForgedError(_NOT_SIGNED)
        if asks:
            return Handshake(answer={"challenge": told.challenge})
        return _arrival(told)

    def _is_signed(self, headers: Mapping[str, str], body: bytes, key: str) -> bool:
        stamp, nonce, given = (
            headers.get(f"x-lark-{one}", "")
            for one in ("request-timestamp", "request-nonce", "signature")
        )
        seal = hashlib.sha256(f"{stamp}{nonce}{key}".encode() + body).hexdigest()
        right = hmac.compare_digest(seal.encode(), given.encode())
        return right and fresh(stamp, self._clock())

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


def _opened(body: bytes, key: str) -> _Told:
    """What is in it; whatever is wrong with it is said in one way."""
    try:
        sealed = base64.b64decode(_Sealed.model_validate_json(body).encrypt, validate=True)
        hashed = hashlib.sha256(key.encode()).digest()
        cipher = Cipher(algorithms.AES(hashed), modes.CBC(sealed[:_BLOCK])).decryptor()
        unpad = PKCS7(8 * _BLOCK).unpadder()
        plain = unpad.update(cipher.update(sealed[_BLOCK:]) + cipher.finalize())
        return _Told.model_validate_json(plain + unpad.finalize())
    except (ValidationError, ValueError):
        raise ForgedError(_NOT_SIGNED) from None


def _arrival(told: _Told) -> Arrival:
    if told.header.event_type == "card.action.trigger":
        return _pressed(told)
    return _said(told) if told.header.event_type == "im.message.receive_v1" else None


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


def _frames() -> Any:
    """The class of a frame, `pbbp2.Frame`. Source: larksuite/oapi-sdk-python, lark_oapi/ws/pb; the
    documents name no other. What it requires is not required here: a frame is told by its method.
    """
    kinds = FieldDescriptorProto
    file = FileDescriptorProto(name="pbbp2.proto", package="pbbp2", syntax="proto2")
    header = file.message_type.add(name="Header")
    frame = file.message_type.add(name="Frame")
    one, many = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    for number, name in enumerate(("key", "value"), 1):
        header.field.add(name=name, number=number, type=kinds.TYPE_STRING, label=one)
    for number, name in enumerate(("SeqID", "LogID", "service", "method"), 1):
        kind = kinds.TYPE_UINT64 if number < 3 else kinds.TYPE_INT32
        frame.field.add(name=name, number=number, type=kind, label=one)
    inner, of = kinds.TYPE_MESSAGE, ".pbbp2.Header"
    frame.field.add(name="headers", number=5, type=inner, label=many, type_name=of)
    more = {"payload_encoding": 6, "payload_type": 7, "payload": 8, "LogIDNew": 9}
    for name, number in more.items():
        kind = kinds.TYPE_BYTES if name == "payload" else kinds.TYPE_STRING
        frame.field.add(name=name, number=number, type=kind, label=one)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("pbbp2.Frame"))


_FRAME = _frames()
_CONTROL, _DATA = 0, 1
_BEAT_S = 120.0
_MOST_PIECES, _MOST_UNFINISHED = 16, 8
_NOT_A_FRAME = "a frame is not of the long connection's form"


class FeishuLine:
    """The long connection: what would be posted comes, in the clear, over a connection that the
    app's secret opens. Source: larksuite/oapi-sdk-python, lark_oapi/ws/client.py of 1.7.5.
    """

    def __init__(self, api: FeishuApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = api, clock
        self._service, self._every_s, self._next = 0, _BEAT_S, 0.0
        self._pieces: dict[str, dict[int, bytes]] = {}

    def address(self) -> str:
        """An address that Feishu gives for one connection."""
        told = self._api.opening()
        url = self._api.declared(str(told.get("URL", "")))
        self._service = _count(parse_qs(urlsplit(url).query).get("service_id", ["0"])[0])
        kept = told.get("ClientConfig")
        every = kept.get("PingInterval") if isinstance(kept, dict) else None
        self._every_s = max(1.0, float(every)) if isinstance(every, int) else _BEAT_S
        self._next = 0.0
        self._pieces.clear()
        return url

    def beat(self) -> bytes | None:
        """A ping, at once and then as often as Feishu asks for."""
        if self._clock() < self._next:
            return None
        self._next = self._clock() + self._every_s
        ping = _FRAME(SeqID=0, LogID=0, service=self._service, method=_CONTROL)
        ping.headers.add(key="type", value="ping")
        return bytes(ping.SerializeToString())

    def heard(self, frame: str | bytes) -> LineMessage:
        """Each event is acknowledged, and a press answered, by its own frame sent back."""
        try:
            told = _FRAME.FromString(frame)
            about = {one.key: one.value for one in told.headers}
            if told.method != _DATA or about.get("type") != "event":
                return LineMessage()
            whole = self._whole(about, told.payload)
            if whole is None:
                return LineMessage()
            arrival = _arrival(_Told.model_validate_json(whole))
        except (DecodeError, TypeError, ValueError):
            raise ForgedError(_NOT_A_FRAME) from None
        return LineMessage(arrival, partial(_acknowledged, told))

    def _whole(self, about: Mapping[str, str], payload: bytes) -> bytes | None:
        """The event; None while pieces of it are missing."""
        pieces = _count(about.get("sum", ""))
        if pieces <= 1:
            return payload
        if pieces > _MOST_PIECES:
            raise ForgedError(f"an event comes in {pieces} pieces; {_MOST_PIECES} are taken")
        name = about.get("message_id", "")
        held = self._pieces.setdefault(name, {})
        held[_count(about.get("seq", "")) % pieces] = payload
        if len(held) == pieces:
            del self._pieces[name]
            return b"".join(held[number] for number in range(pieces))
        if len(self._pieces) > _MOST_UNFINISHED:
            del self._pieces[next(iter(self._pieces))]
        return None


def _count(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def _acknowledged(told: Any, answer: JsonValue) -> bytes:
    response: Card = {"code": 200}
    if isinstance(answer, dict) and answer:
        response["data"] = base64.b64encode(canonical(answer).encode()).decode()
    echo = _FRAME()
    echo.CopyFrom(told)
    echo.payload = canonical(response).encode()
    return bytes(echo.SerializeToString())
