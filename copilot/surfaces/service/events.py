"""The journal as server-sent events, resumable by the number of the last one: of one incident, and
of all of them as a feed."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from copilot.store import Store
from copilot.surfaces.service.ports import Streams
from copilot.types.incident import Event

KEPT = 2000
"""Rows of the feed in memory; who is further behind reads them from the store."""

PAGE = 500

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def events(store: Store, streams: Streams) -> APIRouter:
    """`GET /incidents/{id}/events`: what happened, then what happens."""
    router = APIRouter(tags=["incidents"])
    free = asyncio.Semaphore(streams.most)

    @router.get("/incidents/{incident_id}/events", summary="Its journal, as a stream")
    def stream(
        incident_id: str,
        last_event_id: Annotated[int, Header(ge=0, le=2**62)] = 0,
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        follow: Annotated[bool, Query(description="Wait for more, or end.")] = True,
    ) -> Response:
        store.incidents.require(incident_id)
        if follow and free.locked():
            detail = f"{streams.most} event streams are open already; try again later"
            return JSONResponse({"detail": detail}, 503, headers={"retry-after": "5"})

        async def page(seq: int) -> Sequence[Event]:
            return await run_in_threadpool(store.journal.events, incident_id, seq, PAGE)

        begin = max(last_event_id, after)
        told = _told(page, _line, begin, streams, free, follow=follow)
        return StreamingResponse(told, media_type="text/event-stream", headers=_HEADERS)

    return router


def feed(store: Store, streams: Streams) -> APIRouter:
    """`GET /events`: what happens in every incident, for pages and programs that stay."""
    router = APIRouter(tags=["incidents"])
    tail = JournalTail(store, streams.poll_s)
    free = asyncio.Semaphore(streams.viewers)

    @router.get(
        "/events",
        summary="Every journal row as it is written, as a stream",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"example": _EXAMPLE}}}},
    )
    async def stream(
        last_event_id: Annotated[int | None, Header(ge=0, le=2**62)] = None,
        after: Annotated[
            int | None, Query(ge=0, le=2**62, description="Row to go on after; empty: the last.")
        ] = None,
        follow: Annotated[bool, Query(description="Wait for more, or end.")] = True,
    ) -> Response:
        if follow and free.locked():
            detail = f"{streams.viewers} readers follow the feed already; try again later"
            return JSONResponse({"detail": detail}, 503, headers={"retry-after": "5"})
        begin = last_event_id if last_event_id is not None else after
        if begin is None:
            begin = await tail.last()
        told = _told(tail.after, _unnamed, begin, streams, free, follow=follow)
        return StreamingResponse(told, media_type="text/event-stream", headers=_HEADERS)

    return router


_EXAMPLE = (
    'id: 7\ndata: {"seq":7,"at":1764489600.0,"incident_id":"inc-2e999815","kind":"located",'
    '"by":"copilot","detail":{"reason":"cart, bad deployment"}}\n\n'
)


class JournalTail:
    """The newest rows of the journal, read once for all who listen.

    A listener is a row's number and nothing is kept for it: however slowly it reads, what waits is
    in its connection alone, which ends it (`BoundedConnection`).
    """

    def __init__(self, store: Store, every_s: float, kept: int = KEPT) -> None:
        self._store = store
        self._every_s = every_s
        self._kept = kept
        self._read_at = float("-inf")
        self._rows: deque[Event] = deque(maxlen=kept)
        self._complete_after: int | None = None
        self._reading = asyncio.Lock()

    async def last(self) -> int:
        """The newest row's number."""
        await self._read()
        return self._rows[-1].seq if self._rows else self._complete_after or 0

    async def after(self, seq: int) -> Sequence[Event]:
        """A page of the rows above `seq`, in order."""
        await self._read()
        if seq < (self._complete_after or 0):
            return await run_in_threadpool(self._store.journal.events, None, seq, PAGE)
        return [one for one in self._rows if one.seq > seq][:PAGE]

    async def _read(self) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at < self._every_s:
                return
            journal = self._store.journal
            if self._complete_after is None:
                self._complete_after = await run_in_threadpool(journal.last)
            begin = self._rows[-1].seq if self._rows else self._complete_after
            found = await run_in_threadpool(journal.events, None, begin, PAGE)
            if len(self._rows) + len(found) > self._kept:
                self._complete_after = [*self._rows, *found][-self._kept - 1].seq
            self._rows.extend(found)
            self._read_at = time.monotonic() if len(found) < PAGE else float("-inf")


async def _told(
    page: Callable[[int], Awaitable[Sequence[Event]]],
    line: Callable[[Event], str],
    after: int,
    streams: Streams,
    free: asyncio.Semaphore,
    *,
    follow: bool,
) -> AsyncIterator[str]:
    """Sleeps on the event loop, not in a thread: waiting streams cost no thread."""
    async with free if follow else nullcontext():
        begun = spoken = time.monotonic()
        yield "retry: 2000\n\n"
        while True:
            found = await page(after)
            for event in found:
                after = event.seq
                yield line(event)
            now = time.monotonic()
            if found:
                spoken = now
                continue
            if not follow or now - begun > streams.longest_s:
                return
            if now - spoken > streams.heartbeat_s:
                spoken = now
                yield ": still here\n\n"
            await asyncio.sleep(streams.poll_s)


def _unnamed(event: Event) -> str:
    """Unnamed, so that one listener of a page hears every kind; the JSON says which."""
    told = event.model_dump_json(exclude={"previous", "digest"})
    return f"id: {event.seq}\ndata: {told}\n\n"


def _line(event: Event) -> str:
    # The JSON is on one line and `kind` is quoted in it too: no field can end the event early.
    name = "".join(letter for letter in event.kind if letter.isalnum() or letter in "._-")
    return f"id: {event.seq}\nevent: {name or 'event'}\ndata: {event.model_dump_json()}\n\n"
