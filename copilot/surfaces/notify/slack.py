"""Slack: one message for each incident, edited in place; what happens next is said in its thread.

Source: docs.slack.dev/reference/methods/chat.postMessage, chat.update; Block Kit.
"""

import json
from collections.abc import Mapping

from pydantic import JsonValue, SecretStr

from copilot.ports import NoticeError, NoticeFault
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.robots import READ_ON, Card
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


class SlackSender:
    """Posts with a bot's token, into one channel."""

    def __init__(
        self, http: ChannelHttp, token: SecretStr, channel: str, language: Language, api: str
    ) -> None:
        self._http = http
        self._token = token
        self._channel = channel
        self._language: Language = language
        self._api = api

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Post it, or edit the message and say the change in its thread."""
        card = blocks(notice, self._language)
        if not before:
            return self._posted({"channel": self._channel, **card})
        place = json.loads(before)
        try:
            self._call("chat.update", {**place, **card})
        except LostMessageError:
            return self._posted({"channel": self._channel, **card})
        said = escaped(notice.heads[self._language])
        self._call(
            "chat.postMessage",
            {"channel": place["channel"], "thread_ts": place["ts"], "text": said},
        )
        return before

    def _posted(self, message: Card) -> str:
        told = self._call("chat.postMessage", message)
        return canonical({"channel": told.get("channel"), "ts": told.get("ts")})

    def _call(self, method: str, message: Card) -> Mapping[str, JsonValue]:
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}"}
        body = canonical({**message, "unfurl_links": False}).encode()
        told = self._http.post(f"{self._api}/{method}", body, headers)
        if not isinstance(told, dict):
            raise NoticeError("again", f"{method}: the answer is no JSON")
        if told.get("ok") is True:
            return told
        error = str(told.get("error", "unknown"))[:80]
        if error in _GONE:
            raise LostMessageError("message", f"{method}: {error}")
        raise NoticeError(_FAULTS.get(error, "again"), f"{method}: {error}")


class LostMessageError(NoticeError):
    """The message cannot be edited any more; another has to be posted."""


def blocks(notice: Notice, language: Language) -> Card:
    """The message in Block Kit; `text` is what a phone's lock screen shows."""
    head, link = notice.heads[language], notice.links.get(language, "")
    lines = "\n".join(escaped(one).replace("**", "*") for one in notice.lines[language])
    title: Card = {"type": "plain_text", "text": head[:_HEAD], "emoji": False}
    found: list[JsonValue] = [
        {"type": "header", "text": title},
        {"type": "section", "text": {"type": "mrkdwn", "text": lines[:_TEXT], "verbatim": True}},
    ]
    if link:
        label: Card = {"type": "plain_text", "text": READ_ON[language]}
        button: Card = {"type": "button", "text": label, "url": link, "action_id": "open"}
        found.append({"type": "actions", "elements": [button]})
    return {"text": escaped(head), "blocks": found}


def escaped(text: str) -> str:
    """Text in which Slack finds no mention, channel or link of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
