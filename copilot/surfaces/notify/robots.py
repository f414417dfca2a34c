"""Robots of a group: DingTalk, WeCom and Teams take a card at one address and change none later.

Each is what differs: how the card looks, how the address is signed, and what an answer means.
DingTalk and WeCom answer 200 to everything and say in the body what they think of it.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

from pydantic import JsonValue, SecretStr

from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.pictures import unshown
from copilot.types.notice import Notice
from prompts import Language
from tools.types import Severity, Timestamp

Card = dict[str, JsonValue]

READ_ON: Mapping[Language, str] = {"en": "Open the incident", "zh": "打开事件"}
CHOICES: Mapping[str, Mapping[Language, str]] = {
    "approve": {"en": "Approve", "zh": "批准"},
    "reject": {"en": "Reject", "zh": "拒绝"},
    "take": {"en": "I take it", "zh": "我来处理"},
}
"""Buttons that decide, where a channel has any."""

_COLOURS: Mapping[Severity, str] = {
    "critical": "attention",
    "high": "attention",
    "warning": "warning",
    "info": "accent",
    "low": "accent",
}
"""Of an adaptive card's text. Source: adaptivecards.io, `TextBlock.color`."""

LIMIT_S = 60.0
"""DingTalk and WeCom take 20 messages a minute of one robot; then they refuse for a while."""

_WECOM_BYTES = 4096
"""Of `markdown.content`. Source: developer.work.weixin.qq.com/document/path/91770."""


@dataclass(frozen=True, slots=True)
class Robot:
    """What one platform's robots are like. `faults` are the codes of an answer that say no."""

    card: Callable[[Notice, Language], Card]
    faults: Mapping[int, NoticeFault]
    picture: Callable[[bytes], Card] | None = None


class RobotSender:
    """Posts a card for every change of an incident."""

    def __init__(
        self,
        http: ChannelHttp,
        robot: Robot,
        url: SecretStr,
        secret: SecretStr | None,
        language: Language,
        wall: Callable[[], Timestamp],
    ) -> None:
        self._http = http
        self._robot = robot
        self._url, self._secret = url, secret
        self._language: Language = language
        self._wall = wall

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Post it; raises `NoticeError` also where a refusal came with status 200."""
        self._posted(self._robot.card(notice, self._language))
        if self._robot.picture is not None and notice.picture and not notice.pictured:
            with unshown("a robot"):
                self._posted(self._robot.picture(notice.picture))
        return ""

    def _posted(self, card: Card) -> None:
        told = self._http.post(self._address(), canonical(card).encode(), {})
        if not isinstance(told, dict):
            return
        code = told.get("errcode", 0)
        if not isinstance(code, int) or code == 0:
            return
        fault = self._robot.faults.get(code, "again")
        wait_s = LIMIT_S if fault == "again" else 0.0
        raise NoticeError(fault, f"it answered {code}: {told.get('errmsg', '')}", wait_s)

    def _address(self) -> str:
        url = self._url.get_secret_value()
        if self._secret is None:
            return url
        return url + signature(self._secret.get_secret_value(), int(self._wall() * 1000))


def signature(secret: str, millis: int) -> str:
    """What a signed address of DingTalk ends in: HMAC-SHA256 of `millis\\nsecret` by the secret.

    Source: open.dingtalk.com/document/robots/customize-robot-security-settings.
    """
    seal = hmac.new(secret.encode(), f"{millis}\n{secret}".encode(), hashlib.sha256).digest()
    return f"&timestamp={millis}&sign={quote_plus(base64.b64encode(seal))}"


def _action_card(notice: Notice, language: Language) -> Card:
    head, link = notice.heads[language], notice.links.get(language, "")
    text = "\n\n".join((f"### {head}", *notice.lines[language]))
    if not link:
        return {"msgtype": "markdown", "markdown": {"title": head, "text": text}}
    card: Card = {"title": head, "text": text, "singleTitle": READ_ON[language], "singleURL": link}
    return {"msgtype": "actionCard", "actionCard": card}


def _markdown(notice: Notice, language: Language) -> Card:
    link = notice.links.get(language, "")
    lines = [f"**{notice.heads[language]}**", *(f"> {one}" for one in notice.lines[language])]
    lines += [f"[{READ_ON[language]}]({link})"] if link else []
    text = "\n".join(lines)
    while len(text.encode()) > _WECOM_BYTES:
        del lines[-2]
        text = "\n".join(lines)
    return {"msgtype": "markdown", "markdown": {"content": text}}


def _image(picture: bytes) -> Card:
    seal = hashlib.md5(picture, usedforsecurity=False).hexdigest()
    image: Card = {"base64": base64.b64encode(picture).decode(), "md5": seal}
    return {"msgtype": "image", "image": image}


def _adaptive_card(notice: Notice, language: Language) -> Card:
    over = notice.moment in ("recovered", "resolved")
    head: Card = {
        "type": "TextBlock",
        "text": notice.heads[language],
        "weight": "bolder",
        "size": "medium",
        "color": "good" if over else _COLOURS[notice.severity],
        "wrap": True,
    }
    lines: list[JsonValue] = [
        {"type": "TextBlock", "text": one, "wrap": True, "spacing": "small"}
        for one in notice.lines[language]
    ]
    link = notice.links.get(language, "")
    button: Card = {"type": "Action.OpenUrl", "title": READ_ON[language], "url": link}
    card: Card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [head, *lines],
        "actions": [button] if link else [],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


DINGTALK = Robot(
    _action_card,
    {
        **dict.fromkeys((300001, 300005, 310000, 400013, 400101, 400102), "target"),
        **dict.fromkeys((40035, 400105, 460101), "message"),
        **dict.fromkeys((130101, 410100), "again"),
    },
)
"""Codes: open.dingtalk.com/document/robots/custom-robot-access; 310000 is a signature, keyword or
address that its security settings refuse."""

WECOM = Robot(
    _markdown,
    {**dict.fromkeys((93000, 93004, 93008), "target"), 40058: "message", 45009: "again"},
    _image,
)
"""Codes: developer.work.weixin.qq.com/document/path/90313."""

TEAMS = Robot(_adaptive_card, {})
"""A workflow answers 202, or an HTTP status that says no."""
