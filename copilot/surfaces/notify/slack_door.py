"""Slack: buttons that people press, and what they ask by a mention or in a direct message.

Source: docs.slack.dev, authentication/verifying-requests-from-slack; reference/
interaction-payloads/block_actions-payload; apis/events-api (and socket-mode); chat.postEphemeral,
chat.update, users.info.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from pydantic import JsonValue, SecretStr, ValidationError

from copilot.alerts.formats.fields import Payload
from copilot.store.canonical import canonical
from copilot.surfaces.notify.channel_http import ChannelHttp
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
    shortened,
    value_of,
)
from copilot.surfaces.notify.slack import SlackApi, escaped, place_of
from prompts import Language
from tools.types import Timestamp


class _Named(Payload):
    id: str
    team_id: str = ""


class _Action(Payload):
    action_id: str = ""
    value: str = ""


class _Press(Payload):
    type: str = ""
    trigger_id: str
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
    """Requests of one app, checked by its signing secret, or what comes over its `line`; its bot's
    token answers them.
    """

    kind = "slack"
    edits = True
    empty: JsonValue = {}

    def __init__(
        self,
        api: SlackApi,
        secret: SecretStr | None,
        language: Language,
        people: Mapping[str, str],
        clock: Callable[[], Timestamp],
        *,
        by_email: bool = False,
        line: ChannelLine | None = None,
    ) -> None:
        self.language: Language = language
        self.people = people
        self.line = line
        self._api, self._secret, self._by_email = api, secret, by_email
        self._clock = clock

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """A button, a mention, a direct message, or the question whether the address is ours."""
        if self._secret is None:
            raise ForgedError("this target is answered over Socket Mode only")
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

    def toast(self, text: str, *, done: bool) -> JsonValue:
        """Slack shows none."""
        return self.empty

    def whisper(self, press: ButtonPress, text: str) -> None:
        """A message that nobody else sees."""
        to = {"channel": press.channel, "user": press.user.id}
        self._api.call("chat.postEphemeral", {**to, "text": escaped(text)})

    def reply(self, asked: ChannelQuestion, text: str, before: str = "") -> str:
        """In the thread of the question, or of the incident's message that it stands under."""
        said = escaped(shortened(text, self.language)).replace("**", "*")
        if before:
            self._api.call("chat.update", {**json.loads(before), "text": said})
            return before
        place = {"channel": asked.channel, "thread_ts": asked.thread}
        told = self._api.call("chat.postMessage", {**place, "text": said, "unfurl_links": False})
        return place_of(told.get("channel"), told.get("ts"))


def _pressed(press: _Press) -> ButtonPress | None:
    action = press.actions[0] if press.actions else _Action()
    value = value_of(action.value)
    if press.type != "block_actions" or value is None or value.choice != action.action_id:
        return None
    home = press.team.id if press.team else press.user.team_id
    stranger = _STRANGER if press.user.team_id not in ("", home) else ""
    user = ChannelUser(id=press.user.id, stranger=stranger)
    key = press.trigger_id[:200]
    return ButtonPress(user=user, value=value, key=key, channel=press.channel.id)


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


class _Envelope(Payload):
    type: str = ""
    envelope_id: str = ""
    payload: JsonValue = None


class SlackLine:
    """Socket Mode: what would be posted comes over a connection that the app's token opens."""

    def __init__(self, http: ChannelHttp, token: SecretStr, api: str) -> None:
        self._http, self._api = http, SlackApi(http, token, api)

    def address(self) -> str:
        """An address that Slack gives for one connection."""
        told = self._api.call("apps.connections.open", {}, form=True)
        return self._http.declared(str(told.get("url", "")))

    def heard(self, frame: str | bytes) -> LineMessage:
        """Each envelope is acknowledged; Slack says when it wants another connection."""
        try:
            told = _Envelope.model_validate_json(frame)
            arrival: Arrival = None
            if told.type == "interactive":
                arrival = _pressed(_Press.model_validate(told.payload))
            elif told.type == "events_api":
                arrival = _said(_Event.model_validate(told.payload))
        except ValidationError:
            raise ForgedError("a frame is not of Socket Mode's form") from None
        seen = canonical({"envelope_id": told.envelope_id})
        receipt = (lambda _: seen) if told.envelope_id else None
        return LineMessage(arrival, receipt, last=told.type == "disconnect")

    def beat(self) -> None:
        """The websocket's own pings are enough."""
