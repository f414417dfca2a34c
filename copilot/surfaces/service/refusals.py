"""From our errors to HTTP: a status and one sentence in `detail`, never what was sent."""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue
from starlette.exceptions import HTTPException
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
from copilot.surfaces.service.alertmanager.errors import (
    ApiRefusalError,
    speaks_alertmanager,
    wrapped,
)
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
    app.add_exception_handler(ApiRefusalError, _api_refusal)
    app.add_exception_handler(HTTPException, _not_routed)


def _plain(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return JSONResponse(_said(request, status, str(error)), status)

    return answer


def _said(request: Request, status: int, detail: str) -> dict[str, JsonValue]:
    """The sentence in the shape of the API that was asked."""
    if speaks_alertmanager(request.url.path):
        return wrapped(status, detail)
    return {"detail": detail}


async def _unavailable(request: Request, error: Exception) -> Response:
    """Nothing was accepted: whoever sent it keeps it and sends it again."""
    return JSONResponse(_said(request, 503, str(error)), 503, headers={"retry-after": "2"})


async def _api_refusal(_request: Request, error: Exception) -> Response:
    return cast(ApiRefusalError, error).response()


async def _not_routed(request: Request, error: Exception) -> Response:
    """Paths and methods there are none of; Alertmanager's API says so in its own shape."""
    refused = cast(HTTPException, error)
    answer = await http_exception_handler(request, refused)
    path = request.url.path
    if not speaks_alertmanager(path) or refused.status_code not in (404, 405):
        return answer
    said = f"path {path} was not found"
    if refused.status_code == 405:
        allowed = answer.headers.get("allow", "").replace(" ", "")
        said = f"method {request.method} is not allowed, but [{allowed}] are"
    body = wrapped(refused.status_code, said)
    return JSONResponse(body, refused.status_code, headers=refused.headers)


async def _parameter(_request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"detail": f"{where}: {first['msg']}"}, 422)
