"""Forecasts as a person sees them: the past, what was said of it, and what came."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evals.forecast.leaks import DAY, FULL
from evals.forecast.limits import LimitRow
from evals.page import drawing, pictures

SHOWN = (
    "disk_fills", "disk_fills_of_a_sudden", "memory_leaks", "connections_leak", "queue_grows",
    "heap_is_collected",
)  # fmt: skip
"""One of each: what was foretold well, badly, and what only looks like it."""


def save(rows: Sequence[LimitRow], folder: Path) -> None:
    """Write `forecast.svg`: for each resource the forecast from half of the time it was foretold.

    Grey is what came afterwards; the bar at the limit is the 90 % interval, the mark on it the
    middle, the triangle when the resource was full.
    """
    shown = [
        next(one for one in rows if one.resource.kind == kind and bool(one.shown) == leaks)
        for kind, leaks in ((kind, kind != "heap_is_collected") for kind in SHOWN)
        if any(one.resource.kind == kind and bool(one.shown) == leaks for one in rows)
    ]
    with pictures.drawn_into(folder) as written:
        figure, axes = drawing.sheet(len(shown), 0.55 + 1.1 * len(shown), shared=False)
        for place, one in zip(axes, shown, strict=True):
            resource = one.resource
            told = one.shown[len(one.shown) // 2] if one.shown else None
            now = told.now if told else float(resource.times[-1])
            # An hour is finer than can be seen.
            days, values = (resource.times[::4] - now) / DAY, resource.values[::4]
            near = days > -10
            known = near & (days <= 0)
            place.plot(days[near], values[near], color=drawing.MUTED, linewidth=0.7)
            place.plot(days[known], values[known], color=drawing.SERIES, linewidth=1.0)
            place.axhline(FULL, color=drawing.ALERT, linewidth=0.8)
            if told and told.at and told.earliest and told.latest:
                said = (np.array([told.earliest, told.at, told.latest]) - now) / DAY
                place.plot(said[[0, 2]], [FULL, FULL], color=drawing.ML, linewidth=4, alpha=0.6)
                place.plot(said[1], FULL, "|", color=drawing.INK, markersize=9)
                place.plot([0, said[1]], [told.level, FULL], "--", color=drawing.ML, linewidth=0.9)
            if resource.full_at is not None:
                place.plot((resource.full_at - now) / DAY, FULL - 7, "^", color=drawing.ALERT,
                           markersize=5)  # fmt: skip
            place.set_ylim(0, 112)
            place.set_title(f"{resource.kind.replace('_', ' ')}, % of the limit", pad=3.0)
        axes[-1].set_xlabel("days from the forecast")
        written("forecast", drawing.svg(figure, "forecast", "When resources reach their limit"))
