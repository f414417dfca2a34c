"""Feishu (Lark): one interactive card for each incident, brought up to date in place.

Source: open.feishu.cn/document/server-docs/im-v1/message/create and message-card/patch; a tenant's
token lasts two hours. `uuid` makes a message that is sent again within the hour the same one.
"""

from collections.abc import Callable, Mapping

from pydantic import JsonValue, SecretStr

from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp, Method, RenewedToken
from copilot.surfaces.notify.doors import choices, keyed
from copilot.surfaces.notify.pictures import unshown
from copilot.surfaces.notify.robots import CHOICES, READ_ON, Card
from copilot.surfaces.notify.slack import LostMessageError
from copilot.types.notice import Notice
from prompts import Language
from tools.types import Severity, Timestamp

_COLOURS: Mapping[Severity, str] = {
    "critical": "red",
    "high": "red",
    "warning": "orange",
    "info": "blue",
    "low": "grey",
}
_FAULTS: Mapping[int, NoticeFault] = {
    **dict.fromkeys((10003, 10014, 99991672, 230002, 230006, 230013, 230027, 230034), "target"),
    **dict.fromkeys((230001, 230022, 230025, 230028, 230099), "message"),
}
"""Codes that do not pass by themselves; 230020 and 99991400 are limits of how often."""

_EXPIRED = frozenset({99991661, 99991663, 99991664, 99991668})
_GONE = frozenset({230011, 230031, 230110})
"""Recalled, older than 14 days, deleted."""


class FeishuApi:
    """Calls methods with the token of an app's tenant."""

    def __init__(
        self,
        http: ChannelHttp,
        app_id: str,
        app_secret: SecretStr,
        wall: Callable[[], Timestamp],
        api: str,
    ) -> None:
        self._http, self._api = http, api
        self._app_id, self._app_secret = app_id, app_secret
        self._token = RenewedToken(self._asked, wall)

    def call(self, method: Method, path: str, message: Card) -> Mapping[str, JsonValue]:
        """The answer; raises `NoticeError`."""
        told = self._once(method, path, message, self._known())
        if told.get("code") in _EXPIRED:
            self._token.forget()
            told = self._once(method, path, message, self._known())
        return _taken(told)

    def opening(self) -> Mapping[str, JsonValue]:
        """Where a long connection is opened (`URL`), and how it is kept; raises `NoticeError`."""
        asked = {"AppID": self._app_id, "AppSecret": self._app_secret.get_secret_value()}
        url = f"{self._api.removesuffix('/open-apis')}/callback/ws/endpoint"
        told = self._http.post(url, canonical(asked).encode(), {}, coded=True)
        data = _taken(told if isinstance(told, dict) else {}).get("data")
        return data if isinstance(data, dict) else {}

    def declared(self, url: str) -> str:
        """The address of a line, where its host is a declared one; raises `NoticeError`."""
        return self._http.declared(url)

    def show(self, shown: Card, picture: bytes) -> None:
        """Put a picture into a card, under its text."""
        form = {"image_type": "message"}
        told = self._http.upload(f"{self._api}/im/v1/images", form, "image", picture, self._known())
        data = _taken(told if isinstance(told, dict) else {}).get("data")
        elements = shown["elements"]
        if isinstance(data, dict) and isinstance(elements, list):
            alt: Card = {"tag": "plain_text", "content": "the series that decides"}
            elements.insert(1, {"tag": "img", "img_key": str(data.get("image_key")), "alt": alt})

    def _once(
        self, method: Method, path: str, message: Card, headers: Mapping[str, str]
    ) -> Mapping[str, JsonValue]:
        url, body = f"{self._api}{path}", canonical(message).encode()
        told = self._http.post(url, body, headers, method=method, coded=True)
        if not isinstance(told, dict):
            raise NoticeError("again", "the answer is no JSON")
        return told

    def _known(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token.value()}"}

    def _asked(self) -> tuple[str, float]:
        secret = self._app_secret.get_secret_value()
        asked: Card = {"app_id": self._app_id, "app_secret": secret}
        told = _taken(self._once("POST", "/auth/v3/tenant_access_token/internal", asked, {}))
        lasts = told.get("expire")
        return str(told.get("tenant_access_token", "")), lasts if isinstance(lasts, int) else 0


class FeishuSender:
    """Sends as an app's robot into one chat; with `buttons` its cards can be answered."""

    def __init__(
        self, api: FeishuApi, chat_id: str, language: Language, *, buttons: bool = False
    ) -> None:
        self._api = api
        self._chat_id = chat_id
        self._language: Language = language
        self._buttons = buttons

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Send the card, or bring the one that is there up to date."""
        shown = card(notice, self._language, buttons=self._buttons)
        if notice.picture:
            with unshown("feishu"):
                self._api.show(shown, notice.picture)
        content = canonical(shown)
        if before:
            try:
                self._api.call("PATCH", f"/im/v1/messages/{before}", {"content": content})
            except NoticeError as error:
                if error.fault != "target" and not isinstance(error, LostMessageError):
                    raise
            else:
                return before
        message: Card = {
            "receive_id": self._chat_id,
            "msg_type": "interactive",
            "content": content,
            "uuid": keyed(key),
        }
        told = self._api.call("POST", "/im/v1/messages?receive_id_type=chat_id", message)
        data = told.get("data")
        return str(data.get("message_id", "")) if isinstance(data, dict) else ""


def _taken(told: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    code = told.get("code")
    if code == 0:
        return told
    problem = f"it answered {code}: {told.get('msg', '')}"
    if code in _GONE:
        raise LostMessageError("message", problem)
    raise NoticeError(_FAULTS.get(code, "again") if isinstance(code, int) else "again", problem)


def card(notice: Notice, language: Language, *, buttons: bool = False) -> Card:
    """The card, shared by all who see it, as `update_multi` asks for."""
    link = notice.links.get(language, "")
    over = notice.moment in ("recovered", "resolved")
    head = notice.heads[language]
    text: Card = {"tag": "lark_md", "content": "\n".join(notice.lines[language])}
    elements: list[JsonValue] = [{"tag": "div", "text": text}]
    actions: list[JsonValue] = []
    for value in choices(notice) if buttons else ():
        label = CHOICES[value.choice][language]
        button = _button(label, _STYLES[value.choice])
        button["value"] = {**value.model_dump()}
        if value.choice != "take":
            said = f"{head}\n{value.digest}"
            button["confirm"] = {"title": _plain(f"{label}?"), "text": _plain(said)}
        actions.append(button)
    if link:
        actions.append(
            {**_button(READ_ON[language], "default" if actions else "primary"), "url": link}
        )
    if actions:
        elements.append({"tag": "action", "actions": actions})
    return {
        "config": {"wide_screen_mode": True, "update_multi": True},
        "header": {
            "title": _plain(head),
            "template": "green" if over else _COLOURS[notice.severity],
        },
        "elements": elements,
    }


_STYLES: Mapping[str, str] = {"approve": "primary", "reject": "danger", "take": "default"}


def _button(label: str, style: str) -> Card:
    return {"tag": "button", "text": _plain(label), "type": style}


def _plain(text: str) -> Card:
    return {"tag": "plain_text", "content": text}
