"""Slack: one message for each incident, edited in place; what happens next is said in its thread.

Source: docs.slack.dev/reference/methods (chat.postMessage, chat.update); Block Kit.
"""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from pydantic import JsonValue, SecretStr

from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.doors import choices, written
from copilot.surfaces.notify.pictures import unshown
from copilot.surfaces.notify.robots import CHOICES, READ_ON, Card
from copilot.types.notice import Notice
from prompts import Language

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

    def upload(self, url: str, picture: bytes) -> None:
        """Send a file to the address that Slack gave for it."""
        self._http.post(url, picture, {"content-type": "application/octet-stream"})


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
            return self._posted(notice, card)
        place = json.loads(before)
        try:
            self._api.call("chat.update", {**place, **card})
        except NoticeError as error:
            # Deleted, too old, or of a workspace or channel that the target had before.
            if error.fault != "target" and not isinstance(error, LostMessageError):
                raise
            return self._posted(notice, card)
        self._show(notice, place)
        said = escaped(notice.heads[self._language])
        thread = {"channel": place["channel"], "thread_ts": place["ts"]}
        self._api.call("chat.postMessage", {**thread, "text": said, "unfurl_links": False})
        return before

    def _posted(self, notice: Notice, card: Card) -> str:
        message = {"channel": self._channel, **card, "unfurl_links": False}
        told = self._api.call("chat.postMessage", message)
        channel, stamp = told.get("channel"), told.get("ts")
        self._show(notice, {"channel": channel, "ts": stamp})
        return place_of(channel, stamp)

    def _show(self, notice: Notice, place: Card) -> None:
        """Share the picture in the message's thread, once; needs `files:write`."""
        if not notice.picture or notice.pictured:
            return
        with unshown("slack"):
            size = str(len(notice.picture))
            asked: Card = {"filename": "series.png", "length": size}
            told = self._api.call("files.getUploadURLExternal", asked, form=True)
            self._api.upload(str(told.get("upload_url", "")), notice.picture)
            shared = [{"id": told.get("file_id"), "title": notice.heads[self._language][:100]}]
            self._api.call(
                "files.completeUploadExternal",
                {"files": json.dumps(shared), "channel_id": place["channel"],
                 "thread_ts": place["ts"]},
                form=True,
            )  # fmt: skip


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
