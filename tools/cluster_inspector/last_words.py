"""What a container that ended said last: which of the lines are worth a quote."""

import re
from collections.abc import Sequence

QUOTED = 400
"""Characters of a finding's evidence, of which a quote is all."""

_FRAME = re.compile(r"\s|\.\.\. \d+ (?:more|common frames)|Node\.js v\d")
_GOROUTINE = re.compile(r"goroutine \d+ \[")


def quote(text: str, limit: int = QUOTED) -> str:
    r"""The last lines that say something, on one line of at most `limit` characters.

    The frames of a stack trace are left out: of Java, Python, Node, .NET and Ruby they are
    indented, of Go they follow the line that names the goroutine.

    >>> quote("ready\nTraceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 'DSN'")
    "ready | Traceback (most recent call last): | KeyError: 'DSN'"
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    kept: list[str] = []
    left = limit
    for line in reversed(_speaking(lines) or lines):
        left -= len(line) + len(" | ")
        if kept and left < 0:
            break
        kept.append(line.strip())
    return " | ".join(reversed(kept))[-limit:]


def _speaking(lines: Sequence[str]) -> list[str]:
    """The lines that are no frame of a stack trace."""
    spoken = []
    for line in lines:
        if _GOROUTINE.match(line):
            break
        if not _FRAME.match(line):
            spoken.append(line)
    return spoken
