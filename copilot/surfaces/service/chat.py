"""`POST /chat`: a question, and its answer as server-sent events; the conversation is kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import from_validation
from copilot.surfaces.chat import AnswerTask, ChatService, Heartbeat, Progress, Question
from copilot.surfaces.service.answers import AT_ONCE, heard
from copilot.surfaces.service.body import body
from copilot.types.conversation import Turn
from prompts import Language
from tools.types import FrozenModel

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

Identifier = Annotated[str, Field(max_length=200)]


class ChatQuestion(FrozenModel):
    """A question. Without `text`, the last one of the conversation: answered again if need be."""

    text: str = ""
    conversation_id: Identifier = ""
    incident_id: Identifier = ""
    language: Language | None = None


def chat(desk: ChatService) -> APIRouter:
    """Asking, and reading what was said."""
    router = APIRouter(tags=["chat"])
    free = asyncio.Semaphore(AT_ONCE)

    @router.post("/chat", summary="Ask about an incident; the answer is a stream of events")
    async def ask(content: Annotated[bytes, Depends(body)]) -> Response:
        if free.locked():
            return busy()
        said = _read(content)
        turn = await run_in_threadpool(_recorded_turn, desk, said)
        told = _told(desk, turn, said.language, free)
        return StreamingResponse(told, media_type="text/event-stream", headers=HEADERS)

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


def busy() -> JSONResponse:
    """All places are taken."""
    detail = f"{AT_ONCE} questions are being answered already; try again later"
    return JSONResponse({"detail": detail}, 503, headers={"retry-after": "5"})


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
