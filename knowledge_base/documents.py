"""Runbooks, postmortems and notes: Markdown with a front matter that is checked when it is read."""

import datetime as dt
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from knowledge_base.catalogue import playbooks
from tools.log_retriever import redact
from tools.log_retriever.sanitize import strip_controls
from tools.types import ComponentKind, FaultKind, FrozenModel, Text

Kind = Literal["runbook", "postmortem", "note"]
Trust = Literal["reviewed", "reported", "unreviewed"]

MOST_TRUST: dict[Kind, Trust] = {
    "runbook": "reviewed",  # written to be followed
    "postmortem": "reported",  # what happened once, elsewhere or here
    "note": "unreviewed",  # what somebody wrote down
}
TRUST_ORDER: tuple[Trust, ...] = ("reviewed", "reported", "unreviewed")
MAX_CHARS = 64_000


class DocumentError(Exception):
    """A document cannot be read; the message names the file, the field and what to change."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class Origin(FrozenModel):
    """Where a document comes from and when it happened; `incident:<id>` for one of our own."""

    url: str = Field(pattern=r"^(https://|incident:)[^\s<>\"]+$", max_length=300)
    date: dt.date


class Section(FrozenModel):
    """One heading with the text below it; what a search shows of a document."""

    heading: str
    text: str


class Document(FrozenModel):
    """One document of the knowledge base.

    `fault_kinds` are the causes it is about: the first is the main one. `services` are the names of
    our own components it happened at. `playbooks` are ids of the catalogue. The trust is at most
    that of its kind: runbook > postmortem > note.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)
    kind: Kind
    title: Text
    symptoms: Text
    fault_kinds: tuple[FaultKind, ...] = Field(min_length=1)
    components: tuple[ComponentKind, ...] = ()
    services: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    origin: Origin | None = None
    trust: Trust = "unreviewed"
    sections: tuple[Section, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "postmortem" and self.origin is None:
            raise ValueError("a postmortem needs its origin: {url: ..., date: YYYY-MM-DD}")
        if TRUST_ORDER.index(self.trust) < TRUST_ORDER.index(MOST_TRUST[self.kind]):
            most = MOST_TRUST[self.kind]
            raise ValueError(f"a {self.kind} has at most the trust {most!r}, not {self.trust!r}")
        return self


@cache
def documents() -> tuple[Document, ...]:
    """Every document that ships with the project, by kind and id."""
    known = _playbook_ids()
    found = []
    for kind in ("runbooks", "postmortems"):
        folder = files("knowledge_base").joinpath(kind)
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".md"):
                document = parse_document(file.read_text(encoding="utf-8"), file.name, known)
                _named_after_its_id(document, file.name)
                found.append(document)
    return tuple(found)


def read_folder(folder: Path) -> tuple[Document, ...]:
    """Every `<id>.md` in a folder, by name; none where there is no such folder."""
    found = []
    for path in sorted(folder.glob("*.md")):
        document = read_document(path)
        _named_after_its_id(document, path.name)
        found.append(document)
    return tuple(found)


def read_document(path: Path) -> Document:
    """One file, whatever its name is."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(path.name, f"cannot be read: {error}") from error
    return read_text(text, path.name)


def read_text(text: str, name: str) -> Document:
    """A document that is no file yet; `name` is what a complaint calls it."""
    return parse_document(text, name, _playbook_ids())


def parse_document(text: str, name: str, playbook_ids: frozenset[str]) -> Document:
    """Read front matter and sections; `DocumentError` says what is wrong and what is wanted.

    Control, bidirectional and zero-width characters are dropped: the text is shown to people and
    handed to a model.
    """
    if len(text) > MAX_CHARS:
        raise DocumentError(name, f"has {len(text)} characters; {MAX_CHARS} is the limit, split it")
    front, body = _halves(redact(text), name)
    for kind, most in MOST_TRUST.items():
        if front.get("kind") == kind:
            front.setdefault("trust", most)
    try:
        document = Document.model_validate({**front, "sections": _sections(body)})
    except ValidationError as error:
        raise DocumentError(name, "; ".join(map(_problem, error.errors()))) from error
    unknown = sorted(set(document.playbooks) - playbook_ids)
    if unknown:
        known = ", ".join(sorted(playbook_ids))
        raise DocumentError(name, f"playbooks: {unknown!r} not in the catalogue; known: {known}")
    return document


@cache
def _playbook_ids() -> frozenset[str]:
    return frozenset(playbook.id for playbook in playbooks())


def _named_after_its_id(document: Document, name: str) -> None:
    if name != f"{document.id}.md":
        raise DocumentError(name, f"holds the document {document.id!r}; name it {document.id}.md")


def _halves(text: str, name: str) -> tuple[dict[str, object], str]:
    opening, _, rest = text.removeprefix("\ufeff").replace("\r\n", "\n").partition("---\n")
    head, closing, body = rest.partition("\n---\n")
    if opening.strip() or not closing:
        raise DocumentError(name, "has no front matter: begin with ---, fields, ---")
    try:
        front = yaml.load(head, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        raise DocumentError(name, f"front matter is not YAML: {error}") from error
    if not isinstance(front, dict) or not all(isinstance(key, str) for key in front):
        raise DocumentError(name, "front matter is not a mapping of fields")
    if "sections" in front:
        raise DocumentError(name, "sections: follow from the headings; take the field out")
    return front, body


def _sections(body: str) -> tuple[Section, ...]:
    """The text cut at its `##` headings, not inside a code block."""
    found: list[tuple[str, list[str]]] = [("", [])]
    fenced = False
    for raw in body.splitlines():
        line = f"{' ' * (len(raw) - len(raw.lstrip(' ')))}{strip_controls(raw).strip()}".rstrip()
        fenced ^= line.lstrip().startswith("```")
        if line.startswith("## ") and not fenced:
            found.append((line[3:].strip(), []))
        else:
            found[-1][1].append(line)
    cut = ((heading, "\n".join(lines).strip()) for heading, lines in found)
    return tuple(Section(heading=heading, text=text) for heading, text in cut if text)


def _problem(error: object) -> str:
    where = ".".join(map(str, error["loc"])) if isinstance(error, dict) else ""
    said = error["msg"] if isinstance(error, dict) else error
    given = error.get("input") if isinstance(error, dict) else None
    shown = f" (given {str(given)[:60]!r})" if isinstance(given, str | int | float) else ""
    return f"{where or 'front matter'}: {said}{shown}"
