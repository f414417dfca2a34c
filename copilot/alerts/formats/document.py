"""The text of a body as a JSON value, with bounds on what it may do to us."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from pydantic_core import from_json

from copilot.alerts.formats.errors import MalformedError


def decoded(body: bytes) -> object:
    """Parse UTF-8 JSON; refuses NaN, lone surrogates, numbers of thousands of digits, 200 levels.

    The parser is Rust's jiter: it keeps its own recursion limit, so depth costs no stack.
    """
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        raise MalformedError("", f"JSON ({problem})") from problem
    return value


FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000


def is_form(headers: Mapping[str, str]) -> bool:
    """True where the sender says that its body is an HTML form."""
    told = (text for name, text in headers.items() if name.lower() == "content-type")
    return next(told, "").partition(";")[0].strip().lower() == FORM


def form(body: bytes) -> object:
    """An HTML form as an object of texts."""
    try:
        text = body.decode("utf-8")
        return dict(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        )
    except ValueError as problem:
        raise MalformedError("", f"an HTML form of UTF-8 ({problem})") from problem
