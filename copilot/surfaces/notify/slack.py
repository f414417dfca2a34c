"""Slack: one message for each incident, edited in place; what happens next is said in its thread.
People press its buttons, and ask by a mention or in a direct message.

Source: docs.slack.dev/reference/methods (chat.postMessage, chat.update, chat.postEphemeral,
users.info); Block Kit; authentication/verifying-requests-from-slack; reference/
interaction-payloads/block_actions-payload; apis/events-api.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlencode

from pydantic import JsonValue, SecretStr, ValidationError

from copilot.alerts.formats.fields import Payload
from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.doors import (
    Arrival,
    ButtonPress,
    ChannelQuestion,
    ChannelUser,
    ForgedError,
    Handshake,
    SeenOnce,
    choices,
    fresh,
    shortened,
    value_of,
    written,
)
from copilot.surfaces.notify.robots import CHOICES, READ_ON, Card
from copilot.types.notice import Notice
from prompts import Language
from tools.types import Timestamp

_FAULTS: Mapping[str, NoticeFault] = {
    **dict.fromkeys(
        (
            *("account_inactive", "channel_not_found", "invalid_auth", "is_archived"),
            *("missing_scope", "not_authed", "not_in_channel", "token_expired", "token_revoked"),
        ),
        "target",
    ),
    **dict.fromkeys(
        ("invalid_blocks", "msg_blocks_too_long", "msg_too_long", "no_text"), "message"
    ),
}
"""Errors that do not pass by themselves; all others are tried again."""

_GONE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
_HEAD, _TEXT = 150, 3000
"""Characters of a header and of a section's text."""


class SlackApi:
    """Calls methods with a bot's token."""

    def __init__(self, http: ChannelHttp, token: SecretStr, api: str) -> None:
        self._http, self._token, self._api = http, token, api

    def call(self, method: str, message: Card, *, form: bool = False) -> Mapping[str, JsonValue]:
        """The answer; raises `NoticeError`. Methods that only read take a form, no JSON."""
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}"}
        body = canonical(message).encode()
        if form:
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(message).encode()
        told = self._http.post(f"{self._api}/{method}", body, headers)
        if not isinstance(told, dict):
            raise NoticeError("again", f"{method}: the answer is no JSON")
        if told.get("ok") is True:
            return told
        error = str(told.get("error", "unknown"))[:80]
        if error in _GONE:
            raise LostMessageError("message", f"{method}: {error}")
        raise NoticeError(_FAULTS.get(error, "again"), f"{method}: {error}")


class SlackSender:
    """Posts into one channel; with `buttons` its messages can be answered."""

    def __init__(
        self, api: SlackApi, channel: str, language: Language, *, buttons: bool = False
    ) -> None:
        self._api = api
        self._channel = channel
        self._language: Language = language
        self._buttons = buttons

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Post it, or edit the message and say the change in its thread."""
        card = blocks(notice, self._language, buttons=self._buttons)
        if not before:
            return self._posted({"channel": self._channel, **card})
        place = json.loads(before)
        try:
            self._api.call("chat.update", {**place, **card})
        except LostMessageError:
            return self._posted({"channel": self._channel, **card})
        said = escaped(notice.heads[self._language])
        thread = {"channel": place["channel"], "thread_ts": place["ts"]}
        self._api.call("chat.postMessage", {**thread, "text": said, "unfurl_links": False})
        return before

    def _posted(self, message: Card) -> str:
        told = self._api.call("chat.postMessage", {**message, "unfurl_links": False})
        return place_of(told.get("channel"), told.get("ts"))


def place_of(channel: JsonValue, stamp: JsonValue) -> str:
    """What a message is called."""
    return canonical({"channel": channel, "ts": stamp})


class LostMessageError(NoticeError):
    """The message cannot be edited any more; another has to be posted."""


def blocks(notice: Notice, language: Language, *, buttons: bool = False) -> Card:
    """The message in Block Kit; `text` is what a phone's lock screen shows."""
    head, link = notice.heads[language], notice.links.get(language, "")
    lines = "\n".join(escaped(one).replace("**", "*") for one in notice.lines[language])
    found: list[JsonValue] = [
        {"type": "header", "text": _plain(head[:_HEAD], emoji=False)},
        {"type": "section", "text": {"type": "mrkdwn", "text": lines[:_TEXT], "verbatim": True}},
    ]
    elements: list[JsonValue] = []
    for value in choices(notice) if buttons else ():
        label = CHOICES[value.choice][language]
        button: Card = {"type": "button", "text": _plain(label), "action_id": value.choice}
        button["value"] = written(value)
        if value.choice != "take":
            button["style"] = "primary" if value.choice == "approve" else "danger"
            button["confirm"] = _asked_twice(label, head, value.digest, language)
        elements.append(button)
    if link:
        shown = _plain(READ_ON[language])
        elements.append({"type": "button", "text": shown, "url": link, "action_id": "open"})
    if elements:
        found.append({"type": "actions", "elements": elements})
    return {"text": escaped(head), "blocks": found}


def _asked_twice(label: str, head: str, digest: str, language: Language) -> Card:
    """The dialog before a decision: what is decided, and by which digest."""
    no = "取消" if language == "zh" else "Cancel"
    said = f"{head[:160]}\n{digest}"
    asks = {"title": _plain(f"{label}?"), "text": _plain(said), "confirm": _plain(label)}
    return {**asks, "deny": _plain(no)}


def _plain(text: str, *, emoji: bool | None = None) -> Card:
    more: Card = {} if emoji is None else {"emoji": emoji}
    return {"type": "plain_text", "text": text, **more}


def escaped(text: str) -> str:
    """Text in which Slack finds no mention, channel or link of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Named(Payload):
    id: str
    team_id: str = ""


class _Action(Payload):
    action_id: str = ""
    value: str = ""


class _Press(Payload):
    type: str = ""
    user: _Named
    team: _Named | None = None
    channel: _Named = _Named(id="")
    actions: tuple[_Action, ...] = ()


class _Message(Payload):
    type: str = ""
    subtype: str = ""
    bot_id: str = ""
    channel_type: str = ""
    user: str = ""
    user_team: str = ""
    text: str = ""
    channel: str = ""
    ts: str = ""
    thread_ts: str = ""


class _Authorization(Payload):
    team_id: str | None = None


class _Event(Payload):
    type: str = ""
    challenge: str = ""
    event_id: str = ""
    team_id: str = ""
    authorizations: tuple[_Authorization, ...] = ()
    event: _Message = _Message()

    @property
    def home(self) -> str:
        """The workspace that we are of; `team_id` is the one whose channel a shared one is.
        Source: github.com/slackapi/bolt-js/issues/687.
        """
        ours = (one.team_id for one in self.authorizations if one.team_id)
        return next(ours, self.team_id)


_MENTION = re.compile(r"<@[A-Z0-9]{1,20}(?:\|[^<>]{0,80})?>")
_MARKED = re.compile(r"<[^<>|]{1,2000}\|([^<>|]{1,500})>")
_STRANGER = "of another workspace"


class SlackDoor:
    """Requests of one app, checked by its signing secret; its bot's token answers them."""

    def __init__(
        self,
        api: SlackApi,
        secret: SecretStr,
        language: Language,
        people: Mapping[str, str],
        clock: Callable[[], Timestamp],
        *,
        by_email: bool = False,
    ) -> None:
        self.language: Language = language
        self.people = people
        self._api, self._secret, self._by_email = api, secret, by_email
        self._clock, self._seen = clock, SeenOnce(clock)

    def arrived(self, headers: Mapping[str, str], body: bytes) -> Arrival:
        """A button, a mention, a direct message, or the question whether the address is ours."""
        stamp, given = (
            headers.get(f"x-slack-{one}", "") for one in ("request-timestamp", "signature")
        )
        if not fresh(stamp, self._clock()):
            raise ForgedError("x-slack-request-timestamp is missing, or not of the last 5 minutes")
        signed = b":".join((b"v0", stamp.encode(), body))
        seal = hmac.new(self._secret.get_secret_value().encode(), signed, hashlib.sha256)
        if not hmac.compare_digest(f"v0={seal.hexdigest()}".encode(), given.encode()):
            raise ForgedError(
                "x-slack-signature is not made with the signing_secret of this target"
            )
        if not self._seen.first(given):
            raise ForgedError("this request came before")
        try:
            if body.startswith(b"payload="):
                pressed = parse_qs(body.decode(), max_num_fields=4)["payload"][0]
                return _pressed(_Press.model_validate_json(pressed))
            return _said(_Event.model_validate_json(body))
        except (ValidationError, ValueError, KeyError):
            return None

    def email(self, user: str) -> str:
        """Of a full member whose address Slack has confirmed."""
        if not self._by_email:
            return ""
        told = self._api.call("users.info", {"user": user}, form=True).get("user")
        if not isinstance(told, dict):
            return ""
        guests = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
        profile = told.get("profile")
        if any(told.get(one) for one in guests) or told.get("is_email_confirmed") is not True:
            return ""
        return str(profile.get("email", "")) if isinstance(profile, dict) else ""

    def toast(self, text: str, *, done: bool) -> dict[str, JsonValue]:
        """Slack shows none."""
        return {}

    def whisper(self, press: ButtonPress, text: str) -> None:
        """A message that nobody else sees."""
        to = {"channel": press.channel, "user": press.user.id}
        self._api.call("chat.postEphemeral", {**to, "text": escaped(text)})

    def reply(self, asked: ChannelQuestion, text: str) -> None:
        """In the thread of the question, or of the incident's message that it stands under."""
        said = escaped(shortened(text, self.language)).replace("**", "*")
        place = {"channel": asked.channel, "thread_ts": asked.thread}
        self._api.call("chat.postMessage", {**place, "text": said, "unfurl_links": False})


def _pressed(press: _Press) -> ButtonPress | None:
    action = press.actions[0] if press.actions else _Action()
    value = value_of(action.value)
    if press.type != "block_actions" or value is None or value.choice != action.action_id:
        return None
    home = press.team.id if press.team else press.user.team_id
    stranger = _STRANGER if press.user.team_id not in ("", home) else ""
    user = ChannelUser(id=press.user.id, stranger=stranger)
    return ButtonPress(user=user, value=value, channel=press.channel.id)


def _said(told: _Event) -> Arrival:
    if told.type == "url_verification":
        return Handshake(answer={"challenge": told.challenge[:200]})
    event = told.event
    direct = event.type == "message" and event.channel_type == "im" and not event.subtype
    if not (direct or event.type == "app_mention") or event.bot_id or not event.user:
        return None
    text = _MARKED.sub(r"\1", _MENTION.sub(" ", event.text)).strip()
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(name, sign)
    stranger = _STRANGER if event.user_team not in ("", told.home) else ""
    thread = event.thread_ts or event.ts
    return ChannelQuestion(
        user=ChannelUser(id=event.user, stranger=stranger),
        text=text,
        key=told.event_id,
        channel=event.channel,
        place=f"{event.channel}-{thread}",
        thread=thread,
        reference=place_of(event.channel, thread),
    )
