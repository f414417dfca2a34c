"""`/hooks/TARGET`: buttons that people press in a channel, and what they ask there; or a line that
is held open to the platform, where it cannot reach us.

The platform's signature, or its line, opens the door; what its user may is what their account may.
What is said of a press is what the API would say. docs/notify.md.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import JsonValue
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from copilot.case.on_call import OnCallWord, say
from copilot.ports import NoticeError
from copilot.store import (
    NoRightError,
    PolicyRefusedError,
    TargetBusyError,
    UnknownIncidentError,
    UnknownPlanError,
)
from copilot.surfaces.chat import ChatService, Progress, Question, QuestionError
from copilot.surfaces.notify.doors import (
    FRESH_S,
    Arrival,
    ButtonPress,
    ChannelDoor,
    ChannelQuestion,
    ChannelUser,
    ForgedError,
    Handshake,
)
from copilot.surfaces.service.answers import AT_ONCE
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine
from copilot.types.conversation import Turn
from copilot.types.people import Account
from prompts import Language
from tools.log_retriever.sanitize import plain
from tools.types import Approval

log = logging.getLogger(__name__)

HOOKS = "/hooks/"

_UNSAID = "by a button, which asks for no reason"

_BUSY: Mapping[Language, str] = {
    "en": "Too many questions are being answered; ask again in a moment.",
    "zh": "正在回答的问题过多,请稍后再问。",
}


EDIT_S, MOST_EDITS = 1.0, 18
"""How often the message of an answer changes. Source: Slack's `chat.update` is of tier 3, 50 a
minute and more; of Feishu's "a message can be edited at most 20 times" the end needs one."""


class GrowingAnswer:
    """One answer in a channel: what is looked at while it takes longer, then the whole of it.

    What is told meanwhile may fail, and is then left; the whole answer is posted in any case.
    """

    def __init__(
        self,
        door: ChannelDoor,
        asked: ChannelQuestion,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._door, self._asked, self._clock, self._sleep = door, asked, clock, sleep
        self._left = MOST_EDITS if door.edits else 0
        self._next = clock() + EDIT_S
        self._called = self._begins = ""
        self._one = threading.Lock()

    def hear(self, told: Progress) -> None:
        """Show what is done, where the last that was shown has stood for long enough."""
        if not self._one.acquire(blocking=False):
            return
        try:
            self._begins = told.said if told.step == "text" else self._begins
            if self._left and self._clock() >= self._next:
                self._left -= 1
                said = _meanwhile(told, self._begins, self._door.language)
                self._called = self._door.reply(self._asked, said, self._called)
                self._next = self._clock() + EDIT_S
        except NoticeError as error:
            self._left = 0
            log.warning("an answer is told when it is whole: %s", error.fault)
        finally:
            self._one.release()

    def end(self, text: str) -> None:
        """Show the whole answer; raises `NoticeError`."""
        with self._one:
            self._left = 0
            if self._called:
                self._sleep(max(0.0, self._next - self._clock()))
                try:
                    self._door.reply(self._asked, text, self._called)
                except NoticeError as error:
                    log.warning("an answer is posted anew: %s", error.fault)
                else:
                    return
            self._door.reply(self._asked, text)


def _meanwhile(told: Progress, begins: str, language: Language) -> str:
    zh = language == "zh"
    if told.step == "tool":
        doing = f"正在查询:{told.name}…" if zh else f"Looking: {told.name} …"
    else:
        doing = "正在作答…" if zh else "Writing the answer …"
    return f"{begins.rstrip()}\n{doing}".lstrip()


class ChannelDesk:
    """Decides, takes and asks for the users of one target."""

    def __init__(
        self, engine: ServiceEngine, target: str, door: ChannelDoor, chat: ChatService | None
    ) -> None:
        self._engine, self._target, self._chat = engine, target, chat
        self.door = door
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def account(self, user: ChannelUser) -> tuple[str, Account | None]:
        """The name of ours that a user has, declared or by their address, and its account, which
        is None only while nobody has any. Raises `NoRightError`.
        """
        if user.stranger:
            raise NoRightError(f"user {user.id!r} is {user.stranger}")
        people, accounts = self.door.people, self._engine.store.people
        name = people.get(user.id, "")
        if not name and (address := self._address(user.id)):
            owner = accounts.named(address)
            name = people.get(address, owner.name if owner else "")
        if not name:
            raise NoRightError(
                f"user {user.id!r} is nobody here: an operator writes them under people of target "
                f"{self._target!r} in the notify_file"
            )
        found = accounts.named(name)
        if found is None and accounts.known():
            raise NoRightError(f"nobody is called {name!r} here; see: copilot users list")
        if found is not None and found.disabled:
            raise NoRightError(f"the account {name!r} is disabled")
        return (found.name if found else name), found

    def _address(self, user: str) -> str:
        try:
            return self.door.email(user)
        except NoticeError as error:
            self._complain(f"the address of user {user!r}", error)
            return ""

    def answered(self, found: Arrival) -> tuple[JsonValue, Callable[[], None] | None]:
        """The answer to what came, and what is to be done after it; raises `ForgedError`."""
        if isinstance(found, Handshake):
            return found.answer, None
        if isinstance(found, ButtonPress):
            text, done = self.press(found)
            return self.door.toast(text, done=done), partial(self.whisper, found, text)
        return self.door.empty, self.take(found) if found is not None else None

    def press(self, press: ButtonPress) -> tuple[str, bool]:
        """What came of a button, in words, and whether it counts; raises `ForgedError`."""
        engine = self._engine
        try:
            # Held as long as its signature counts, in the store: a restart forgets none.
            mark, holder = f"press {self._target} {press.key}", secrets.token_hex(8)
            engine.store.locks.take(mark, holder, engine.now(), 2 * FRESH_S)
        except TargetBusyError:
            raise ForgedError("this request came before") from None
        try:
            return self._pressed(press), True
        except (PolicyRefusedError, UnknownIncidentError) as refusal:
            log.warning("a button of %r was refused: %s", self._target, refusal)
            no = "未生效:" if self.door.language == "zh" else "This does not count: "
            return f"{no}{refusal}", False

    def _pressed(self, press: ButtonPress) -> str:
        engine, value, zh = self._engine, press.value, self.door.language == "zh"
        who, _ = self.account(press.user)
        incident = engine.store.incidents.require(value.incident)
        pressed = {"choice": value.choice, "target": self._target, "user": press.user.id}
        detail = {**pressed, "plan": value.plan, "digest": value.digest}
        engine.store.journal.append(incident.id, "pressed", who, {**detail}, engine.now())
        if press.reference:
            called = f"{self.door.kind}:{press.reference}"
            engine.store.notices.keep_card(self._target, incident.id, called)
        if value.choice == "take":
            word = OnCallWord(action="take", by=who)
            say(engine.store, engine.policy, incident.id, word, engine.now())
            return f"事件由你({who})处理。" if zh else f"It is yours, {who}."
        asked = engine.store.approvals.get(value.plan)
        if asked is None or asked.plan.incident_id != incident.id:
            raise UnknownPlanError(f"incident {incident.id!r} has no plan {value.plan!r}")
        decided = engine.decide(
            Approval(
                plan_id=value.plan,
                digest=value.digest,
                decision=value.choice,
                approver=who,
                reason=_UNSAID if value.choice == "reject" else "",
                decided_at=engine.now(),
            )
        )
        terms = engine.terms(decided.plan)
        count = f"{terms.approvals.given}/{terms.approvals.needed}"
        if value.choice == "reject":
            return f"已拒绝,操作人 {who}。" if zh else f"Rejected, by {who}."
        dry = (
            ("(演练,不会真正执行)" if zh else " (dry run: nothing is really touched)")
            if terms.dry_run
            else ""
        )
        if decided.status == "pending":
            return (
                f"已批准 {count},还需另一人。{dry}"
                if zh
                else f"Approved {count}: another person is needed.{dry}"
            )
        return f"已批准,操作人 {who}。{dry}" if zh else f"Approved, by {who}.{dry}"

    def take(self, asked: ChannelQuestion) -> Callable[[], None] | None:
        """Write a question down; returns what answers it, None where it came before."""
        store = self._engine.store
        if self._chat is None or store.conversations.of_key(asked.key) is not None:
            return None
        try:
            if asked.user.stranger or store.people.known():
                self.account(asked.user)
            # A storm or a digest has a message, too; an incident may be kept no longer.
            told = store.notices.incident_of(self._target, f"{self.door.kind}:{asked.reference}")
            turn = self._chat.take(
                Question(
                    text=asked.text,
                    conversation_id=f"{self._target}-{asked.place}"[:200],
                    incident_id=told if told and store.incidents.get(told) else "",
                    key=asked.key,
                )
            )
        except (NoRightError, QuestionError) as refusal:
            said = str(refusal)
            return lambda: self._reply(asked, said)
        chat = self._chat
        return lambda: self._answer(chat, asked, turn)

    def _answer(self, chat: ChatService, asked: ChannelQuestion, turn: Turn) -> None:
        if not self._free.acquire(blocking=False):
            self._reply(asked, _BUSY[self.door.language])
            return
        grows = GrowingAnswer(self.door, asked)
        try:
            answer = chat.answer(turn, grows.hear).answer
        finally:
            self._free.release()
        self._reply(asked, answer.text if answer else "", grows)

    def _reply(self, asked: ChannelQuestion, text: str, grows: GrowingAnswer | None = None) -> None:
        try:
            (grows or GrowingAnswer(self.door, asked)).end(text)
        except NoticeError as error:
            self._complain("the answer to a question", error)

    def whisper(self, press: ButtonPress, text: str) -> None:
        """Tell who pressed what came of it."""
        try:
            self.door.whisper(press, text)
        except NoticeError as error:
            self._complain("what came of a button", error)

    def _complain(self, what: str, error: NoticeError) -> None:
        said = plain(self._engine.store.redactor.text(error.problem), 200)
        log.warning("target %r: %s is not told: %s", self._target, what, said)


def desks_of(
    engine: ServiceEngine, doors: Mapping[str, ChannelDoor], chat: ChatService | None
) -> dict[str, ChannelDesk]:
    """A desk behind every door."""
    return {name: ChannelDesk(engine, name, door, chat) for name, door in doors.items()}


def hooks(desks: Mapping[str, ChannelDesk]) -> APIRouter:
    """One address for each target that has buttons."""
    router = APIRouter(tags=["channels"])

    def arrived(
        target: str, request: Request, content: Annotated[bytes, Depends(body)]
    ) -> Response:
        desk = desks.get(target)
        if desk is None:
            raise HTTPException(404, f"no target {target[:64]!r} has buttons")
        try:
            found = desk.door.arrived(request.headers, request.query_params, content)
            answer, later = desk.answered(found)
        except ForgedError as error:
            raise HTTPException(401, str(error)) from None
        after = BackgroundTask(later) if later else None
        if isinstance(answer, str):
            return PlainTextResponse(answer, background=after)
        return JSONResponse(answer, background=after)

    for method in ("GET", "POST"):  # WeCom asks by GET whether the address is ours
        said = "Take what a channel's platform sends"
        router.add_api_route(HOOKS + "{target}", arrived, methods=[method], summary=said)
    return router
