"""The text of a body as a JSON value, with bounds on what it may do to us."""

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
