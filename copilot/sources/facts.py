"""Facts of the components as an operator or a platform tells them: JSON, `<fact>:<component>`."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic_core import from_json

from copilot.ports import SourceError
from copilot.sources.json_api import JsonApi
from tools.types import Fact

MOST_FACTS = 50_000
MOST_BYTES = 4 * 1024 * 1024
_KEY = re.compile(r"[a-z][a-z0-9_]{0,40}:[^\s:][^\x00-\x1f]{0,199}")
_LONGEST = 500


class ConfiguredFacts:
    """Reads the facts anew whenever they are asked for: what is configured has the last word."""

    def __init__(self, name: str, read: Callable[[], object]) -> None:
        self._name = name
        self._read = read

    def facts(self) -> Mapping[str, Fact]:
        """What is told now; raises SourceError with the first thing that is wrong."""
        document = self._read()
        if not isinstance(document, dict):
            raise self._wrong("is no JSON object of `<fact>:<component>`")
        if len(document) > MOST_FACTS:
            raise self._wrong(f"has {len(document)} facts; at most {MOST_FACTS} are read")
        return {key: self._fact(key, value) for key, value in document.items()}

    def describe(self) -> str:
        """Where they come from, and how many there are."""
        return f"{self._name}: {len(self.facts())} facts"

    def problems(self) -> Sequence[str]:
        """Facts are told whole or not at all."""
        return ()

    def _fact(self, key: str, value: object) -> Fact:
        if not _KEY.fullmatch(key):
            raise self._wrong(f"{key[:80]!r} is no `<fact>:<component>`, such as replicas:cart")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._wrong(f"{key!r} is {type(value).__name__}; a fact is a number or a word")
        if isinstance(value, str) and len(value) > _LONGEST:
            raise self._wrong(f"{key!r} is a text of {len(value)} letters; a fact is a word")
        return value if isinstance(value, str) else float(value)

    def _wrong(self, problem: str) -> SourceError:
        return SourceError(self._name, problem, recoverable=False)


def from_file(path: Path) -> ConfiguredFacts:
    """Facts in a file, which may change while we run."""
    name = f"facts_file {str(path)!r}"

    def read() -> object:
        try:
            if path.stat().st_size > MOST_BYTES:
                problem = f"is larger than {MOST_BYTES} bytes"
                raise SourceError(name, problem, recoverable=False)
            return from_json(path.read_bytes(), allow_inf_nan=False)
        except (OSError, ValueError) as error:
            raise SourceError(name, f"cannot be read: {error}", recoverable=False) from error

    return ConfiguredFacts(name, read)


def from_url(api: JsonApi) -> ConfiguredFacts:
    """Facts that a platform tells at an address."""
    return ConfiguredFacts(api.source, lambda: api.get(""))
