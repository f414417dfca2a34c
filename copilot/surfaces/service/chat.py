"""`POST /chat` and the page Ask: a question, and its answer as server-sent events; the conversation
is kept. A browser without JavaScript sends the page's form, and waits.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import from_validation
from copilot.case.briefing import evidence_line
from copilot.store import Store, UnknownConversationError, UnknownIncidentError
from copilot.surfaces.chat import (
    AnswerTask,
    ChatService,
    Heartbeat,
    Progress,
    Question,
    QuestionError,
)
from copilot.surfaces.console.pages import AskedTurn
from copilot.surfaces.service.access import Access
from copilot.surfaces.service.answers import AT_ONCE, heard
from copilot.surfaces.service.body import body
from copilot.surfaces.service.forms import Sent, meant, same_origin
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.rights import Caller, Calling
from copilot.surfaces.service.visit import Visit, page, visits
from copilot.types.conversation import Turn
from prompts import Language
from tools.types import Evidence, FrozenModel

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

BUSY = f"{AT_ONCE} questions are being answered already; try again later"

Identifier = Annotated[str, Field(max_length=200)]
Named = Annotated[str, Query(max_length=200)]


class BusyError(QuestionError):
    """All places are taken."""


class ChatQuestion(FrozenModel):
    """A question. Without `text`, the last one of the conversation: answered again if need be."""

    text: str = ""
    conversation_id: Identifier = ""
    incident_id: Identifier = ""
    language: Language | None = None


def places() -> asyncio.Semaphore:
    """Places for those who ask at the same time."""
    return asyncio.Semaphore(AT_ONCE)


def chat(desk: ChatService, free: asyncio.Semaphore) -> APIRouter:
    """Asking, and reading what was said."""
    router = APIRouter(tags=["chat"])

    @router.post("/chat", summary="Ask about an incident; the answer is a stream of events")
    async def ask(content: Annotated[bytes, Depends(body)]) -> Response:
        if free.locked():
            return busy()
        said = _read(content)
        turn = await run_in_threadpool(_recorded_turn, desk, said)
        return _streamed(desk, turn, said.language, free)

    @router.get("/chat/{conversation_id}", summary="The turns of a conversation")
    def read(conversation_id: str) -> Response:
        conversation = desk.store.conversations.require(conversation_id)
        turns = desk.store.conversations.turns(conversation_id)
        shown = {
            **conversation.model_dump(mode="json"),
            "turns": [turn.model_dump(mode="json") for turn in turns],
        }
        return JSONResponse(shown)

    return router


def asking(
    engine: ServiceEngine, desk: ChatService, access: Access | None, free: asyncio.Semaphore
) -> APIRouter:
    """The page Ask: its form is the same with JavaScript, which only asks for a stream."""
    router = APIRouter(include_in_schema=False)
    Visiting = Annotated[Visit, Depends(visits(access))]

    def shown(
        visit: Visit,
        conversation: str,
        incident: str,
        problem: QuestionError | None = None,
        text: str = "",
    ) -> Response:
        values = asked_values(engine, desk, visit, conversation, incident)
        status = 503 if isinstance(problem, BusyError) else 422 if problem else 200
        told = {**values, "problem": str(problem or ""), "text": text}
        return page("ask.html", visit, told, status)

    @router.get("/console/ask")
    def read(visit: Visiting, conversation: Named = "", incident: Named = "") -> Response:
        try:
            return shown(visit, conversation, incident)
        except (UnknownConversationError, UnknownIncidentError):
            wanted = {"wanted": conversation or incident, "said": "no such"}
            return page("missing.html", visit, wanted, 404)

    @router.post("/console/ask")
    async def ask(request: Request, caller: Calling, visit: Visiting, sent: Sent) -> Response:
        _may_ask(request, caller, visit, sent)
        said = Question(
            text=sent.get("suggested") or sent.get("text", ""),
            conversation_id=sent.get("conversation", "")[:200],
            incident_id=sent.get("incident", "")[:200],
            language=visit.language,
        )
        streams = "text/event-stream" in request.headers.get("accept", "")
        try:
            turn = await run_in_threadpool(_taken, desk, said, free)
        except QuestionError as problem:
            if streams:
                raise
            again = (said.conversation_id, said.incident_id, problem, said.text)
            return await run_in_threadpool(shown, visit, *again)
        if streams:
            return _streamed(desk, turn, visit.language, free)
        async with free:
            async for _ in heard(AnswerTask(desk, turn, visit.language)):
                pass
        where = {"conversation": turn.conversation_id, "incident": said.incident_id}
        return RedirectResponse(f"/console/ask?{urlencode(where)}#turn-{turn.number}", 303)

    return router


def _taken(desk: ChatService, said: Question, free: asyncio.Semaphore) -> Turn:
    if free.locked():
        raise BusyError(BUSY)
    return _recorded_turn(desk, ChatQuestion(**said.model_dump(exclude={"key"})))


def _may_ask(request: Request, caller: Caller, visit: Visit, sent: Mapping[str, str]) -> None:
    """Raise unless a page of ours sent the question, for somebody who may ask."""
    if visit.session is not None:
        meant(request, visit, sent)
        return
    same_origin(request, visit)
    if not caller.may("chat"):
        raise HTTPException(403, "you are not signed in: sign in, then try again")


def asked_values(
    engine: ServiceEngine, desk: ChatService, visit: Visit, conversation: str, incident: str
) -> dict[str, object]:
    """What the form and the turns above it are filled with.

    Raises `UnknownConversationError`, `UnknownIncidentError`.
    """
    turns: tuple[Turn, ...] = ()
    if conversation:
        incident = incident or desk.store.conversations.require(conversation).incident_id
        turns = desk.store.conversations.turns(conversation)
    about = engine.store.incidents.require(incident) if incident else None
    return {
        "conversation": conversation,
        "about": about,
        "turns": [_asked(desk.store, one) for one in turns],
        "suggested": desk.suggestions(about, turns, visit.language),
        "model": desk.model.name if desk.model else "",
    }


def _asked(store: Store, turn: Turn) -> AskedTurn:
    """A turn with its evidence, and the incident whose page still shows each item."""
    answer = turn.answer
    if answer is None:
        return AskedTurn(turn, (), {})
    incident = store.incidents.get(turn.incident_id) if turn.incident_id else None
    held = {one.id: one.statement for one in incident.evidence} if incident else {}
    found = {one.id: turn.incident_id for one in answer.evidence if _held(one, held)}
    lines = tuple(evidence_line(one, answer.language) for one in answer.evidence)
    return AskedTurn(turn, lines, found)


def _held(item: Evidence, held: Mapping[str, str]) -> bool:
    """Whether the incident has the item under this number; it may be numbered anew."""
    return held.get(item.id) == item.statement


def busy() -> JSONResponse:
    """All places are taken."""
    return JSONResponse({"detail": BUSY}, 503, headers={"retry-after": "5"})


def _read(content: bytes) -> ChatQuestion:
    try:
        return ChatQuestion.model_validate(decoded(content))
    except ValidationError as problem:
        raise from_validation(problem) from problem


def _recorded_turn(desk: ChatService, said: ChatQuestion) -> Turn:
    """The question, written down; or the one that waits in the conversation."""
    if said.incident_id:
        desk.store.incidents.require(said.incident_id)
    if said.conversation_id:
        desk.store.conversations.require(said.conversation_id)
    if not said.text.strip() and said.conversation_id:
        turns = desk.store.conversations.turns(said.conversation_id, limit=1)
        if turns:
            return turns[-1]
    return desk.take(Question(**dict(said)))


def _streamed(
    desk: ChatService, turn: Turn, language: Language | None, free: asyncio.Semaphore
) -> Response:
    told = _told(desk, turn, language, free)
    return StreamingResponse(told, media_type="text/event-stream", headers=HEADERS)


async def _told(
    desk: ChatService, turn: Turn, language: Language | None, free: asyncio.Semaphore
) -> AsyncIterator[str]:
    async with free:
        names = {"conversation_id": turn.conversation_id, "number": turn.number}
        yield _event("conversation", TurnReference(**names).model_dump_json())
        if turn.status == "answered":
            yield _event("done", turn.model_dump_json())
            return
        async for told in heard(AnswerTask(desk, turn, language)):
            if isinstance(told, Heartbeat):
                yield ": still at work\n\n"
            elif isinstance(told, Progress):
                yield _event("progress", told.model_dump_json())
            elif told.status in ("answered", "cancelled"):
                yield _event("done", told.model_dump_json())
            else:
                detail = told.answer.note if told.answer else "it broke; the log has it"
                yield _event("error", ErrorDetail(detail=detail).model_dump_json())


class TurnReference(FrozenModel):
    """Where the answer belongs."""

    conversation_id: str
    number: int


class ErrorDetail(FrozenModel):
    """Why there is no answer."""

    detail: str


def _event(name: str, data: str) -> str:
    # JSON is on one line: nothing in it can end the event early.
    return f"event: {name}\ndata: {data}\n\n"
