"""Charts as SVG to stand inside a page: in its fonts and colours, with ids of their own."""

import importlib
import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

import numpy as np

from evals.localization.calibration import CalibrationScore
from evals.localization.paired import interval
from tools.types import FloatArray, Timestamp

Axes = Any
Figure = Any
"""Matplotlib's; it is an extra, and slow to load, so it is loaded when something is drawn."""

COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--rule)",
    "#0a0a01": "var(--series)",
    "#0a0a02": "var(--mark)",
    "#0a0a03": "var(--alert)",
    "#0a0a04": "var(--good)",
    "#0a0a05": "var(--ml)",
    "#0a0a06": "var(--llm)",
}
"""Matplotlib is given colours nobody else would use; the page's variables take their places."""

INK, MUTED, RULE, SERIES, MARK, ALERT, GOOD, ML, LLM = COLOURS
ARM_COLOURS = {"rules": SERIES, "ml": ML, "llm": LLM}
WIDTH = 4.6
POINTS = 240
"""Points of one line that a picture of this width can show."""

_PLACES = re.compile(r' (?:d|x|y|points|transform)="[^"]*"')
_DIGITS = re.compile(r"(\.\d)\d+")
"""A tenth of a point is finer than any screen."""

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "path.simplify": True,
    "text.parse_math": False,
}


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def styled() -> AbstractContextManager[None]:
    """Inside it everything is drawn in the style of the page."""
    style: AbstractContextManager[None] = importlib.import_module("matplotlib").rc_context(_STYLE)
    return style


def _ticker() -> Any:
    return importlib.import_module("matplotlib.ticker")


def sheet(rows: int, height: float, *, shared: bool = True) -> tuple[Figure, list[Axes]]:
    """An empty figure of a phone's width, its axes one below the other."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, 1, sharex=shared and rows > 1, squeeze=False)
    # Margins in inches: the figures are small, and their labels of known size.
    figure.subplots_adjust(
        left=0.52 / WIDTH,
        right=1.0 - 0.06 / WIDTH,
        top=1.0 - 0.24 / height,
        bottom=0.46 / height,
        hspace=0.55,
    )
    return figure, [one for (one,) in axes]


def svg(figure: Figure, name: str, title: str) -> str:
    """The figure as markup; `name` keeps its ids apart from other figures' on the page."""
    target = io.StringIO()
    with importlib.import_module("matplotlib").rc_context({"svg.hashsalt": name}):
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    drawn = target.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)
    drawn = re.sub(r'<g id="[^"]*-(?:axes|line2d|text|patch|xtick|ytick|matplotlib)[^"]*">', "<g>",
                   drawn)  # fmt: skip
    drawn = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawn)
    drawn = _PLACES.sub(lambda found: _DIGITS.sub(r"\1", found[0]), drawn)
    for given, wanted in COLOURS.items():
        drawn = drawn.replace(given, wanted)
    label = f'<svg role="img" aria-label="{escape(title)}" class="chart" '
    drawn = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"{_literal(label)}\1>", drawn, count=1)
    return re.sub(r"\n\s*", "\n", drawn)


def alone(drawn: str) -> str:
    """A chart as a file of its own: it brings the light colours and a white ground along."""
    colours = "".join(f"{name}: {value};" for name, value in _LIGHT.items())
    style = f"<style>svg {{ {colours} background: white; font-family: sans-serif }}</style>"
    opened = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '
                           'xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)  # fmt: skip
    return re.sub(r"(<svg [^>]*>)", lambda found: found[1] + style, opened, count=1)


_LIGHT = {
    **{"--ink": "#1b1f24", "--muted": "#5a626c", "--rule": "#d9dde2", "--series": "#2a5d8f"},
    **{"--mark": "#b3541e", "--alert": "#b3261e", "--good": "#0b6b3a", "--ml": "#1d7a5f"},
    "--llm": "#7b3fa0",
}


def _literal(text: str) -> str:
    return text.replace("\\", r"\\")


def incident(
    series: Sequence[tuple[str, FloatArray, FloatArray]],
    onset: Timestamp,
    injected: Timestamp | None,
    alerts: Sequence[Timestamp],
    name: str,
    title: str,
) -> str:
    """Series below each other over minutes from the onset, with onset, injection and alerts."""
    figure, axes = sheet(len(series), 0.55 + 0.82 * len(series))
    for place, (label, times, values) in zip(axes, series, strict=True):
        minutes, shown = _thinned((times - onset) / 60.0, values)
        place.plot(minutes, shown, color=SERIES, linewidth=1.1)
        place.axvline(0.0, color=MARK, linewidth=1.3)
        if injected is not None and abs(injected - onset) > 1.0:
            place.axvline((injected - onset) / 60.0, color=MUTED, linewidth=1.0, linestyle=":")
        place.set_title(label, pad=3.0)
        _few_ticks(place)
        place.margins(x=0.01)
        ticks = [(at - onset) / 60.0 for at in alerts]
        inside = [at for at in ticks if minutes.size and minutes[0] <= at <= minutes[-1]]
        place.plot(
            inside, [0.0] * len(inside), "^", color=ALERT, markersize=4.5, clip_on=False,
            transform=place.get_xaxis_transform(),
        )  # fmt: skip
    began = datetime.fromtimestamp(onset, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    axes[-1].set_xlabel(f"minutes from {began}")
    return svg(figure, name, title)


@dataclass(frozen=True, slots=True)
class Track:
    """One series to draw: what is labelled as wrong in it, and where an alarm was raised."""

    label: str
    at: FloatArray
    values: FloatArray
    wrong: Sequence[tuple[float, float]] = ()
    alarms: Sequence[float] = ()


def tracks(shown: Sequence[Track], label: str, name: str, title: str) -> str:
    """Series below each other on axes of their own: shaded what is labelled, ticks for alarms."""
    figure, axes = sheet(len(shown), 0.55 + 1.1 * len(shown), shared=False)
    for place, one in zip(axes, shown, strict=True):
        at, values = _thinned(one.at, one.values)
        place.plot(at, values, color=SERIES, linewidth=1.0)
        for first, last in one.wrong:
            place.axvspan(first, last, color=MARK, alpha=0.3, linewidth=0)
        place.plot(
            one.alarms, [0.0] * len(one.alarms), "^", color=ALERT, markersize=4.5, clip_on=False,
            transform=place.get_xaxis_transform(),
        )  # fmt: skip
        place.set_title(one.label, pad=3.0)
        _few_ticks(place)
        place.margins(x=0.01)
    axes[-1].set_xlabel(label)
    return svg(figure, name, title)


def bars(figures: Mapping[str, Mapping[str, float]], label: str, name: str, title: str) -> str:
    """A bar for each row and method; `figures` maps a row to its methods' figures."""
    methods = list(dict.fromkeys(method for row in figures.values() for method in row))
    colours = (SERIES, ML, LLM, MARK, GOOD, ALERT, MUTED)
    named = 0.15 + 0.17 * -(-len(methods) // 2)  # inches above the bars, for their names
    height = 0.6 + named + (0.12 + 0.11 * len(methods)) * len(figures)
    figure, (axes,) = sheet(1, height)
    figure.subplots_adjust(left=1.45 / WIDTH, top=1.0 - named / height)
    depth = 0.8 / max(len(methods), 1)
    for place, method in enumerate(methods):
        rows = [at for at, row in enumerate(figures.values()) if method in row]
        wide = [row[method] for row in figures.values() if method in row]
        heights = [at + place * depth for at in rows]
        axes.barh(heights, wide, depth, color=colours[place % len(colours)], label=method)
    axes.set_yticks(np.arange(len(figures)) + 0.4 - depth / 2, [one[:24] for one in figures])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.3, 1.0), ncols=2, labelcolor=INK)
    return svg(figure, name, title)


def _few_ticks(place: Axes) -> None:
    place.yaxis.set_major_locator(_ticker().MaxNLocator(2))
    place.yaxis.set_major_formatter(_ticker().FuncFormatter(lambda at, _: short(at)))


def reliability(found: Sequence[tuple[str, CalibrationScore]], name: str) -> str:
    """What was said against what came true, a point a bin; the dotted diagonal is honesty.

    A bar is the 95 % interval of the share: where it meets the diagonal, chance may explain the
    distance. Beside it stands how many incidents it holds; bins that touch are counted together.
    """
    figure, (axes,) = sheet(1, 3.6)
    low = 1.0
    for arm, one in found:
        colour, held = ARM_COLOURS[arm], 0
        axes.scatter([b.said for b in one.bins], [b.came_true for b in one.bins], s=24.0,
                     color=colour, label=f"{arm}, {one.count} incidents")  # fmt: skip
        for b, following in zip(one.bins, [*one.bins[1:], None], strict=True):
            ends = interval(b.came_true * b.count, b.count)
            axes.plot([b.said, b.said], ends, color=colour, linewidth=1.2, alpha=0.45)
            low, held = min(low, b.said, *ends), held + b.count
            if following is None or following.said - b.said > APART:
                axes.annotate(str(held), (b.said, b.came_true), (5, -9), color=MUTED,
                              textcoords="offset points", fontsize=7.0)  # fmt: skip
                held = 0
    start = np.floor(10.0 * low) / 10.0
    axes.plot([start, 1], [start, 1], color=MUTED, linewidth=1.0, linestyle=":", zorder=0)
    axes.set(xlim=(start - 0.02, 1.06), ylim=(start - 0.02, 1.04))
    axes.set_xlabel("said: probability of the first candidate")
    axes.set_ylabel("came true: share right")
    _legend(axes)
    return svg(figure, name, "Reliability of the located probability")


APART = 0.03
"""Bins nearer than this touch in a picture of this width."""


def spread(
    found: Sequence[tuple[str, Sequence[float]]],
    limit: float | None,
    label: str,
    name: str,
    title: str,
) -> str:
    """The share of cases done within so many seconds, a curve an arm; dashed: the limit."""
    figure, (axes,) = sheet(1, 2.5)
    values = [one for _, some in found for one in some if one > 0]
    for arm, some in found:
        ordered = np.sort(np.asarray(some, dtype=float))
        share = np.arange(1, ordered.size + 1) / max(ordered.size, 1)
        kept, drawn = _thinned(ordered, share)
        axes.step(kept, drawn, where="post", color=ARM_COLOURS.get(arm, SERIES), linewidth=1.4,
                  label=f"{arm}, {ordered.size} cases")  # fmt: skip
    if limit is not None:
        axes.axvline(limit, color=ALERT, linewidth=1.1, linestyle="--")
    if values and max(values) > 30 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_ticker().FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(_ticker().NullFormatter())
    axes.set(ylim=(0.0, 1.04), xlabel=label, ylabel="share of cases")
    _legend(axes)
    return svg(figure, name, title)


def short(value: float) -> str:
    """A figure for an axis: three digits, thousands as k, M, G.

    >>> [short(one) for one in (0.1234, 20.5, 12_500.0, 3e9)]
    ['0.123', '20.5', '12.5k', '3G']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _legend(axes: Axes) -> None:
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(loc="best", labelcolor=INK)


def _thinned(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """At most `POINTS` points, lowest and highest of each stretch, so that no peak is lost."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size <= POINTS:
        return x, y
    kept: set[int] = {0, int(x.size) - 1}
    for part in np.array_split(np.arange(x.size), POINTS // 2):
        kept |= {int(part[np.argmin(y[part])]), int(part[np.argmax(y[part])])}
    chosen = np.array(sorted(kept))
    return x[chosen], y[chosen]
