"""A TOML file that an operator wrote, read strictly: an unknown key is an error and named."""

import json
import tomllib
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import ValidationError

from copilot.types.errors import OperatorError
from tools.types import FrozenModel

FileT = TypeVar("FileT", bound=FrozenModel)


class FileError(OperatorError):
    """A file is wrong; the message says which setting names it, at which key, and what."""

    setting: ClassVar[str]

    def __init__(self, path: Path, key: str, problem: str) -> None:
        place = f"{key}: " if key else ""
        super().__init__(f"{self.setting} {str(path)!r}: {place}{problem}")
        self.key = key


def read(path: Path, shape: type[FileT], wrong: type[FileError]) -> FileT:
    """The file, or `wrong` about the first key that is wrong.

    Nothing but a check of `shape` itself repeats what stands there: it may be a secret.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(document, default=str)
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(path, "", f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise wrong(path, "", f"is not TOML: {error}") from error
    try:
        return shape.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        known = "is not a key of this file; see docs/settings.md"
        problem = known if first["type"] == "extra_forbidden" else first["msg"]
        raise wrong(path, _key(first["loc"]), problem.removeprefix("Value error, ")) from None


def _key(location: tuple[int | str, ...]) -> str:
    """`maintenance[0].zone`: tables of one name are counted from 0."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part != "[key]":
            key += f".{part}" if key else part
    return key
