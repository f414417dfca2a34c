"""`GET /v1/models` and `POST /v1/chat/completions`, streamed and whole."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import JsonValue, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from copilot.alerts.formats import PayloadError
from copilot.alerts.formats.document import decoded
from copilot.store import StoreError, UnknownIncidentError
from copilot.surfaces.chat import AnswerTask, ChatService, Heartbeat, Progress, QuestionError
from copilot.surfaces.service.answers import AT_ONCE, heard
from copilot.surfaces.service.body import body
from copilot.surfaces.service.openai.chores import chore
from copilot.surfaces.service.openai.errors import refused
from copilot.surfaces.service.openai.shapes import (
    MODEL,
    CompletionRequest,
    Envelope,
    pieces,
    usage_of,
)
from copilot.surfaces.service.openai.threads import models, question_of
from copilot.types.conversation import Turn
from tools.types import Timestamp

TimeSource = Callable[[], Timestamp]

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def openai(desk: ChatService, now: TimeSource) -> APIRouter:
    """The two routes; everything else of that API is not offered."""
    router = APIRouter(tags=["openai"])
    free = asyncio.Semaphore(AT_ONCE)

    @router.get("/v1/models", summary="What can be asked (OpenAI-compatible)")
    def listed() -> Response:
        data: list[JsonValue] = [_model(name, now) for name in models(desk)]
        return JSONResponse({"object": "list", "data": data})

    @router.get("/v1/models/{name}", summary="One of them")
    def one(name: str) -> Response:
        if name.partition(":")[0] != MODEL:
            return refused(404, f"there is no model {name[:80]!r}; there is {MODEL!r}")
        return JSONResponse(_model(name, now))

    @router.post("/v1/chat/completions", summary="Ask (OpenAI-compatible)")
    async def complete(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        try:
            asked = _read(content)
            if free.locked():
                return refused(503, f"{AT_ONCE} questions are being answered already")
            envelope = Envelope(f"chatcmpl-{secrets.token_hex(12)}", int(now()), asked.model)
            done = chore(asked.questions, stream=asked.stream)
            if done is not None:
                return _at_once(asked, envelope, done)
            turn = await run_in_threadpool(_taken, desk, asked, request)
        except (PayloadError, QuestionError, StoreError) as error:
            return refused(_status(error), str(error))
        answering = AnswerTask(desk, turn)
        if asked.stream:
            told = _streamed(answering, asked, envelope, free)
            headers = {**_HEADERS, "x-conversation-id": turn.conversation_id}
            return StreamingResponse(told, media_type="text/event-stream", headers=headers)
        return await _whole(answering, envelope, free)

    return router


def _read(content: bytes) -> CompletionRequest:
    try:
        asked = CompletionRequest.model_validate(decoded(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise QuestionError(f"{where}: {first['msg']}") from error
    if not asked.questions or not asked.questions[-1].strip():
        raise QuestionError("there is no message of the user with any text in it")
    return asked


def _status(error: Exception) -> int:
    if isinstance(error, UnknownIncidentError):
        return 404
    return 503 if isinstance(error, StoreError) else 400


def _taken(desk: ChatService, asked: CompletionRequest, request: Request) -> Turn:
    question = question_of(asked, request.headers, desk)
    if question.incident_id:
        desk.store.incidents.require(question.incident_id)
    return desk.take(question)


async def _whole(answering: AnswerTask, envelope: Envelope, free: asyncio.Semaphore) -> Response:
    async with free:
        async for told in heard(answering):
            if isinstance(told, Turn):
                text = told.answer.text if told.answer else ""
                if told.status == "failed":
                    return refused(500, told.answer.note if told.answer else "it broke")
                return JSONResponse(envelope.whole(text, usage_of(told.answer)))
    return refused(500, "the answer ended without a word")


async def _streamed(
    answering: AnswerTask, asked: CompletionRequest, envelope: Envelope, free: asyncio.Semaphore
) -> AsyncIterator[str]:
    """The role first, tools as reasoning, the checked text, how it ended, what it cost."""
    async with free:
        yield envelope.chunk({"role": "assistant", "content": ""})
        async for told in heard(answering):
            if isinstance(told, Heartbeat):
                yield ": ping\n\n"
            elif isinstance(told, Progress):
                if told.state != "running" and told.name:
                    line = f"{told.name}: {told.said or told.state}\n"
                    yield envelope.chunk({"reasoning_content": line})
            else:
                for piece in pieces(told.answer.text if told.answer else ""):
                    yield envelope.chunk({"content": piece})
                yield envelope.chunk({}, "stop")
                if asked.wants_usage:
                    yield envelope.usage(usage_of(told.answer))
        yield "data: [DONE]\n\n"


def _at_once(asked: CompletionRequest, envelope: Envelope, text: str) -> Response:
    if not asked.stream:
        return JSONResponse(envelope.whole(text, usage_of(None)))
    parts = [envelope.chunk({"role": "assistant", "content": ""})]
    parts += [envelope.chunk({"content": text}), envelope.chunk({}, "stop")]
    parts += [envelope.usage(usage_of(None))] if asked.wants_usage else []
    whole = "".join([*parts, "data: [DONE]\n\n"])
    return Response(whole, media_type="text/event-stream", headers=_HEADERS)


def _model(name: str, now: TimeSource) -> dict[str, JsonValue]:
    return {"id": name, "object": "model", "created": int(now()), "owned_by": "incident-copilot"}
