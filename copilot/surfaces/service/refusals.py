"""From our errors to HTTP: a status and one sentence in `detail`, never what was sent."""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from copilot.alerts.formats import MalformedError, PayloadError, TooManyAlertsError
from copilot.case.postmortem import NotClosedError
from copilot.store import (
    PolicyRefusedError,
    StoreError,
    UnknownConversationError,
    UnknownIncidentError,
)
from copilot.surfaces.chat import QuestionError
from tools.playbook_executor import ParameterError

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (MalformedError, 400),
    (TooManyAlertsError, 413),
    (PayloadError, 422),
    (PolicyRefusedError, 409),
    (QuestionError, 422),
    (UnknownConversationError, 404),
    (UnknownIncidentError, 404),
    (NotClosedError, 409),
    (ParameterError, 422),
)


def refusals(app: FastAPI) -> None:
    """Let the app answer our errors in our words."""
    for error, status in _STATUS:
        app.add_exception_handler(error, _plain(status))
    app.add_exception_handler(StoreError, _unavailable)
    app.add_exception_handler(RequestValidationError, _parameter)


def _plain(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status)

    return answer


async def _unavailable(_request: Request, error: Exception) -> Response:
    """Nothing was accepted: whoever sent it keeps it and sends it again."""
    return JSONResponse({"detail": str(error)}, 503, headers={"retry-after": "2"})


async def _parameter(_request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"detail": f"{where}: {first['msg']}"}, 422)
