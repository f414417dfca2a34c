"""The journal of an incident as server-sent events, resumable by the number of the last one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from copilot.store import Store
from copilot.surfaces.service.ports import Streams
from copilot.types.incident import Event

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
        told = _told(store, incident_id, max(last_event_id, after), streams, free, follow=follow)
        return StreamingResponse(told, media_type="text/event-stream", headers=_HEADERS)

    return router


async def _told(
    store: Store,
    incident_id: str,
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
            found = await run_in_threadpool(store.journal.events, incident_id, after, 500)
            for event in found:
                after = event.seq
                yield _line(event)
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


def _line(event: Event) -> str:
    # The JSON is on one line and `kind` is quoted in it too: no field can end the event early.
    name = "".join(letter for letter in event.kind if letter.isalnum() or letter in "._-")
    return f"id: {event.seq}\nevent: {name or 'event'}\ndata: {event.model_dump_json()}\n\n"
