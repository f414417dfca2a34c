"""A window of a log that may be too large to read: evenly, and saying what was left out.

Lines are compared with earlier ones, so a log that is too long is not read from its newest end:
that would leave nothing to compare. Each slice of the window gets the same room.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.types import LogLine, Window

SLICES = 12
LEAST_S = 30.0
"""A slice is not made shorter than this: a short window needs no twelve questions."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a log's past is normal operation, and how many lines are read in one look."""

    history_s: float = 3600.0
    most_lines: int = 40_000


DEFAULT_BOUNDS = Bounds()

LineFetcher = Callable[[Window, int], Sequence[LogLine]]
"""The first lines of a slice (its end excluded), at most so many."""


def sliced(ask: LineFetcher, window: Window, most: int) -> tuple[tuple[LogLine, ...], str]:
    """The lines in order, at most `most`, and what was left out, if anything was."""
    count = max(1, min(SLICES, math.floor(window.seconds / LEAST_S)))
    room = max(1, most // count)
    found: list[LogLine] = []
    full = 0
    for number in range(count):
        start = window.start + window.seconds * number / count
        end = window.start + window.seconds * (number + 1) / count
        last = number + 1 == count
        # The end of a window belongs to it, that of a slice to the next.
        end = math.nextafter(end, math.inf) if last else end
        lines = ask(Window(start=start, end=end), room)
        full += len(lines) >= room
        found += lines[:room]
    found.sort(key=lambda line: line.at)
    return tuple(found), _left_out(full, count, room, window)


def _left_out(full: int, count: int, room: int, window: Window) -> str:
    if not full:
        return ""
    return (
        f"in {full} of {count} parts of {window.seconds / count:.0f} s "
        f"only the first {room} lines were read"
    )
