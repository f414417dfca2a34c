"""The looks_file, YAML: which servers there are, which of their tools are asked, with what."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, model_validator

from copilot.types import strict_toml
from tools.types import FrozenModel

PLACEHOLDERS = frozenset({"service", "namespace", "start", "end", "start_iso", "end_iso"})
"""What of an incident may stand in an argument: names, and the window as Unix seconds or ISO."""

_HOLE = re.compile(r"\{([^{}]*)\}")

MOST_LOOKS = 40
NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"


class LooksFileError(strict_toml.FileError):
    """The file of looks is wrong; the message says at which key."""

    setting = "looks_file"
    page = "docs/looks.md"


def _expression(given: str) -> str:
    try:
        jmespath.compile(given)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath: {error}") from error
    return given


Expression = Annotated[str, Field(max_length=500), AfterValidator(_expression)]
Named = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class LookServer(FrozenModel):
    """Where looks are asked: a program that speaks MCP on its standard input and output, or an
    address. Secrets are names of variables of the environment, never values.

    `hands_on` names variables of ours that the program is given; it gets no others but HOME, PATH,
    USER and the like.
    """

    speaks: Literal["mcp", "json"] = "mcp"
    command: tuple[str, ...] = ()
    environment: dict[Named, str] = Field(default_factory=dict)
    hands_on: tuple[Named, ...] = ()
    url: str = Field(default="", max_length=500)
    token_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has a command or a url, one of them")
        if self.speaks == "json" and not self.url:
            raise ValueError("a server that speaks json has a url")
        if self.url and not re.match(r"https?://[^/\s@?#]+(/[^\s?#]*)?$", self.url):
            raise ValueError("url reads like https://HOST/PATH, without user, query or fragment")
        if self.command and (self.token_env or self.headers):
            raise ValueError("token_env and headers go with a url; hands_on gives a program a key")
        return self

    @property
    def place(self) -> str:
        """Where it is, as a person is told: its host, or its program."""
        return urlsplit(self.url).netloc if self.url else Path(self.command[0]).name


class DeclaredLook(FrozenModel):
    """One look: a `tool` of an MCP server, or a `path` under the address of a JSON one.

    With none of `readings`, `lines` and `changes` the text of the answer is quoted, by its lines.
    `pinned` is the hash of the tool as it was read by whoever declared it (`copilot looks pin`).
    """

    name: str = Field(pattern=NAME)
    server: str
    about: str = Field(default="", max_length=120)  # what it tells, for a person
    tool: str = Field(default="", max_length=120)
    pinned: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    reads_only: bool = False  # the operator's word, where the tool itself does not say so
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=20)
    path: str = Field(default="", max_length=300)
    query: dict[str, str] = Field(default_factory=dict, max_length=20)
    readings: Expression = ""
    lines: Expression = ""
    changes: Expression = ""
    unit: str = Field(default="", max_length=20)
    timeout_s: float = Field(default=8.0, gt=0, le=30)
    most_bytes: int = Field(default=262_144, ge=1024, le=4 * 1024 * 1024)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if bool(self.tool) == bool(self.path):
            raise ValueError("a look has a tool, or a path, one of them")
        if self.path and not self.path.startswith("/"):
            raise ValueError("path begins with /")
        if self.arguments and not self.tool:
            raise ValueError("arguments go with a tool; query goes with a path")
        for text in self.templates():
            unknown = set(_HOLE.findall(text)) - PLACEHOLDERS
            if unknown or re.search(r"[{}]", _HOLE.sub("", text)):
                known = ", ".join(sorted(f"{{{one}}}" for one in PLACEHOLDERS))
                raise ValueError(f"{text!r}: the placeholders are {known}")
        return self

    def templates(self) -> Iterator[str]:
        """Every text of it in which placeholders may stand."""
        yield self.path
        yield from self.query.values()
        yield from (one for one in self.arguments.values() if isinstance(one, str))

    @property
    def of_a_service(self) -> bool:
        """Whether it is asked for each service of an incident; else once."""
        return any("{service}" in one for one in self.templates())

    def filled(self, values: Mapping[str, str | float]) -> dict[str, Any]:
        """Its arguments with the placeholders filled; what is one placeholder keeps its type."""
        return {name: _filled(one, values) for name, one in self.arguments.items()}


def _filled(given: str | float | bool, values: Mapping[str, str | float]) -> str | float | bool:
    if not isinstance(given, str):
        return given
    alone = _HOLE.fullmatch(given)
    if alone:
        return values[alone[1]]
    return _HOLE.sub(lambda hole: str(values[hole[1]]), given)


class LooksFile(FrozenModel):
    """All of it."""

    servers: dict[Annotated[str, Field(pattern=NAME)], LookServer] = Field(min_length=1)
    looks: tuple[DeclaredLook, ...] = Field(min_length=1, max_length=MOST_LOOKS)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [one.name for one in self.looks]
        for one in self.looks:
            server = self.servers.get(one.server)
            if server is None:
                raise ValueError(f"look {one.name!r}: there is no server {one.server!r}")
            if names.count(one.name) > 1:
                raise ValueError(f"look {one.name!r} stands there twice")
            if bool(one.tool) != (server.speaks == "mcp"):
                wanted = "a tool" if server.speaks == "mcp" else "a path"
                raise ValueError(f"look {one.name!r}: {one.server!r} is asked by {wanted}")
        return self


def read_looks(path: Path) -> LooksFile:
    """The file, or `LooksFileError` with the key that is wrong."""
    return strict_toml.read(path, LooksFile, LooksFileError)
