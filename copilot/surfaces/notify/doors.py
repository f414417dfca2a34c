"""What comes back from a channel: a button that was pressed, a question; and what a door is.

A door checks that the platform sent it, and says it in our words. Whether it came before, who the
user is of ours, and what they may, is decided behind it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from copilot.store.canonical import canonical
from copilot.types.incident import CLOSED
from copilot.types.notice import Notice
from prompts import Language
from tools.types import FrozenModel, Timestamp

FRESH_S = 300.0
"""How old a signed request may be. Source: docs.slack.dev/authentication/
verifying-requests-from-slack, "more than five minutes"; the others name none."""

LONGEST_ANSWER = 3500
"""Characters of an answer in a channel; what is longer is read in the console."""

Choice = Literal["approve", "reject", "take"]
_Word = Annotated[str, Field(max_length=200)]


class ForgedError(Exception):
    """What came is not the platform's, too old, or came before; the message says which."""


class ButtonValue(FrozenModel):
    """What a button of a card carries, and brings back when it is pressed."""

    choice: Choice
    incident: _Word
    plan: _Word = ""
    digest: _Word = ""


class ChannelUser(FrozenModel):
    """A user of the platform; `stranger` says why they are none of its own, where they are not."""

    id: _Word
    stranger: str = ""


class ButtonPress(FrozenModel):
    """A button that somebody pressed, and in which conversation; `key` is the platform's, and
    `reference` what the card is called from now on, where that changes.
    """

    user: ChannelUser
    value: ButtonValue
    key: _Word
    channel: str = ""
    reference: str = ""


class ChannelQuestion(FrozenModel):
    """What somebody asks; `key` is the platform's, `place` one conversation of ours, `thread` where
    it is answered, `reference` what the card that it stands under is called.
    """

    user: ChannelUser
    text: str
    key: _Word
    channel: str
    place: str
    thread: str
    reference: str = ""


class Handshake(FrozenModel):
    """The platform asks whether the address is ours; a text is answered as it is."""

    answer: JsonValue


Arrival = ButtonPress | ChannelQuestion | Handshake | None


@dataclass(frozen=True, slots=True)
class LineMessage:
    """What came over a line; `receipt` makes what is sent back out of the answer to it. After one
    that is the last, the platform closes the line.
    """

    arrival: Arrival = None
    receipt: Callable[[JsonValue], str | bytes] | None = None
    last: bool = False


class ChannelLine(Protocol):
    """A connection that we open, for services that the platform cannot reach."""

    def address(self) -> str:
        """Where to connect this time, on a declared host; raises `NoticeError`."""
        ...

    def heard(self, frame: str | bytes) -> LineMessage:
        """What it is. Raises `ForgedError` for what is not of the platform's form."""
        ...

    def beat(self) -> bytes | None:
        """A frame that keeps the line open, where one is due."""
        ...


class ChannelDoor(Protocol):
    """What one target's platform sends us, and how it is answered; `empty` where nothing is said.

    Without a `line` it posts to us; where it `edits`, an answer that was given can be changed.
    """

    kind: str
    edits: bool
    language: Language
    people: Mapping[str, str]
    empty: JsonValue
    line: ChannelLine | None

    def arrived(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arrival:
        """What it is; None for what is nothing to us. Raises `ForgedError`."""
        ...

    def email(self, user: str) -> str:
        """The confirmed address of a user of the platform's own; empty where it is not asked."""
        ...

    def toast(self, text: str, *, done: bool) -> JsonValue:
        """The answer to a press; `empty` where the platform shows none."""
        ...

    def whisper(self, press: ButtonPress, text: str) -> None:
        """Say to who pressed, and to nobody else, what came of it, where `toast` does not."""
        ...

    def reply(self, asked: ChannelQuestion, text: str, before: str = "") -> str:
        """Answer a question where it was asked, or change the answer that is called `before`; what
        it is called where it can be changed. Raises `NoticeError`.
        """
        ...


class AnsweringDesk(Protocol):
    """What answers for one target; raises `ForgedError` for what came before."""

    door: ChannelDoor

    def answered(self, found: Arrival) -> tuple[JsonValue, Callable[[], None] | None]:
        """The answer to what came, and what is to be done after it."""
        ...


_VALUE = TypeAdapter(ButtonValue)


def value_of(given: object) -> ButtonValue | None:
    """What a button brought back; None where it is none of ours."""
    try:
        if isinstance(given, str):
            return _VALUE.validate_json(given)
        return _VALUE.validate_python(given)
    except ValidationError:
        return None


def choices(notice: Notice) -> tuple[ButtonValue, ...]:
    """The buttons of a message: an answer to the plan that it shows, and taking the incident."""
    about = {"incident": notice.incident_id}
    found: list[ButtonValue] = []
    if notice.plan_id:
        plan = {**about, "plan": notice.plan_id, "digest": notice.digest}
        found += [ButtonValue(choice=one, **plan) for one in ("approve", "reject")]
    alone = notice.moment not in ("storm", "digest", "test")
    if alone and notice.status not in CLOSED and notice.moment != "taken":
        found.append(ButtonValue(choice="take", **about))
    return tuple(found)


def written(value: ButtonValue) -> str:
    """The value as a text."""
    return canonical(value.model_dump())


def keyed(*parts: object) -> str:
    """What makes a message that is sent again, or came before, the same one to a platform or us."""
    text = "/".join(map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:50]


def fresh(stamp: str, now: Timestamp) -> bool:
    """Whether a time in whole seconds is of now, give or take what a request may be old."""
    is_time = stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    return is_time and abs(now - int(stamp)) <= FRESH_S


def shortened(text: str, language: Language) -> str:
    """An answer of a length that a channel shows."""
    if len(text) <= LONGEST_ANSWER:
        return text
    more = "…(全文见控制台)" if language == "zh" else "… (the rest is in the console)"
    return f"{text[:LONGEST_ANSWER].rstrip()}{more}"
