"""A window of a log that may be too large to read: evenly, and saying what was left out.

Lines are compared with earlier ones, so a log that is too long is not read from its newest end:
that would leave nothing to compare. Each slice of the window gets the same room.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.types import LogGap, LogLine, LogReading, Timestamp, Window

SLICES = 12
LEAST_S = 30.0
"""A slice is not made shorter than this: a short window needs no twelve questions."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a log's past is normal operation, and how many lines are read in one look."""

    history_s: float = 3600.0
    most_lines: int = 40_000


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class LogPage:
    """The first lines of a slice, ascending by time, and whether they are all it has."""

    lines: Sequence[LogLine]
    complete: bool


PageFetcher = Callable[[Window, int], LogPage]
"""Asks for a slice (its end excluded), at most so many lines."""


def history(before: Timestamp, seconds: float) -> Window:
    """Return the window of `seconds` that ends strictly before `before`."""
    start = before - seconds
    return Window(start=start, end=max(start, math.nextafter(before, -math.inf)))


def sliced(ask: PageFetcher, window: Window, most: int) -> tuple[LogReading, str]:
    """Return the lines of `window`, at most `most`, with its gaps, and a sentence on the gaps."""
    count = max(1, min(SLICES, math.floor(window.seconds / LEAST_S)))
    room = max(1, most // count)
    found: list[LogLine] = []
    gaps: list[LogGap] = []
    for number in range(count):
        start = window.start + window.seconds * number / count
        end = window.start + window.seconds * (number + 1) / count
        last = number + 1 == count
        # The end of a window belongs to it, that of a slice to the next.
        end = math.nextafter(end, math.inf) if last else end
        page = ask(Window(start=start, end=end), room)
        inside = [line for line in page.lines if start <= line.at < end][:room]
        if not page.complete:
            read_until = inside[-1].at if inside else start
            gaps.append(LogGap(window=Window(start=read_until, end=end)))
        found += inside
    found.sort(key=lambda line: line.at)
    return LogReading(tuple(found), tuple(gaps)), _left_out(len(gaps), count, room, window)


def _left_out(cut: int, count: int, room: int, window: Window) -> str:
    if not cut:
        return ""
    return (
        f"in {cut} of {count} parts of {window.seconds / count:.0f} s "
        f"only the first {room} lines were read"
    )
