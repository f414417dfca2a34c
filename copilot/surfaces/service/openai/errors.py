"""Errors as clients of that API read them."""

from typing import Literal

from pydantic import JsonValue
from starlette.responses import JSONResponse

OpenAIErrorType = Literal[
    "invalid_request_error", "authentication_error", "not_found_error", "api_error"
]


def speaks_openai(path: str) -> bool:
    """Whether a path is one of that API; others under /v1 are not."""
    return path == "/v1/models" or path.startswith(("/v1/models/", "/v1/chat/"))


def openai_error(status: int, message: str) -> dict[str, JsonValue]:
    """The error object."""
    kind: OpenAIErrorType = "api_error" if status >= 500 else "invalid_request_error"
    if status == 401:
        kind = "authentication_error"
    if status == 404:
        kind = "not_found_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def refused(status: int, message: str) -> JSONResponse:
    """The error as an answer."""
    return JSONResponse(openai_error(status, message), status)
