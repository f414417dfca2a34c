"""Reel: recorded stretches in the order and at the times at which they are shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from tools.types import Change, LogLine, Series, Span, Timestamp

_Dated = TypeVar("_Dated", LogLine, Span, Change)


@dataclass(frozen=True, slots=True)
class ReplaySegment:
    """What was recorded in [start, end) is shown from `at` on."""

    at: Timestamp
    start: Timestamp
    end: Timestamp

    @property
    def later(self) -> float:
        """Seconds by which it is shown later than it was recorded."""
        return self.at - self.start

    def holds(self, moment: Timestamp) -> bool:
        """Whether something recorded then is part of it."""
        return self.start <= moment < self.end


def repeated_segments(
    at: Timestamp, start: Timestamp, end: Timestamp, until: Timestamp
) -> list[ReplaySegment]:
    """One stretch shown again and again from `at` on, the last one cut at `until`."""
    found = []
    while at < until:
        last = min(end, start + (until - at))
        found.append(ReplaySegment(at, start, last))
        at += end - start
    return found


@dataclass(frozen=True, slots=True)
class ReplaySegments:
    """Stretches one after the other."""

    stretches: tuple[ReplaySegment, ...]

    def series(self, one: Series) -> Series:
        """The series as it is shown."""
        times, values = [], []
        for part in self.stretches:
            inside = (one.times >= part.start) & (one.times < part.end)
            times.append(one.times[inside] + part.later)
            values.append(one.values[inside])
        return Series(
            one.owner, one.metric, np.concatenate(times), np.concatenate(values), one.unit
        )

    def lines(self, recorded: Sequence[LogLine]) -> list[LogLine]:
        """Log lines at the times at which they are shown."""
        return [replace(x, at=x.at + part.later) for part, x in self._shown(recorded)]

    def spans(self, recorded: Sequence[Span]) -> list[Span]:
        """Spans likewise; what is shown again is another trace."""
        return [
            replace(span, at=span.at + part.later, trace=f"{span.trace}+{part.later:.0f}")
            for part, span in self._shown(recorded)
        ]

    def changes(self, recorded: Sequence[Change]) -> list[Change]:
        """Changes likewise."""
        return [
            one.model_copy(update={"at": one.at + part.later})
            for part, one in self._shown(recorded)
        ]

    def _shown(self, recorded: Sequence[_Dated]) -> Iterator[tuple[ReplaySegment, _Dated]]:
        for part in self.stretches:
            yield from ((part, one) for one in recorded if part.holds(one.at))
