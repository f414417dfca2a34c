"""A file that an operator wrote, TOML or by its ending YAML, read strictly: an unknown key is an
error and named, in YAML one that stands twice, too.
"""

import json
import tomllib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import ValidationError

from copilot.types.errors import OperatorError
from tools.types import FrozenModel

FileT = TypeVar("FileT", bound=FrozenModel)


class FileError(OperatorError):
    """A file is wrong; the message says which setting names it, at which key, and what."""

    setting: ClassVar[str]
    page: ClassVar[str] = "docs/settings.md"

    def __init__(self, path: Path, key: str, problem: str) -> None:
        place = f"{key}: " if key else ""
        super().__init__(f"{self.setting} {str(path)!r}: {place}{problem}")
        self.key = key


def read(path: Path, shape: type[FileT], wrong: type[FileError]) -> FileT:
    """The file, or `wrong` about the first key that is wrong.

    Nothing but a check of `shape` itself repeats what stands there: it may be a secret.
    """
    try:
        written = path.read_text(encoding="utf-8")
        in_yaml = path.suffix in (".yaml", ".yml")
        document = yaml.load(written, _StrictLoader) if in_yaml else tomllib.loads(written)
        text = json.dumps(document, default=str)
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(path, "", f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise wrong(path, "", f"is not TOML: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise wrong(path, "", f"is not YAML: {place}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise wrong(path, "", f"is not YAML: {type(error).__name__}") from None
    try:
        return shape.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        known = f"is not a key of this file; see {wrong.page}"
        problem = known if first["type"] == "extra_forbidden" else first["msg"]
        raise wrong(path, _key(first["loc"]), problem.removeprefix("Value error, ")) from None


class _StrictLoader(yaml.SafeLoader):
    """Plain values only; of a key that stands twice PyYAML would silently keep the last."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError:
            problem = "what reads like a date or a number is none; write a text in quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def _key(location: tuple[int | str, ...]) -> str:
    """`maintenance[0].zone`: tables of one name are counted from 0."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part != "[key]":
            key += f".{part}" if key else part
    return key
