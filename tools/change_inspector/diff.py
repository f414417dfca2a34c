"""What a diff takes away and adds, file by file; lenient, for no sender keeps to one format.

GitHub's and GitLab's APIs give hunks without file headers, webhooks give none at all, and a capped
diff ends in the middle of a hunk, which a strict parser refuses as a whole.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

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
_COMMENT = re.compile(r"^\s*(//|#(?!include|\w+\s*[:=])|\*|/\*|--\s|<!--)")


@dataclass(frozen=True)
class FileDiff:
    """Lines of one file without their marks; comments are left out of `removed` and `added`."""

    path: str
    lines: tuple[tuple[str, str], ...]

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Lines taken away."""
        return tuple(text for mark, text in self.lines if mark == "-" and not _COMMENT.match(text))

    @cached_property
    def added(self) -> tuple[str, ...]:
        """Lines added."""
        return tuple(text for mark, text in self.lines if mark == "+" and not _COMMENT.match(text))

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

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.path).name


def words(lines: Iterable[str]) -> Counter[str]:
    """Identifiers and numbers with their counts, in lower case."""
    return Counter(match[0].lower() for line in lines for match in _WORD.finditer(line))


def files_of(diff: str, paths: Iterable[str]) -> tuple[FileDiff, ...]:
    """Split a diff by file; `paths` are the files a commit names, for hunks that do not say it."""
    named = tuple(paths)
    current = named[0] if named else ""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in diff.splitlines()[:MOST_LINES]:
        header = _header(line, named)
        if header is not None:
            current = header or current
        elif line[:1] in ("+", "-", " ", "\t"):
            mark = " " if line[0] == "\t" else line[0]
            found.setdefault(current, []).append((mark, line[0 if mark != line[0] else 1 :]))
    return tuple(FileDiff(path, tuple(lines)) for path, lines in found.items())


def _header(line: str, named: tuple[str, ...]) -> str | None:
    """The file a header names, empty where it names none; None for a line of the file."""
    if line.startswith(("+++ ", "diff --git ", "index ", "--- a/", "--- /dev", "rename ")):
        target = line.removeprefix("+++ ").removeprefix("b/") if line.startswith("+++ ") else ""
        return "" if target.startswith("/dev/") else target.partition("\t")[0]
    if not line.startswith("@@"):
        return None
    return next((path for path in named if path in line), "")


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
