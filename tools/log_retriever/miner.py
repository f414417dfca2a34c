"""Mine message templates from a stream of log lines."""

import hashlib
import re
from dataclasses import dataclass

from pydantic import Field

from tools.types import Frozen, Timestamp

_VARIABLE = re.compile(
    r"(?P<hex>\b0x[0-9a-fA-F]{1,64}\b)|(?P<ip>\b\d{1,3}(?:\.\d{1,3}){3}\b)|(?P<number>\d{1,64})"
)


class MinerConfig(Frozen):
    """How templates are mined; the defaults fit every format."""

    max_line: int = Field(default=4096, ge=64)


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of a line that changes, with what it looks like."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """A mined template; `id` is the hash of its text, so it survives restarts."""

    id: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """One line taken apart."""

    template_id: str
    template: str
    content: str
    timestamp: Timestamp | None = None
    level: str = ""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variable parts in order of appearance."""
        return tuple(Variable(m.lastgroup or "", m[0]) for m in _VARIABLE.finditer(self.content))


def template_id(template: str) -> str:
    """Twelve hex digits of the SHA-256 of the template text."""
    return hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()[:12]


class Miner:
    """Streaming template miner: `add` a line, read `templates`."""

    def __init__(self, config: MinerConfig | None = None) -> None:
        self._config = config or MinerConfig()
        self._counts: dict[str, int] = {}

    def add(self, text: str) -> Parsed:
        """Take one raw line: its header is recognised and set aside."""
        return self.add_content(text)

    def add_content(self, content: str) -> Parsed:
        """Take one message that has no header."""
        content = content[: self._config.max_line]
        template = _VARIABLE.sub("<*>", content)
        self._counts[template] = self._counts.get(template, 0) + 1
        return Parsed(template_id(template), template, content)

    def resolve(self, former_id: str) -> str:
        """The present template of an id that `add` returned earlier."""
        for template in self._counts:
            if template_id(template) == former_id:
                return template
        raise KeyError(former_id)

    def templates(self) -> list[Template]:
        """All templates, most frequent first."""
        found = [Template(template_id(t), t, n) for t, n in self._counts.items()]
        return sorted(found, key=lambda t: (-t.count, t.text))
