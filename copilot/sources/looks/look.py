"""One server with its looks: asked for an incident, and its answers as findings."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import SecretStr

from copilot.ports import LookReading, LookSource, SourceError
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.looks.declared import DeclaredLook, LookServer
from copilot.sources.patience import SourceQuestion
from copilot.types.time_format import iso
from tools.log_retriever import excerpt
from tools.types import Finding, Subject, Window

MOST_SERVICES = 3
"""Services of one incident that are asked about: those whose alerts came first."""

MOST_ROWS, MOST_EXCERPT = 20, 300
"""Rows of one answer that are kept, and characters of each."""

_SAFE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
"""A name that may stand in an argument. Source: RFC 1123 subdomains, and `_` as Compose has it."""

LookAnswer = str | Mapping[str, Any] | Sequence[Any]
"""What came back: text, or what JSON holds."""


class LookAsker(Protocol):
    """Asks one server by its protocol."""

    def ask(
        self, questions: Sequence[tuple[DeclaredLook, Mapping[str, str | float]]]
    ) -> Iterator[LookAnswer | SourceError]:
        """An answer, or why there is none, for each; raises SourceError where none answers."""
        ...

    def describe(self, looks: Sequence[DeclaredLook]) -> str:
        """What it offers, in a line; raises SourceError where it, or a look, is refused."""
        ...

    def pin(self, one: DeclaredLook) -> str:
        """What a look asks, as the server tells it now, with what it is pinned by; SourceError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LookGroup:
    """The looks of one server: one breaker, one connection for an incident."""

    name: str
    server: LookServer
    looks: tuple[DeclaredLook, ...]
    asker: LookAsker

    def look(self, window: Window, about: Sequence[Subject]) -> LookReading:
        """Take every look for the services of an incident."""
        questions = [
            (one, values, service)
            for one in self.looks
            for values, service in _values(one, window, about)
        ]
        found: list[Finding] = []
        missing: list[str] = []
        if not questions:
            return LookReading()
        answers = self.asker.ask([(one, values) for one, values, _ in questions])
        for (one, values, service), answer in zip(questions, answers, strict=True):
            if isinstance(answer, SourceError):
                missing.append(f"{one.name}: {answer.problem}")
                continue
            try:
                found += self._findings(one, values, service, window, answer)
            except (JMESPathError, TypeError, ValueError) as error:
                missing.append(f"{one.name}: the answer is of another shape ({error})"[:200])
        return LookReading(tuple(found), tuple(missing))

    def describe(self) -> str:
        """Where it is, and which looks are taken there; raises SourceError."""
        told = self.asker.describe(self.looks)
        return f"{self.name} at {self.server.place}: {told}"

    def problems(self) -> Sequence[str]:
        """Nothing beside what each look says."""
        return ()

    def problem_of(self, one: DeclaredLook) -> str:
        """Why a look cannot be taken now; empty where it can."""
        try:
            self.asker.describe([one])
        except SourceError as error:
            return error.problem
        return ""

    def _findings(
        self,
        one: DeclaredLook,
        values: Mapping[str, str | float],
        service: str,
        window: Window,
        answer: LookAnswer,
    ) -> Iterator[Finding]:
        def finding(statement: str, statement_zh: str, **more: Any) -> Finding:
            return Finding(
                kind="note",
                subject=service or self.name,
                name=one.name,
                source=f"declared look at {self.server.place}",
                query=_asked(one, values),
                window=window,
                statement=statement,
                statement_zh=statement_zh,
                **more,
            )

        of_en, of_zh = (f" of {service}", f"({service})") if service else ("", "")
        known = _document(answer) if one.readings or one.lines or one.changes else None
        for label, number in _readings(one, known):
            told = f"{one.name}{f' {label}' if label else ''}"
            amount = f"{number:.6g} {one.unit}".rstrip()
            yield finding(
                f"{told}{of_en} is {amount}, as {self.server.place} tells.",
                f"{told}{of_zh}为 {amount},由 {self.server.place} 告知。",
                value=number,
                unit=one.unit,
            )
        quoted = _quoted(one, known, answer)
        if quoted:
            shown = " | ".join(excerpt(row, limit=MOST_EXCERPT) for row in quoted[:MOST_ROWS])
            count = len(quoted)
            yield finding(
                f"{one.name}{of_en}: {self.server.place} tells {count} line{'s'[: count != 1]}.",
                f"{one.name}{of_zh}:{self.server.place} 告知 {count} 行。",
                excerpt=shown[: 4 * MOST_EXCERPT],
                figures={"lines": float(count)},
            )
        elif known is None:
            yield finding(
                f"{one.name}{of_en}: {self.server.place} tells nothing.",
                f"{one.name}{of_zh}:{self.server.place} 没有内容。",
            )


def look_questions(
    looks: Sequence[LookSource], window: Window, about: Sequence[Subject]
) -> dict[str, SourceQuestion]:
    """The declared looks at an incident, a question for each server."""

    def question(one: LookSource) -> SourceQuestion:
        return SourceQuestion(f"look {one.name}", one, lambda: one.look(window, about))

    return {f"look {one.name}": question(one) for one in looks}


def look_findings(
    looks: Sequence[LookSource], told: Mapping[str, Any], missing: list[str]
) -> list[Finding]:
    """What they found; `missing` says which of them told nothing and why."""
    found: list[Finding] = []
    for name in (f"look {one.name}" for one in looks):
        answer = told.get(name)
        if isinstance(answer, SourceError):
            missing.append(f"{name}: {answer.problem}")
        elif isinstance(answer, LookReading):
            missing += [f"{name}: {problem}" for problem in answer.missing]
            found += answer.findings
    return found


def _values(
    one: DeclaredLook, window: Window, about: Sequence[Subject]
) -> Iterator[tuple[dict[str, str | float], str]]:
    """What fills the placeholders: for each service, or once; what is no plain name fills none."""
    times: dict[str, str | float] = {
        "start": int(window.start),
        "end": math.ceil(window.end),
        "start_iso": iso(window.start) or "",
        "end_iso": iso(window.end) or "",
    }
    named = {
        (subject.name, subject.namespace): None
        for subject in about
        if _SAFE.fullmatch(subject.name) and _SAFE.fullmatch(subject.namespace or "x")
    }
    if not one.of_a_service:
        namespace = next((space for _, space in named if space), "")
        yield {**times, "namespace": namespace}, ""
        return
    for service, namespace in list(named)[:MOST_SERVICES]:
        yield {**times, "service": service, "namespace": namespace}, service


def _asked(one: DeclaredLook, values: Mapping[str, str | float]) -> str:
    """How a person asks the same again."""
    if one.path:
        return one.path.format_map(_Quoted(values))
    told = ", ".join(f"{name}={value}" for name, value in one.filled(values).items())
    return f"{one.tool}({told})"[:300]


class _Quoted(dict[str, str]):
    """Values as they may stand in a path."""

    def __init__(self, values: Mapping[str, str | float]) -> None:
        super().__init__({name: quote(str(one), safe="") for name, one in values.items()})


def _document(answer: LookAnswer) -> Any:
    return json.loads(answer) if isinstance(answer, str) else answer


def _readings(one: DeclaredLook, known: Any) -> Iterator[tuple[str, float]]:
    """A number, numbers, or objects with `value` and perhaps `name`."""
    if not one.readings:
        return
    found = jmespath.search(one.readings, known)
    if found is None:
        raise ValueError(f"nothing stands at {one.readings!r}")
    rows = found if isinstance(found, list) else [found]
    for row in rows[:MOST_ROWS]:
        label = row.get("name", "") if isinstance(row, dict) else ""
        given = row.get("value") if isinstance(row, dict) else row
        if given is None:
            continue
        if isinstance(given, bool) or not math.isfinite(number := float(given)):
            raise ValueError(f"{given!r} is no number")
        yield excerpt(str(label), limit=60), number


def _quoted(one: DeclaredLook, known: Any, answer: LookAnswer) -> list[str]:
    """The rows that are quoted: what the expressions find, or the lines of a plain answer."""
    rows: list[str] = []
    for expression in (one.lines, one.changes):
        found = jmespath.search(expression, known) if expression else None
        listed = found if isinstance(found, list) else [] if found is None else [found]
        rows += [row if isinstance(row, str) else _line(row) for row in listed]
    if one.readings or one.lines or one.changes:
        return rows
    text = answer if isinstance(answer, str) else _line(answer)
    return [line for line in text.splitlines() if line.strip()]


def _line(told: object) -> str:
    return json.dumps(told, ensure_ascii=False)


class HttpAsker:
    """Asks one JSON API by GET; nothing but what the file declares is ever asked."""

    def __init__(
        self,
        name: str,
        server: LookServer,
        environment: Mapping[str, str],
    ) -> None:
        self._name, self._server, self._environment = name, server, environment

    def ask(
        self, questions: Sequence[tuple[DeclaredLook, Mapping[str, str | float]]]
    ) -> Iterator[LookAnswer | SourceError]:
        """One GET for each."""
        for one, values in questions:
            query = {key: text.format_map(_Plain(values)) for key, text in one.query.items()}
            try:
                with self._api(one) as api:
                    yield api.get(one.path.format_map(_Quoted(values)), query or None)
            except SourceError as error:
                yield error

    def describe(self, looks: Sequence[DeclaredLook]) -> str:
        """Which looks; a path is not asked for nobody."""
        with self._api(looks[0]):  # the address is read
            return f"JSON; {', '.join(one.name for one in looks)}"

    def pin(self, one: DeclaredLook) -> str:
        """Nothing: what a path tells has no description that could change."""
        return f"{self._server.url}{one.path} needs no pin: it is asked as it stands in the file"

    @contextmanager
    def _api(self, one: DeclaredLook) -> Iterator[JsonApi]:
        said = self._environment.get(self._server.token_env, "")
        token = SecretStr(said) if said else None
        address = ApiEndpoint(self._server.url, token, headers=self._server.headers)
        api = JsonApi(self._name, address, timeout_s=one.timeout_s, most_bytes=one.most_bytes)
        try:
            yield api
        finally:
            api.close()


class _Plain(dict[str, str]):
    """Values as they may stand in a query, which the client encodes."""

    def __init__(self, values: Mapping[str, str | float]) -> None:
        super().__init__({name: str(one) for name, one in values.items()})
