"""Pictures of metric series with band, alerts and truth, to look at."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.dates as dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evals.detection.kpi import THRESHOLD
from evals.detection.kpi import CurveScore as KpiScored
from evals.detection.metrics import FileScore as NabScored
from evals.detection.mts import MachineScores
from tools.detector import DetectorConfig
from tools.detector.model import SETTINGS
from tools.detector.series_scorer import SeriesScorer
from tools.types import FloatArray

TRUTH, VALUE, ALERT, BAND = "#f2b5a7", "#33526e", "#b3261e", "#c8d9e6"
PER_PAGE = 6
DETAIL_POINTS = 1500


def nab(scored: Sequence[NabScored], folder: Path) -> list[Path]:
    """Every file with its windows and the alerts at the shipped threshold, six to a page."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [scored[i : i + PER_PAGE] for i in range(0, len(scored), PER_PAGE)]
    written = []
    for number, page in enumerate(pages, start=1):
        figure = _sheet(len(page))
        for axes, one in zip(_axes(figure), page, strict=True):
            times = _days(one.file.times)
            axes.plot(times, one.file.values, color=VALUE, linewidth=0.6)
            for first, last in one.file.windows:
                axes.axvspan(times[first], times[last], color=TRUTH, alpha=0.6, linewidth=0)
            for at in one.alerts.astype(np.int64).tolist():
                axes.axvline(times[at], color=ALERT, linewidth=0.9)
            axes.set_title(f"{one.file.name}  ({len(one.alerts)} alerts)", fontsize=9, loc="left")
            _date_axis(axes, times)
        written.append(_write(figure, folder / f"nab-{number}.png", "window", "alert"))
    return written


def kpi(scored: Sequence[KpiScored], folder: Path) -> list[Path]:
    """Each curve around its largest labelled stretch, with the band and what is flagged."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [scored[i : i + PER_PAGE] for i in range(0, len(scored), PER_PAGE)]
    written = []
    for number, page in enumerate(pages, start=1):
        figure = _sheet(len(page))
        for axes, one in zip(_axes(figure), page, strict=True):
            _curve(axes, one)
        written.append(_write(figure, folder / f"kpi-{number}.png", "labelled", "flagged"))
    return written


def _curve(axes: Axes, one: KpiScored) -> None:
    middle = _busiest(one.curve.labels)
    part = slice(max(0, middle - DETAIL_POINTS // 2), middle + DETAIL_POINTS // 2)
    times = _days(one.curve.times[part])
    values, labels = one.curve.values[part], one.curve.labels[part]
    trace = SeriesScorer(SETTINGS[DetectorConfig().arm]).run(one.curve.values)
    low, high = (trace.middle - trace.half)[part], (trace.middle + trace.half)[part]
    axes.fill_between(times, low, high, color=BAND, linewidth=0, label="expected")
    axes.plot(times, values, color=VALUE, linewidth=0.7)
    axes.fill_between(
        times, 0, 1, where=labels.tolist(), transform=axes.get_xaxis_transform(),
        color=TRUTH, alpha=0.6, linewidth=0,
    )  # fmt: skip
    flagged = np.flatnonzero(one.scores[part] >= THRESHOLD)
    axes.plot(times[flagged], values[flagged], "o", color=ALERT, markersize=3)
    spread = float(values.max() - values.min()) or 1.0
    axes.set_ylim(float(values.min()) - 0.1 * spread, float(values.max()) + 0.1 * spread)
    axes.set_title(f"{one.curve.name[:16]}, the busiest stretch", fontsize=9, loc="left")
    _date_axis(axes, times)


def mts(judged: Sequence[MachineScores], folder: Path) -> list[Path]:
    """How ill each machine is over time, on a log scale, over its labelled segments."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [judged[i : i + PER_PAGE] for i in range(0, len(judged), PER_PAGE)]
    written = []
    for number, page in enumerate(pages, start=1):
        figure = _sheet(len(page))
        for axes, one in zip(_axes(figure), page, strict=True):
            rows = np.arange(len(one.scores.state))
            axes.fill_between(
                rows, 0, 1, where=one.machine.labels.tolist(),
                transform=axes.get_xaxis_transform(), color=TRUTH, alpha=0.6, linewidth=0,
            )  # fmt: skip
            axes.semilogy(rows, np.maximum(one.scores.alarm, 1e-2), color=BAND, linewidth=0.5)
            axes.semilogy(rows, np.maximum(one.scores.state, 1e-2), color=VALUE, linewidth=0.8)
            axes.set_title(
                f"{one.machine.name}: state (dark), alarm (light)", fontsize=9, loc="left"
            )
            axes.set_xlabel("row", fontsize=7)
            axes.tick_params(labelsize=7)
        written.append(_write(figure, folder / f"mts-{number}.png", "labelled", ""))
    return written


def _busiest(labels: np.ndarray) -> int:
    """The middle of the stretch with the most changes of label."""
    edges = np.flatnonzero(np.diff(labels.astype(np.int8)))
    if len(edges) == 0:
        return len(labels) // 2
    near = [np.count_nonzero(np.abs(edges - at) < DETAIL_POINTS // 2) for at in edges]
    return int(edges[int(np.argmax(near))])


def _days(times: FloatArray) -> FloatArray:
    """Days since the epoch, the unit of matplotlib's date axes."""
    return times / 86400.0


def _sheet(rows: int) -> Figure:
    mpl.use("Agg")
    figure = Figure(figsize=(11, 1.9 * rows + 0.6), layout="constrained")
    figure.subplots(rows, 1)
    return figure


def _axes(figure: Figure) -> list[Axes]:
    return list(figure.axes)


def _date_axis(axes: Axes, times: FloatArray) -> None:
    locator = dates.AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator)
    axes.xaxis.set_major_formatter(formatter)
    axes.xaxis.get_offset_text().set_fontsize(7)
    axes.set_xlim(float(times[0]), float(times[-1]))
    axes.tick_params(labelsize=7)


def _write(figure: Figure, path: Path, truth: str, alert: str) -> Path:
    marks = f"shaded: {truth}" + (f"; red: {alert}" if alert else "")
    figure.suptitle(marks, fontsize=8, color="#555555", x=0.99, ha="right")
    figure.savefig(path, dpi=110)
    return path
