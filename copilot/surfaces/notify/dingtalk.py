"""DingTalk: an app's interactive card for each incident, brought up to date, and stream mode.

The platform opens no connection to us: over the line that we open, it says which button of a card
was pressed, and what people write to the robot.

Source: open.dingtalk.com/document: create-and-deliver-cards, interactive-card-update-interface,
event-callback-card, robot-message-type, stream protocol; open-dingtalk/dingtalk-stream-sdk-python.
"""

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

from pydantic import JsonValue, SecretStr, ValidationError

from copilot.alerts.formats.fields import CamelPayload
from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp, Method, RenewedToken
from copilot.surfaces.notify.channels import DingTalkAppChannel
from copilot.surfaces.notify.doors import (
    Arrival,
    ButtonPress,
    ChannelLine,
    ChannelQuestion,
    ChannelUser,
    ForgedError,
    LineMessage,
    choices,
    keyed,
    shortened,
    value_of,
    written,
)
from copilot.surfaces.notify.pictures import unshown
from copilot.surfaces.notify.robots import CHOICES, READ_ON, Card
from copilot.types.notice import Notice
from prompts import Language
from tools.types import Timestamp

PRESSES, MESSAGES = "/v1.0/card/instances/callback", "/v1.0/im/bot/messages/get"
"""Topics of what comes over the line."""

_INSTANCES = "/v1.0/card/instances"
_EXPIRED = frozenset({"InvalidAuthentication"})
_TARGET = ("invalidClientId", "invalidClientSecret", "Forbidden.", "InvalidAuthentication")
_AGAIN = ("Throttling", "Forbidden.AccessDenied.QpsLimit", "ServiceUnavailable", "unknownError")


class DingTalkApi:
    """Calls methods with the token of an app."""

    def __init__(
        self, http: ChannelHttp, app: DingTalkAppChannel, secret: SecretStr,
        wall: Callable[[], Timestamp],
    ) -> None:  # fmt: skip
        self.http, self.app = http, app
        self._secret = secret
        self._token = RenewedToken(self._asked, wall)

    def call(self, method: Method, path: str, message: Card) -> Mapping[str, JsonValue]:
        """The answer; raises `NoticeError`."""
        told = self._once(method, path, message, self._known())
        if told.get("code") in _EXPIRED:
            self._token.forget()
            told = self._once(method, path, message, self._known())
        return _taken(told)

    def uploaded(self, picture: bytes) -> str:
        """What a picture is called; only the older address takes files."""
        query = urlencode({"access_token": self._token.value(), "type": "image"})
        url = f"{self.app.files}/media/upload?{query}"
        told = self.http.upload(url, {}, "media", picture)
        if not isinstance(told, dict) or told.get("errcode", 0) != 0:
            raise NoticeError("again", f"it answered {told}"[:200])
        return str(told.get("media_id", ""))

    def connection(self) -> Mapping[str, JsonValue]:
        """Where a line is opened, and the ticket that opens it once."""
        topics: list[JsonValue] = [
            {"type": "CALLBACK", "topic": one} for one in (PRESSES, MESSAGES)
        ]
        asked: Card = {**self._client("client"), "subscriptions": topics, "ua": "incident-copilot"}
        return _taken(self._once("POST", "/v1.0/gateway/connections/open", asked, {}))

    def _client(self, name: str) -> dict[str, JsonValue]:
        secret = self._secret.get_secret_value()
        return {f"{name}{'Id' if name == 'client' else 'Key'}": self.app.client_id,
                f"{name}Secret": secret}  # fmt: skip

    def _known(self) -> dict[str, str]:
        return {"x-acs-dingtalk-access-token": self._token.value()}

    def _asked(self) -> tuple[str, float]:
        told = _taken(self._once("POST", "/v1.0/oauth2/accessToken", self._client("app"), {}))
        lasts = told.get("expireIn")
        return str(told.get("accessToken", "")), lasts if isinstance(lasts, int) else 0

    def _once(
        self, method: Method, path: str, message: Card, headers: Mapping[str, str]
    ) -> Mapping[str, JsonValue]:
        url, body = f"{self.app.api}{path}", canonical(message).encode()
        told = self.http.post(url, body, headers, method=method, coded=True)
        if not isinstance(told, dict):
            raise NoticeError("again", "the answer is no JSON")
        return told


def _taken(told: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    code = str(told.get("code", ""))
    if not code:
        return told
    fault: NoticeFault = "message"
    if code.startswith(_AGAIN):
        fault = "again"
    elif code.startswith(_TARGET):
        fault = "target"
    raise NoticeError(fault, f"it answered {code}: {str(told.get('message', ''))[:200]}")


class DingTalkSender:
    """Delivers one card for each incident to a group, as the app's robot."""

    def __init__(self, api: DingTalkApi) -> None:
        self._api, self._app = api, api.app

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Deliver the card, or bring the one that is there up to date."""
        values = card(notice, self._app.language)
        if notice.picture:
            with unshown("dingtalk"):
                values["picture"] = self._api.uploaded(notice.picture)
        shown: Card = {"cardParamMap": values}
        name = keyed(key)
        if before:
            try:
                self._update(before, shown)
            except NoticeError as error:
                if error.fault == "again":
                    raise
            else:
                return before
        space: Card = {
            "supportForward": False,
            "lastMessageI18n": {"ZH_CN": notice.heads["zh"], "EN_US": notice.heads["en"]},
        }
        try:
            told = self._api.call(
                "POST",
                f"{_INSTANCES}/createAndDeliver",
                {
                    "cardTemplateId": self._app.template,
                    "outTrackId": name,
                    "callbackType": "STREAM",
                    "userIdType": 1,
                    "cardData": shown,
                    "openSpaceId": f"dtv1.card//IM_GROUP.{self._app.conversation}",
                    "imGroupOpenSpaceModel": space,
                    "imGroupOpenDeliverModel": {"robotCode": self._app.client_id},
                },
            )
        except NoticeError as error:
            if error.fault != "message":
                raise
            # One that was delivered, and whose answer was lost, can be updated; another cannot.
            self._update(name, shown, error)
            return name
        _delivered(told)
        return name

    def _update(self, name: str, shown: Card, instead: NoticeError | None = None) -> None:
        try:
            self._api.call("PUT", _INSTANCES, {"outTrackId": name, "cardData": shown})
        except NoticeError as error:
            raise instead or error from None


def _delivered(told: Mapping[str, JsonValue]) -> None:
    """A card can be made and not be delivered, each with its own reason."""
    result = told.get("result")
    spaces = result.get("deliverResults") if isinstance(result, dict) else None
    for space in spaces if isinstance(spaces, list) else ():
        if isinstance(space, dict) and space.get("success") is not True:
            raise NoticeError("target", f"it is not delivered: {str(space.get('errorMsg'))[:200]}")


def card(notice: Notice, language: Language) -> Card:
    """What the variables of the card's template are; each button has its value, or an empty one
    with which it is not shown.
    """
    found: dict[str, str] = {one.choice: written(one) for one in choices(notice)}
    values = {name: found.get(name, "") for name in CHOICES}
    labels = {f"{name}_label": label[language] for name, label in CHOICES.items()}
    return {
        "title": notice.heads[language],
        "text": "\n\n".join(notice.lines[language]),
        "picture": "",
        "link": notice.links.get(language, ""),
        "link_label": READ_ON[language],
        **values,
        **labels,
    }


class _Private(CamelPayload):
    action_ids: tuple[str, ...] = ()
    params: dict[str, JsonValue] = {}


class _Content(CamelPayload):
    card_private_data: _Private = _Private()


class _CardPress(CamelPayload):
    type: str = ""
    corp_id: str = ""
    user_id: str = ""
    out_track_id: str = ""
    content: str = ""


class _Text(CamelPayload):
    content: str = ""


class _Written(CamelPayload):
    conversation_id: str = ""
    msg_id: str = ""
    msgtype: str = ""
    sender_staff_id: str = ""
    sender_corp_id: str = ""
    session_webhook: str = ""
    text: _Text = _Text()


class _Headers(CamelPayload):
    message_id: str = ""
    topic: str = ""


class _Frame(CamelPayload):
    type: str = ""
    headers: _Headers = _Headers()
    data: str = ""


class DingTalkDoor:
    """What comes over an app's line; the app answers it."""

    kind = "dingtalk_app"
    edits = False
    empty: JsonValue = {}

    def __init__(self, api: DingTalkApi) -> None:
        self._api, self._app = api, api.app
        self.language: Language = api.app.language
        self.people: Mapping[str, str] = api.app.people
        self.line: ChannelLine | None = self

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """Nothing is posted here: a robot's HTTP callback signs the time, and no body."""
        raise ForgedError("this target is answered over stream mode only")

    def address(self) -> str:
        """An endpoint with a ticket of its own."""
        told = self._api.connection()
        ticket = quote_plus(str(told.get("ticket", "")))
        return self._api.http.declared(f"{told.get('endpoint')}?ticket={ticket}")

    def heard(self, frame: str | bytes) -> LineMessage:
        """Each message is acknowledged; a ping is sent back as it came."""
        try:
            told = _Frame.model_validate_json(frame)
            about = told.headers
            if told.type == "SYSTEM":
                echo = told.data
                return LineMessage(
                    None, lambda _: _acknowledged(about, echo), last=about.topic == "disconnect"
                )
            arrival = self._read(about, told.data)
        except ValidationError:
            raise ForgedError("a frame is not of stream mode's form") from None
        return LineMessage(
            arrival, lambda answer: _acknowledged(about, canonical({"response": answer}))
        )

    def _read(self, about: _Headers, data: str) -> Arrival:
        if about.topic == PRESSES:
            return self._pressed(_CardPress.model_validate_json(data), about.message_id)
        if about.topic == MESSAGES:
            return self._said(_Written.model_validate_json(data))
        return None

    def _pressed(self, press: _CardPress, key: str) -> ButtonPress | None:
        params = _Content.model_validate_json(press.content).card_private_data.params
        value = value_of(params.get("value"))
        if value is None or not press.user_id:
            return None
        user = self._user(press.user_id, press.corp_id)
        return ButtonPress(user=user, value=value, key=key[:200])

    def _said(self, told: _Written) -> ChannelQuestion | None:
        if told.msgtype != "text" or not told.sender_staff_id:
            # Who is not of the company has no id of its staff.
            return None
        return ChannelQuestion(
            user=self._user(told.sender_staff_id, told.sender_corp_id),
            text=told.text.content.strip(),
            key=told.msg_id,
            channel=told.conversation_id,
            place=told.conversation_id,
            thread=told.session_webhook,
        )

    def _user(self, user: str, corp: str) -> ChannelUser:
        stranger = "" if corp == self._app.corp_id else "of another company"
        return ChannelUser(id=user[:200], stranger=stranger)

    def beat(self) -> None:
        """The websocket's own pings are enough."""

    def email(self, user: str) -> str:
        """Not asked: people of DingTalk are declared."""
        return ""

    def toast(self, text: str, *, done: bool) -> JsonValue:
        """None is shown."""
        return self.empty

    def whisper(self, press: ButtonPress, text: str) -> None:
        """In the robot's own conversation with who pressed."""
        message: Card = {
            "robotCode": self._app.client_id,
            "userIds": [press.user.id],
            "msgKey": "sampleText",
            "msgParam": canonical({"content": text}),
        }
        self._api.call("POST", "/v1.0/robot/oToMessages/batchSend", message)

    def reply(self, asked: ChannelQuestion, text: str, before: str = "") -> str:
        """Where it was asked, at the address that came with the question."""
        said: Card = {"title": text[:30], "text": shortened(text, self.language)}
        body = canonical({"msgtype": "markdown", "markdown": said}).encode()
        told = self._api.http.post(asked.thread, body, {})
        if isinstance(told, dict) and told.get("errcode", 0) != 0:
            raise NoticeError("message", f"it answered {told['errcode']}: {told.get('errmsg', '')}")
        return ""


def _acknowledged(about: _Headers, data: str) -> str:
    headers: Card = {"contentType": "application/json", "messageId": about.message_id}
    return json.dumps({"code": 200, "headers": headers, "message": "OK", "data": data})
