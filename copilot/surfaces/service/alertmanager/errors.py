"""Errors as clients of Alertmanager's API read them.

What its own code refuses is a JSON string; what its framework refuses is an object with a code,
three digits of HTTP or of go-openapi/validate. Source: prometheus/alertmanager `api/v2/api.go`,
and the answers of 0.25.
"""

from collections.abc import Sequence
from typing import cast

from fastapi.exception_handlers import http_exception_handler
from pydantic import JsonValue, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from copilot.alerts.formats import PayloadError
from tools.clusterer import Matcher

PREFIX = "/api/v2/"
NO_STORE = {"cache-control": "no-store"}

REQUIRED = 602
TOO_FEW = 612
BAD_TYPE = 601


class ApiRefusalError(Exception):
    """A request is answered with a status and one sentence; `code` where the framework says it."""

    def __init__(self, status: int, said: str, code: int | None = None) -> None:
        super().__init__(said)
        self.status, self.said, self.code = status, said, code

    def response(self) -> JSONResponse:
        """In the shape of whoever refuses it there."""
        body = self.said if self.code is None else wrapped(self.code, self.said)
        return JSONResponse(body, self.status, headers=NO_STORE)


def speaks_alertmanager(path: str) -> bool:
    """Whether a path is one of that API."""
    return path.startswith(PREFIX)


def wrapped(code: int, message: str) -> dict[str, JsonValue]:
    """The object that its framework answers with."""
    return {"code": code, "message": message}


def unreadable(what: str, problem: PayloadError) -> ApiRefusalError:
    """A body of another shape: nothing of it is kept."""
    return ApiRefusalError(400, f'parsing {what} body from "" failed, because {problem}', 400)


def filters(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """The matchers of a query, or 400 with the first one that is none."""
    try:
        return tuple(map(Matcher.parse, texts))
    except ValidationError as problem:
        said = f"error parsing regexp: {first_line(problem)}"
        raise ApiRefusalError(400, said) from problem
    except ValueError as problem:
        raise ApiRefusalError(400, str(problem)) from problem


def first_line(problem: ValidationError) -> str:
    """What a validator said, without the frame pydantic puts around it."""
    return problem.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")


async def api_refusal(_request: Request, error: Exception) -> Response:
    """The handler of `ApiRefusalError`."""
    return cast(ApiRefusalError, error).response()


async def not_routed(request: Request, error: Exception) -> Response:
    """Paths and methods there are none of; this API says so in its own shape."""
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
