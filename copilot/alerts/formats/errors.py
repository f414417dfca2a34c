"""What may be wrong with a payload, in one sentence with the place."""

from typing import Self

from pydantic import ValidationError

from copilot.types.errors import OperatorError
from tools.log_retriever.sanitize import sanitize

_SHOWN = 80


class PayloadError(OperatorError):
    """The sender's document is not what the format says; sending it again will not help."""

    def __init__(self, path: str, expected: str, given: object = None) -> None:
        self.path = sanitize(path, 200) if path else "body"
        self.expected = expected
        seen = "" if given is None else f", got {_shown(given)}"
        super().__init__(f"{self.path}: expected {expected}{seen}")

    def told(self, remedy: str) -> Self:
        """The same with what was taken for what, and what to do."""
        said = f"{self} ({remedy})"
        self.args = (said,)
        return self


class MalformedError(PayloadError):
    """The body is not a JSON document at all."""


class TooManyAlertsError(PayloadError):
    """One request may not carry this many alerts."""


def from_validation(problem: ValidationError, prefix: str = "") -> PayloadError:
    """The first fault that pydantic found, in our words."""
    first = problem.errors(include_url=False)[0]
    path = _path(prefix, first["loc"])
    if first["type"] == "missing":
        return PayloadError(path, "a value, but the field is missing")
    expected = _EXPECTED.get(first["type"])
    if expected is None:
        expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return PayloadError(path, expected, first["input"])


_EXPECTED = {
    "string_type": "a string",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
}


def _path(prefix: str, location: tuple[int | str, ...]) -> str:
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


def _shown(given: object) -> str:
    match given:
        case dict():
            return f"an object with {len(given)} fields"
        case list() | tuple():
            return f"a list of {len(given)}"
        case str():
            return repr(sanitize(given, _SHOWN))
        case int() if given.bit_length() > 256:
            return "a number of very many digits"
        case bool() | int() | float():
            return repr(given)
        case _:
            return type(given).__name__
