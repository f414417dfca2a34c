"""Series of an incident over one time axis as SVG: what is normal, what happened, what was done.

Pure drawing: figures in, picture out. The picture is a file of its own, so that a source that takes
its time holds up no page, and so that its style needs no exception in the page's policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from copilot.types.time_format import clock_time
from tools.normal import Normal
from tools.types import Series, Timestamp, Window

WIDTH, HEIGHT, LEFT, TOP, FOOT = 760, 96, 8, 24, 40
"""Pixels of the picture, of one row, and around the rows."""

TICKS = 5
POINTS = 600
"""Most points drawn of one series: there are no more pixels."""

MarkKind = Literal["onset", "alert", "change", "step"]


@dataclass(frozen=True, slots=True)
class TimeMark:
    """A moment on the axis, and what it was."""

    kind: MarkKind
    at: Timestamp


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One drawn series: `points` and `band` (top, height) in pixels, its range and last value."""

    label: str
    unit: str
    points: tuple[str, ...]
    band: tuple[float, float] | None
    low: str
    high: str
    last: str
    top: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture in pixels; `marks` and `ticks` carry their place on the axis."""

    width: int
    height: int
    rows: tuple[ChartRow, ...]
    marks: tuple[tuple[MarkKind, float], ...]
    ticks: tuple[tuple[float, str], ...]


def chart(
    series: Sequence[Series],
    past: Sequence[Series],
    window: Window,
    onset: Timestamp,
    marks: Sequence[TimeMark],
) -> Chart:
    """Place the series one below the other; the band is what `past` and the time before were.

    Of the window, what holds points or moments is drawn.
    """
    window = _filled(window, series, marks)
    span = max(window.end - window.start, 1.0)

    def x(at: float) -> float:
        return round(LEFT + (at - window.start) / span * (WIDTH - 2 * LEFT), 1)

    before = {one.name: one for one in past}
    rows = []
    for number, one in enumerate(series):
        known = before.get(one.name)
        normal = _normal(one, known, onset)
        rows.append(_row(one, normal, number * HEIGHT + TOP, x))
    seen = [(mark.kind, x(mark.at)) for mark in marks if window.start <= mark.at <= window.end]
    moments = np.linspace(window.start, window.end, TICKS)
    return Chart(
        width=WIDTH,
        height=len(rows) * HEIGHT + TOP + FOOT,
        rows=tuple(rows),
        marks=tuple(dict.fromkeys(seen)),
        ticks=tuple((x(at), clock_time(at).removesuffix(" UTC")) for at in moments.tolist()),
    )


def _filled(window: Window, series: Sequence[Series], marks: Sequence[TimeMark]) -> Window:
    moments = [float(at) for one in series if one.times.size for at in one.times[[0, -1]]]
    moments += [one.at for one in marks]
    inside = [at for at in moments if window.start <= at <= window.end]
    return Window(start=min(inside), end=max(inside)) if inside else window


def _normal(one: Series, past: Series | None, onset: Timestamp) -> Normal | None:
    values = one.values[one.times < onset]
    if past is not None:
        values = np.concatenate([past.values, values])
    return Normal.of(values[np.isfinite(values)])


def _row(one: Series, normal: Normal | None, top: int, x: Callable[[float], float]) -> ChartRow:
    finite = np.isfinite(one.values)
    ends = [*one.values[finite].tolist(), *(normal.band if normal else ())] or [0.0]
    low, high = min(ends), max(ends)
    tall = HEIGHT - 34

    def y(value: float) -> float:
        share = (value - low) / ((high - low) or 1.0)
        return float(round(top + 16 + tall * (1 - share), 1))

    band = (y(normal.band[1]), round(y(normal.band[0]) - y(normal.band[1]), 1)) if normal else None
    step = max(1, one.times.size // POINTS)
    lines: list[list[str]] = [[]]
    for at, value in zip(one.times[::step].tolist(), one.values[::step].tolist(), strict=True):
        if np.isfinite(value):
            lines[-1].append(f"{x(at)},{y(value)}")
        elif lines[-1]:
            lines.append([])
    shown = one.values[finite]
    return ChartRow(
        label=one.name.replace("|", " "),
        unit=one.unit,
        points=tuple(" ".join(line) for line in lines if line),
        band=band,
        low=f"{low:.4g}",
        high=f"{high:.4g}",
        last=f"{shown[-1]:.4g}" if shown.size else "–",
        top=top,
    )
