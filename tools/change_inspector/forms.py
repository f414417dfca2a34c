"""What a diff may do wrong, and what the evidence then says: the table in `forms.toml`.

A row convicts where both sides agree: the diff shows the form, and the evidence says its harm.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tools.change_inspector.diff import FileDiff
from tools.change_inspector.table import FormRow, table
from tools.types import Text

MUCH = 2.0
"""A setting that moved by less than half or double is tuning; docs/decisions/commits.md."""


class ShownForm(NamedTuple):
    """What of a form a file shows, in words, and the text of the line that shows it."""

    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Form:
    """A row made ready: `shows` yields what of it a file shows, `says` finds its harm."""

    title: Text
    shows: Callable[[FileDiff], Iterator[ShownForm]]
    says: re.Pattern[str]


@cache
def forms() -> tuple[Form, ...]:
    """Every row, in the order of the table."""
    read = table()
    return tuple(_form(row, read.words) for row in read.form)


def _form(row: FormRow, known: dict[str, str]) -> Form:
    says = re.sub(r"\{([a-z]+)\}", lambda match: known[match[1]], row.says)
    pattern = re.compile(row.pattern, re.IGNORECASE)

    def shows(file: FileDiff) -> Iterator[ShownForm]:
        match row.reader:
            case "setting":
                return _settings(file, pattern, row.worse)
            case "choice":
                return _choices(file, pattern, re.compile(row.values, re.IGNORECASE))
            case "gone":
                return _fewer(file.removed, file.added, pattern, "no longer")
            case "new":
                return _unless(file, row.but, _fewer(file.added, file.removed, pattern, "now"))
            case "call in loop":
                return _call_in_loop(file)

    return Form(Text(en=row.name, zh=row.zh), shows, re.compile(says, re.IGNORECASE))


def _settings(file: FileDiff, named: re.Pattern[str], worse: str) -> Iterator[ShownForm]:
    """Numbers of that name that moved at least `MUCH` times in the direction that does harm."""
    for name, (before, now) in file.settings.items():
        low, high = sorted((abs(before), abs(now)))
        much = low == 0 or high / low >= MUCH
        if much and named.search(name) and worse == ("down" if now < before else "up"):
            yield ShownForm(f"{name} {before:g} -> {now:g}", name)


def _choices(file: FileDiff, named: re.Pattern[str], wrong: re.Pattern[str]) -> Iterator[ShownForm]:
    for name, (before, now) in file.choices.items():
        if named.search(name) and wrong.fullmatch(now):
            yield ShownForm(f"{name} {before} -> {now}", name)


def _fewer(
    these: tuple[str, ...], others: tuple[str, ...], wanted: re.Pattern[str], how: str
) -> Iterator[ShownForm]:
    """The first of `these` lines with what `others` have in fewer lines."""
    here = [line for line in these if wanted.search(line)]
    if len(here) > sum(1 for line in others if wanted.search(line)):
        yield ShownForm(f"{how} {here[0].strip()[:80]!r}", here[0])


def _unless(file: FileDiff, but: str, shown: Iterator[ShownForm]) -> Iterator[ShownForm]:
    kept = re.compile(but, re.IGNORECASE) if but else None
    if kept is None or not any(kept.search(text) for _, text, _ in file.lines):
        yield from shown


_LOOP = re.compile(r"^\s*(?:for|while)\b|\.(?:forEach|map|each)\(")
_CALL = re.compile(
    r"(?:\.|\bawait\s+)\w*(?:get|fetch|find|load|query|select|exec|put|post|send|read|write|lookup"
    r"|save|insert|update|request|call|rpc)\w*\(",
    re.IGNORECASE,
)


def _call_in_loop(file: FileDiff) -> Iterator[ShownForm]:
    """A call that may leave the process, inside a loop where there was none before."""
    if not _calls_in_loops(file, "-"):
        for text in _calls_in_loops(file, "+")[:1]:
            yield ShownForm(repr(text.strip()[:80]), text)


def _calls_in_loops(file: FileDiff, side: str) -> list[str]:
    """Lines with a call, deeper than a loop above them, as the file stood on that side."""
    found: list[str] = []
    loops: list[int] = []
    for mark, text, _ in file.lines:
        if mark not in (side, " ") or not text.strip():
            continue
        depth = len(text) - len(text.lstrip())
        loops = [one for one in loops if one < depth]
        if loops and mark == side and _CALL.search(text):
            found.append(text)
        if _LOOP.search(text):
            loops.append(depth)
    return found
