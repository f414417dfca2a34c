"""The log of one look: its records, what of it was not read, and the moment that splits it."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from tools.types.base import FrozenModel, Timestamp, Window


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log record; `message` is untrusted text as it was read.

    `stream` tells what wrote it from others (a pod, a container, a file), for joining the lines of
    a stack trace; `cut` says that the next line of the stream goes on with this one, as a runtime
    says that splits long lines.
    """

    at: Timestamp
    service: str
    level: str
    message: str
    trace: str = ""
    stream: str = ""
    cut: bool = False


class LogGap(FrozenModel):
    """A stretch of time of which not every line was read, of one service or (empty) of all."""

    window: Window
    service: str = ""


@dataclass(frozen=True, slots=True)
class LogReading(Sequence[LogLine]):
    """What a source read of its log: lines, ascending by time, and the stretches left out."""

    lines: tuple[LogLine, ...] = ()
    gaps: tuple[LogGap, ...] = ()

    @overload
    def __getitem__(self, index: int) -> LogLine: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[LogLine, ...]: ...

    def __getitem__(self, index: int | slice) -> LogLine | tuple[LogLine, ...]:
        return self.lines[index]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class SplitLog:
    """One list of log lines, split at the onset: no line can stand on both sides, or twice.

    Lines may be given in any order; those without a finite time are left out, as they stand on no
    side.
    """

    lines: tuple[LogLine, ...]
    onset: Timestamp
    gaps: tuple[LogGap, ...] = ()

    def __post_init__(self) -> None:
        dated = (line for line in self.lines if math.isfinite(line.at))
        object.__setattr__(self, "lines", tuple(sorted(dated, key=lambda line: line.at)))

    @property
    def before(self) -> tuple[LogLine, ...]:
        """Lines written before the onset."""
        return self.lines[: self._split()]

    @property
    def after(self) -> tuple[LogLine, ...]:
        """Lines written at the onset or later."""
        return self.lines[self._split() :]

    def _split(self) -> int:
        return bisect_left(self.lines, self.onset, key=lambda line: line.at)

    def gaps_of(self, service: str) -> list[Window]:
        """Return the stretches of which lines of `service` may be missing; disjoint, ascending."""
        return _disjoint(gap.window for gap in self.gaps if gap.service in ("", service))


def _disjoint(windows: Iterable[Window]) -> list[Window]:
    found: list[Window] = []
    for window in sorted(windows, key=lambda one: one.start):
        if found and window.start <= found[-1].end:
            last = found.pop()
            window = Window(start=last.start, end=max(last.end, window.end))
        found.append(window)
    return found
