"""What a diff takes away and adds, file by file, as unidiff reads it.

GitHub's and GitLab's APIs give hunks without file headers, people give lines without hunks, and a
capped diff ends in the middle of a hunk, all of which unidiff refuses or passes over (127 of 129
recorded ones): so what is missing is put in first.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from unidiff.patch import PatchedFile, PatchSet

from tools.change_inspector.table import comment

MOST_LINES = 4_000
"""Lines of one diff that are read; more is a rewrite, of which no line convicts anybody."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?")
_SETTING = re.compile(
    r"""["']?(?P<name>[A-Za-z_][\w.\-]*)["']?\s*(?::=|[:=])\s*["']?(?P<value>-?\d+(?:\.\d+)?)"""
    r"""\s*\*?\s*(?P<unit>(?:time\.)?[A-Za-z%]+)?"""
)
_CHOICE = re.compile(
    r"""^\s*["']?(?P<name>[A-Za-z_][\w.\-]*)["']?\s*(?::=|[:=])\s*["']?"""
    r"""(?P<value>[A-Za-z][\w\-]*)["']?,?;?\s*$"""
)
_UNITS = {
    "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0,
    "seconds": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0,
    "hour": 3600.0, "hours": 3600.0, "d": 86_400.0, "day": 86_400.0, "k": 1e3, "kb": 1e3,
    "ki": 1024.0, "mb": 1e6, "mi": 1024.0**2, "gb": 1e9, "gi": 1024.0**3, "us": 1e-6,
}  # fmt: skip


class DiffLine(NamedTuple):
    """A line with its mark; `number` is its place in the file as it is now, 0 where unknown."""

    mark: str
    text: str
    number: int = 0


@dataclass(frozen=True)
class FileDiff:
    """Lines of one file without their marks; comments are left out of `removed` and `added`."""

    path: str
    lines: tuple[DiffLine, ...]

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Lines taken away."""
        return self._side("-")

    @cached_property
    def added(self) -> tuple[str, ...]:
        """Lines added."""
        return self._side("+")

    @cached_property
    def gone(self) -> Counter[str]:
        """Words with how often more they stood there before."""
        return words(self.removed) - words(self.added)

    @cached_property
    def new(self) -> Counter[str]:
        """Words with how often more they stand there now."""
        return words(self.added) - words(self.removed)

    @cached_property
    def moved(self) -> bool:
        """Whether nothing that stood there is gone and no setting is another: code moved about."""
        kept = not any(len(one) > 1 for one in self.gone)
        return bool(self.removed) and kept and not self.settings

    @cached_property
    def settings(self) -> dict[str, tuple[float, float]]:
        """Numbers whose name stands on both sides: before and now, in seconds, bytes or plain."""
        before, now = dict(_settings(self.removed)), dict(_settings(self.added))
        both = {name: (before[name], now[name]) for name in before.keys() & now.keys()}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]}

    @cached_property
    def choices(self) -> dict[str, tuple[str, str]]:
        """Words, such as a level, whose name stands on both sides: before and now."""
        before, now = dict(_choices(self.removed)), dict(_choices(self.added))
        both = {name: (before[name], now[name]) for name in before.keys() & now.keys()}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]}

    def _side(self, mark: str) -> tuple[str, ...]:
        says_nothing = comment(PurePosixPath(self.path).suffix.removeprefix("."))
        return tuple(
            one.text for one in self.lines if one.mark == mark and not says_nothing.match(one.text)
        )

    def line_of(self, shown: str) -> int:
        """Number of the first changed line that has this text, added ones first; 0: unknown."""
        found = (
            one.number
            for mark in "+-"
            for one in self.lines
            if one.mark == mark and shown.lower() in one.text.lower()
        )
        return next(found, 0)

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.path).name


def words(lines: Iterable[str]) -> Counter[str]:
    """Identifiers and numbers with their counts, in lower case."""
    return Counter(_WORD.findall("\n".join(lines).lower()))


@lru_cache(maxsize=1)
def files_of(diff: str, paths: tuple[str, ...]) -> tuple[FileDiff, ...]:
    """Split a diff by file; `paths` are the files a commit names, for hunks that do not say it.

    Whoever judges a commit asks twice in a row, so the last answer is kept.
    """
    hunks = _hunks(diff.splitlines()[:MOST_LINES], paths)
    whole = "".join(
        f"--- a/{path}\n+++ b/{path}\n{''.join(of_it)}" for path, of_it in hunks.items()
    )
    return tuple(FileDiff(one.path, tuple(_lines(one))) for one in PatchSet(whole))


def _lines(patched: PatchedFile) -> Iterator[DiffLine]:
    for hunk in patched:
        numbered = hunk.source_start or hunk.target_start
        for line in hunk:
            number = line.target_line_no or line.source_line_no if numbered else 0
            yield DiffLine(line.line_type, line.value.rstrip("\n"), number or 0)


_HUNK = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")
_HEADERS = ("diff --git ", "index ", "--- a/", "--- /dev", "rename ", "new file ", "deleted file ")


def _hunks(lines: Sequence[str], named: Sequence[str]) -> dict[str, list[str]]:
    """The hunks of each file, with a header for each and as many lines as it counts."""
    path, start, body = named[0] if named else "", ("0", "0"), list[str]()
    found: dict[str, list[str]] = {}
    for line in [*lines, "@@"]:
        header = line.startswith(("+++ ", "@@", *_HEADERS))
        if header and body:
            found.setdefault(path, []).append(_hunk(start, body))
            start, body = ("0", "0"), []
        if line.startswith(("+++ ", "--- a/")):
            told = line[4:].partition("\t")[0]
            path = path if told.startswith("/dev/") else told.removeprefix("b/").removeprefix("a/")
        elif line.startswith("@@"):
            match = _HUNK.match(line)
            start = (match[1], match[2]) if match else ("0", "0")
            path = next((one for one in named if one in line), path)
        elif not header and line[:1] in ("+", "-", " ", "\t"):
            body.append(line if line[0] != "\t" else f" {line}")
    return found


def _hunk(start: tuple[str, str], body: Sequence[str]) -> str:
    before = sum(line[0] != "+" for line in body)
    now = sum(line[0] != "-" for line in body)
    head = f"@@ -{start[0]},{before} +{start[1]},{now} @@"
    return "\n".join([head, *body, ""])


def _settings(lines: Iterable[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        for match in _SETTING.finditer(line):
            unit = (match["unit"] or "").removeprefix("time.").lower()
            yield match["name"].lower(), float(match["value"]) * _UNITS.get(unit, 1.0)


def _choices(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        match = _CHOICE.match(line)
        if match:
            yield match["name"].lower(), match["value"].lower()
