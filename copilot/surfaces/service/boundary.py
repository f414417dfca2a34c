"""The outermost layer: every request is measured, and no fault of ours ends the service."""

import logging
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilot.surfaces.service.meters import Meters

log = logging.getLogger(__name__)

# A sender may invent methods; each would be a series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Boundary:
    """Counts and times requests by route, and turns an unexpected error into a recorded 500."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception:  # the service boundary: recorded, answered, and the service lives on
            log.exception("%s %s failed", scope["method"], scope["path"])
            self._meters.errors.inc()
            if status == 0:
                answer = JSONResponse({"detail": "internal error; the log has it"}, 500)
                await answer(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._meters.requests.labels(route, method, str(status)).inc()
            self._meters.seconds.labels(route).observe(time.perf_counter() - started)
