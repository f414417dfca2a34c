"""`GET /v1/models`, `POST /v1/chat/completions` and `/v1/responses`, streamed and whole."""

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import JsonValue, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from copilot.alerts.formats import PayloadError
from copilot.alerts.formats.document import decoded
from copilot.store import StoreError, UnknownIncidentError
from copilot.surfaces.chat import (
    AnswerTask,
    ChatService,
    Heartbeat,
    Progress,
    Question,
    QuestionError,
)
from copilot.surfaces.service.answers import AT_ONCE, heard
from copilot.surfaces.service.body import body
from copilot.surfaces.service.openai.shapes import (
    MODEL,
    CompletionRequest,
    Envelope,
    LenientModel,
    ResponseEnvelope,
    ResponseRequest,
    pieces,
    refused,
    usage_of,
)
from copilot.types.conversation import MOST_QUESTION, Turn
from copilot.types.incident import CLOSED
from tools.log_retriever import sanitize
from tools.types import Timestamp

SentT = TypeVar("SentT", bound=LenientModel)

TimeSource = Callable[[], Timestamp]

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def openai(desk: ChatService, now: TimeSource) -> APIRouter:
    """What clients ask of that API; everything else of it is not offered."""
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
        asked = partial(_asking, content)
        return await _reply(desk, free, int(now()), request, asked)

    @router.post("/v1/responses", summary="Ask by the Responses API (OpenAI-compatible)")
    async def respond(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        asked = partial(_responding, content)
        return await _reply(desk, free, int(now()), request, asked, ResponseEnvelope)

    return router


async def _reply(
    desk: ChatService,
    free: asyncio.Semaphore,
    began: int,
    request: Request,
    read: Callable[[], CompletionRequest],
    kind: type[Envelope] = Envelope,
) -> Response:
    try:
        asked = read()
        if free.locked():
            return refused(503, f"{AT_ONCE} questions are being answered already")
        number = secrets.token_hex(12)
        done = chore(asked.questions, stream=asked.stream)
        if done is not None:
            return _at_once(asked, kind(f"chatcmpl-{number}", began, asked.model), done)
        turn = await run_in_threadpool(_taken, desk, asked, request)
    except (PayloadError, QuestionError, StoreError) as error:
        return refused(_status(error), str(error))
    answering = AnswerTask(desk, turn)
    by_turn = kind is ResponseEnvelope  # a response goes on with another by its id
    name = f"resp_{turn.conversation_id}.{turn.number}" if by_turn else f"chatcmpl-{number}"
    envelope = kind(name, began, asked.model)
    if asked.stream:
        told = _streamed(answering, asked, envelope, free)
        headers = {**_HEADERS, "x-conversation-id": turn.conversation_id}
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)
    return await _whole(answering, envelope, free)


def _read_as(content: bytes, shape: type[SentT]) -> SentT:
    try:
        return shape.model_validate(decoded(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise QuestionError(f"{where}: {first['msg']}") from error


def _asking(content: bytes) -> CompletionRequest:
    return _with_words(_read_as(content, CompletionRequest))


def _responding(content: bytes) -> CompletionRequest:
    return _with_words(_read_as(content, ResponseRequest).completion())


def _with_words(asked: CompletionRequest) -> CompletionRequest:
    """The request; raises `QuestionError` where it asks nothing."""
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
    """The role first, tools as reasoning, the checked text, how it ended, what it cost.

    What the tools found is told before a model writes; what it wrote comes under it, checked.
    """
    async with free:
        shown = ""
        yield envelope.chunk({"role": "assistant", "content": ""})
        async for told in heard(answering):
            if isinstance(told, Heartbeat):
                yield ": ping\n\n"
            elif isinstance(told, Progress) and told.step == "text":
                shown = told.said
                for piece in pieces(shown):
                    yield envelope.chunk({"content": piece})
            elif isinstance(told, Progress):
                if told.state != "running" and told.name:
                    line = f"{told.name}: {told.said or told.state}\n"
                    yield envelope.chunk({"reasoning_content": line})
            else:
                text = told.answer.text if told.answer else ""
                # An answer that broke after its beginning was told says so under it.
                rest = text.removeprefix(shown) if text.startswith(shown) else f"\n{text}"
                for piece in pieces(rest):
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


_OPEN_WEBUI = re.compile(r"\s*###\s*Task:", re.IGNORECASE)
_NAMING = re.compile(
    r"\b(give|write|generate|create|suggest)\b.{0,60}\b(name|title)\b"
    r"|\b(name|title) (for )?(this|the) (conversation|chat)"
    r"|(生成|起|取)一?个?.{0,20}(标题|名称|名字)",
    re.IGNORECASE | re.DOTALL,
)
_ASKED_FOR = re.compile(r'"(title|tags|follow_ups|queries|text)"\s*:')
_SAID = re.compile(r"(?:^|\n)\s*(?:USER|User|user|用户)\s*[::]\s*(.+)")
TITLE = 60


def chore(questions: Sequence[str], *, stream: bool) -> str | None:
    """The answer to a chore of the client; None where a person asks.

    Open WebUI marks its chores with `### Task:`. Others ask for a name of the conversation, and do
    not stream it; a person who asks for a title in a stream is taken for a person.
    """
    text = questions[-1]
    if _OPEN_WEBUI.match(text):
        wanted = dict.fromkeys(_ASKED_FOR.findall(text))
        key = next(iter(wanted), "title")
        return json.dumps({key: _value(key, text)}, ensure_ascii=False)
    if not stream and len(text) > TITLE and _NAMING.search(text):
        return _title(text, questions)
    return None


def _value(key: str, text: str) -> str | list[str]:
    if key == "title":
        return _title(text, ())
    return ["incident"] if key == "tags" else "" if key == "text" else []


def _title(text: str, questions: Sequence[str]) -> str:
    """The first thing the person said, short."""
    said = _SAID.search(text)
    first = said[1] if said else questions[0] if len(questions) > 1 else ""
    return sanitize(first, TITLE) if first.strip() else "Incident"


_NAMED = ("x-conversation-id", "x-openwebui-chat-id")

LISTED = 20


def question_of(
    asked: CompletionRequest, headers: Mapping[str, str], desk: ChatService
) -> Question:
    """The last question, in the conversation that all before it were asked in.

    A header or `metadata.conversation_id` names the conversation. Else its key is the digest of who
    asks and of every question before; the key of this turn adds this question. So two people who
    both begin with "hi" do not share one, and a question asked again branches where it was asked.
    """
    questions = asked.questions
    incident = asked.model.partition(":")[2]
    named = _named(asked, headers, desk)
    if named:
        return Question(text=questions[-1], conversation_id=named, incident_id=incident)
    before = desk.store.conversations.of_key(key_of(asked.user, questions[:-1]))
    known = before is not None and len(questions) > 1
    return Question(
        text=questions[-1][: MOST_QUESTION + 1],
        conversation_id=before.conversation_id if before is not None and known else "",
        incident_id=incident,
        key=key_of(asked.user, questions),
    )


def key_of(user: str, questions: Sequence[str]) -> str:
    """The digest of who asks and what was asked so far; empty before the first question."""
    if not questions:
        return ""
    said = json.dumps([user, *questions], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def models(desk: ChatService) -> list[str]:
    """The name for the newest incident, then one for each open one."""
    opened = [one.id for one in desk.store.incidents.list(limit=200) if one.status not in CLOSED]
    return [MODEL, *(f"{MODEL}:{name}" for name in opened[:LISTED])]


def _named(asked: CompletionRequest, headers: Mapping[str, str], desk: ChatService) -> str:
    said = (asked.metadata or {}).get("conversation_id")
    for given in (*(headers.get(name) for name in _NAMED), said):
        if isinstance(given, str) and given.strip():
            if desk.store.conversations.get(given) is not None:
                return given
            # A name of the client's own, kept apart from the ids that we give.
            return f"client-{hashlib.sha256(given.encode('utf-8', 'replace')).hexdigest()[:24]}"
    return ""
