"""The alert stream as a timeline, clusters coloured: what was told, held, and true."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evals.alerts.feed import MethodOutcome
from evals.alerts.score import NOISE
from evals.alerts.streams import AlertStream

_DAY = 86400.0
_HELD = "#c8c8c8"
_ZOOMS = 4
"""The busiest stretches with incidents that are also drawn close up."""


def timeline(stream: AlertStream, outcome: MethodOutcome, path: Path) -> None:
    """The whole stream above, the stretches where most incidents meet below."""
    times = np.array([alert.starts_at for alert in stream.alerts])
    origin = float(times[0])
    figure = Figure(figsize=(15, 13), layout="constrained")
    grid = figure.add_gridspec(1 + _ZOOMS // 2, 2)
    _week(figure.add_subplot(grid[0, :]), stream, outcome, (times - origin) / _DAY)
    for position, (start, end) in enumerate(_stretches(stream)):
        axes = figure.add_subplot(grid[1 + position // 2, position % 2])
        inside = np.flatnonzero((times >= start) & (times <= end))
        _close_up(axes, stream, outcome, [int(i) for i in inside], origin)
    figure.savefig(path, dpi=110)


def _week(axes: Axes, stream: AlertStream, outcome: MethodOutcome, days: np.ndarray) -> None:
    """Every alert by the rank of its cluster; rings are alerts of incidents."""
    ranks = np.array([outcome.rank.get(cluster, 0.0) for cluster in outcome.clusters])
    told = np.array([cluster in outcome.told for cluster in outcome.clusters])
    real = np.array([label != NOISE for label in stream.truth])
    axes.scatter(days[~told], ranks[~told], s=9, color=_HELD, label="held back")
    axes.scatter(days[told], ranks[told], s=16, color="tab:blue", label="told")
    axes.scatter(
        days[real],
        ranks[real],
        s=70,
        facecolors="none",
        edgecolors="tab:red",
        linewidths=0.9,
        label="of an incident (answer)",
    )
    axes.set(
        title=f"{stream.name}: {len(stream.alerts)} alerts, {len(outcome.told)} groups told",
        xlabel="days",
        ylabel="rank of its group",
        ylim=(-0.03, 1.03),
        xlim=(-0.05, float(days[-1]) + 0.05),
    )
    axes.legend(loc="upper left", ncols=3, fontsize=9, framealpha=0.9)
    axes.grid(alpha=0.25)


def _stretches(stream: AlertStream) -> list[tuple[float, float]]:
    """Windows around the incidents that lie closest to another, largest first."""
    spans: dict[str, list[float]] = defaultdict(list)
    for alert, label in zip(stream.alerts, stream.truth, strict=True):
        if label != NOISE:
            spans[label].append(alert.starts_at)
    ordered = sorted((min(times), max(times), len(times)) for times in spans.values())
    pairs = [
        (later[0] - earlier[0] > 1800.0, -(earlier[2] + later[2]), earlier, later)
        for earlier, later in zip(ordered, ordered[1:], strict=False)
    ]
    chosen = sorted(sorted(pairs)[:_ZOOMS], key=lambda pair: pair[2])
    return [_around(earlier, later) for _, _, earlier, later in chosen]


def _around(
    earlier: tuple[float, float, int], later: tuple[float, float, int]
) -> tuple[float, float]:
    together = later[0] - earlier[0] <= 1800.0
    end = max(earlier[1], later[1]) if together else earlier[1]
    return earlier[0] - 120.0, end + 180.0


def _close_up(
    axes: Axes, stream: AlertStream, outcome: MethodOutcome, inside: Sequence[int], origin: float
) -> None:
    """Alerts by service and minute, coloured by cluster, marked by the incident of the answer."""
    services = list(dict.fromkeys(stream.alerts[i].service for i in inside))
    labels = [label for label in dict.fromkeys(stream.truth[i] for i in inside) if label != NOISE]
    marks = dict(zip(labels, "os^DvP*X", strict=False))
    sizes = Counter(outcome.clusters[i] for i in inside)
    told = [cluster for cluster, _ in sizes.most_common() if cluster in outcome.told]
    palette = mpl.colormaps["tab10"]
    colours = {cluster: palette(n % 10) for n, cluster in enumerate(told)}
    row = {name: position for position, name in enumerate(services)}
    filled = np.zeros(len(services), dtype=int)
    begin = stream.alerts[inside[0]].starts_at
    for i in inside:
        alert, cluster = stream.alerts[i], outcome.clusters[i]
        lift = 0.11 * (filled[row[alert.service]] % 5 - 2)
        filled[row[alert.service]] += 1
        axes.scatter(
            (alert.starts_at - begin) / 60.0,
            row[alert.service] + lift,
            s=42,
            marker=marks.get(stream.truth[i], "x"),
            color=colours.get(cluster, _HELD),
            linewidths=1.2,
        )
    axes.set_yticks(range(len(services)), [name[:26] for name in services], fontsize=8)
    axes.set_ylim(len(services) - 0.5, -0.5)
    axes.set_xlabel(f"minutes, from day {(begin - origin) / _DAY:.2f}")
    names = ", ".join(f"{label} {_NAMES[mark]}" for label, mark in marks.items())
    axes.set_title(f"shape = answer: {names or 'noise'}; colour = our group", fontsize=9)
    axes.grid(alpha=0.25)


_NAMES = {
    "o": "circle",
    "s": "square",
    "^": "triangle",
    "D": "diamond",
    "v": "down",
    "P": "plus",
    "*": "star",
    "X": "cross",
}
