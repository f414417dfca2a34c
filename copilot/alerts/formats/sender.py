"""A sender: its route, what it is called, how its documents are recognised, and who reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from copilot.alerts.formats.errors import from_validation
from tools.types import Alert, Timestamp

PayloadReader = Callable[[object, Timestamp], tuple[Alert, ...]]
_ModelT = TypeVar("_ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sender:
    """One shape of one product; several may share a route.

    `mark` tells its documents from everybody else's, and is sure: where it holds, `read` is right.
    """

    route: str
    product: str
    mark: Callable[[object], bool]
    read: PayloadReader


def has(document: object, *names: str) -> bool:
    """True for an object that has all these fields."""
    return isinstance(document, dict) and all(name in document for name in names)


def part(document: object, name: str) -> object:
    """What an object holds under a name; None for anything else."""
    return document.get(name) if isinstance(document, dict) else None


def read_as(shape: type[_ModelT], document: object, path: str = "") -> _ModelT:
    """The document in its shape, or a `PayloadError` about the first field that does not fit."""
    try:
        return shape.model_validate(document)
    except ValidationError as problem:
        raise from_validation(problem, path) from problem
