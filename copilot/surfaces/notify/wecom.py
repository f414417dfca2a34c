"""WeCom: an app's template card, changed by codes that count once.

Source: developer.work.weixin.qq.com/document/path: 90236 (message/send), 94888 (update of a
template card), 91039 (gettoken).
"""

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlencode

from pydantic import JsonValue, SecretStr

from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp, RenewedToken
from copilot.surfaces.notify.channels import WeComAppChannel
from copilot.surfaces.notify.doors import choices, keyed, written
from copilot.surfaces.notify.pictures import unshown
from copilot.surfaces.notify.robots import CHOICES, LIMIT_S, Card
from copilot.types.notice import Notice
from prompts import Language
from tools.types import Timestamp

_EXPIRED = frozenset({40014, 42001})
_FAULTS: Mapping[int, NoticeFault] = {
    **dict.fromkeys((40001, 40013, 40056, 48002, 60011, 60020, 81013, 301002), "target"),
    **dict.fromkeys((40058, 44004, 45002, 45008), "message"),
}
"""Codes of path/90313 that do not pass by themselves; 60020 is an address of ours that the app
does not trust, 81013 nobody who may be written to. 45009 and 45033 are limits of how often."""

_SPENT = frozenset({42036, 40071, 84084})
"""A `response_code` that was used, or is older than 72 hours."""

_LIMITS = frozenset({45009, 45033})
_TITLE, _BELOW, TEXT_BYTES = 128, 512, 2048
"""Characters of a card's title and of the text under it; bytes of a text. A card may show less."""

_STYLES = {"approve": 1, "reject": 2, "take": 4}
"""Of buttons: blue, red, grey. Source: path/90236, `button_list.style`."""


class WeComApi:
    """Calls methods with the token of an app, which stands in the address."""

    def __init__(
        self, http: ChannelHttp, app: WeComAppChannel, secret: SecretStr,
        wall: Callable[[], Timestamp],
    ) -> None:  # fmt: skip
        self.app = app
        self._http, self._secret = http, secret
        self._token = RenewedToken(self._asked, wall)

    def call(self, path: str, message: Card) -> Mapping[str, JsonValue]:
        """The answer; raises `NoticeError`."""
        about: Card = {"agentid": self.app.agent_id, **message}
        told = self._once(path, {"access_token": self._token.value()}, about)
        if told.get("errcode") in _EXPIRED:
            self._token.forget()
            told = self._once(path, {"access_token": self._token.value()}, about)
        return _taken(told)

    def uploaded(self, picture: bytes) -> str:
        """What a picture is called for three days."""
        query = urlencode({"access_token": self._token.value(), "type": "image"})
        url = f"{self.app.api}/media/upload?{query}"
        told = self._http.upload(url, {}, "media", picture)
        return str(_taken(told if isinstance(told, dict) else {}).get("media_id", ""))

    def _asked(self) -> tuple[str, float]:
        secret = self._secret.get_secret_value()
        told = _taken(self._once("gettoken", {"corpid": self.app.corp_id, "corpsecret": secret}))
        lasts = told.get("expires_in")
        return str(told.get("access_token", "")), lasts if isinstance(lasts, int) else 0

    def _once(
        self, path: str, query: Mapping[str, str], message: Card | None = None
    ) -> Mapping[str, JsonValue]:
        url = f"{self.app.api}/{path}?{urlencode(query)}"
        body = b"" if message is None else canonical(message).encode()
        method: Literal["GET", "POST"] = "GET" if message is None else "POST"
        told = self._http.post(url, body, {}, method=method)
        if not isinstance(told, dict):
            raise NoticeError("again", "the answer is no JSON")
        return told


def _taken(told: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    code = told.get("errcode", 0)
    if code == 0:
        return told
    # What it says of a failure holds our address and a link, in brackets.
    problem = f"it answered {code}: {str(told.get('errmsg', '')).partition(', hint')[0][:200]}"
    if code in _SPENT:
        raise SpentCodeError("message", problem)
    wait_s = LIMIT_S if code in _LIMITS else 0.0
    raise NoticeError(
        _FAULTS.get(code, "again") if isinstance(code, int) else "again", problem, wait_s
    )


class SpentCodeError(NoticeError):
    """The card cannot be changed by this code any more; another has to be sent."""


class WeComSender:
    """Writes to the people of a target. A card is changed by a code that counts once: one comes
    with the card, and one with every press of its buttons.
    """

    def __init__(self, api: WeComApi, *, buttons: bool) -> None:
        self._api, self._app, self._buttons = api, api.app, buttons

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Change the card where a code is left, or send another; returns the code of it."""
        shown = card(notice, self._app.language, key, buttons=self._buttons)
        if before and shown is not None:
            try:
                self._api.call(
                    "message/update_template_card",
                    {"atall": 1, "response_code": before, "template_card": shown},
                )
            except SpentCodeError:
                pass
            else:
                self._show(notice)
                return ""
        told = self._written(notice, shown)
        self._show(notice)
        return str(told.get("response_code", ""))

    def _show(self, notice: Notice) -> None:
        """Send the picture as a message of its own, once: cards take addresses only."""
        if notice.picture and not notice.pictured:
            with unshown("wecom"):
                media = {"media_id": self._api.uploaded(notice.picture)}
                image: Card = {"msgtype": "image", "image": {**media}}
                self._api.call("message/send", {**self._readers(), **image})

    def _readers(self) -> Card:
        app = self._app
        return {
            "touser": "|".join(app.users),
            "toparty": "|".join(app.parties),
            "totag": "|".join(app.tags),
        }

    def _written(self, notice: Notice, shown: Card | None) -> Mapping[str, JsonValue]:
        language = self._app.language
        message: Card = {
            **self._readers(),
            # Sent again within four hours it is the same one.
            "enable_duplicate_check": 1,
            "duplicate_check_interval": 14_400,
        }
        if shown is None:
            message |= {"msgtype": "markdown", "markdown": {"content": _text(notice, language)}}
        else:
            message |= {"msgtype": "template_card", "template_card": shown}
        return self._api.call("message/send", message)


def _text(notice: Notice, language: Language) -> str:
    text = "\n".join((f"**{notice.heads[language]}**", *notice.lines[language]))
    return text.encode()[:TEXT_BYTES].decode(errors="ignore")


def card(notice: Notice, language: Language, key: str, *, buttons: bool) -> Card | None:
    """The card with buttons, or one to read on; None where there is neither button nor link."""
    link = notice.links.get(language, "")
    lines = [one.replace("**", "") for one in notice.lines[language]]
    digest = next((one for one in lines if notice.digest and notice.digest in one), "")
    others = [one for one in lines if one != digest]
    shown: Card = {
        # What is under the title is cut on a phone: the digest, which is decided on, comes first.
        "main_title": {"title": notice.heads[language][:_TITLE], "desc": digest},
        "sub_title_text": "\n".join(others)[:_BELOW],
        "task_id": keyed(key),
    }
    if link:
        shown["card_action"] = {"type": 1, "url": link}
    found = choices(notice) if buttons else ()
    if found:
        listed: list[JsonValue] = [
            {"text": CHOICES[one.choice][language], "style": _STYLES[one.choice],
             "key": written(one)}
            for one in found
        ]  # fmt: skip
        return {"card_type": "button_interaction", **shown, "button_list": listed}
    return {"card_type": "text_notice", **shown} if link else None
