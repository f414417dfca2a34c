"""What is coming: the next day of real series, and when drawn resources are full.

Both by rolling origin: every forecast knows only what came before it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection import files as metric_files
from evals.detection.files import MetricDataError
from evals.forecast import limits, picture
from evals.forecast.leaks import DAY, HARMLESS, KINDS, LEAKS, resource
from evals.forecast.limits import LimitRow, judged, predict_linear
from evals.report import EvalArm, Options, Result, Table, ml_or_rules, number
from tools.forecaster import expect, seasonal_naive
from tools.types import FloatArray

AHEAD, FIRST = 24, 168
"""Hours that are forecast at once, and hours of past before the first time."""

DRAWN = 4
"""Resources of each kind; seeds from 1000 on, which nothing was chosen by."""

FIRST_SEED = 1000
_NONE = 1e-9


@dataclass(frozen=True, slots=True)
class CourseRow:
    """One series: share of hours within the band, and errors in those of the seasonal naive."""

    name: str
    origins: int
    covered: float
    mase: float
    naive: float


def run(options: Options, progress: Progress) -> Result:
    """Forecast each day of each series, and each resource every two hours."""
    started = time.perf_counter()
    arm = ml_or_rules(options, "forecast")
    series = list(_series(options))[: options.limit]
    task = progress.add_task("forecast", total=len(series) + len(KINDS))
    courses = []
    for name, hours in series:
        courses.append(_course(name, hours, arm))
        progress.advance(task)
    peers = {
        "node-exporter mixin: predict_linear[6h] 24 h, over 60 % used": predict_linear(60, DAY),
        "Kubernetes mixin: predict_linear[6h] 4 days, over 85 % used": predict_linear(85, 4 * DAY),
    }
    drawn = min(DRAWN, options.limit or DRAWN)
    seeds = range(FIRST_SEED + drawn * options.seed, FIRST_SEED + drawn * (options.seed + 1))
    ours: list[LimitRow] = []
    others: dict[str, list[LimitRow]] = {name: [] for name in peers}
    for kind in KINDS:
        for seed in seeds:
            one = resource(kind, seed)
            ours.append(judged(one, limits.copilot))
            for name, rule in peers.items():
                others[name].append(judged(one, rule))
        progress.advance(task)
    folds = limits.without_the_kind(ours)
    if options.plot is not None:
        picture.save(ours, options.plot)
    return Result(
        suite="forecast",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=(*map(_course_case, courses), *map(_limit_case, ours)),
        summary={
            "coverage90": fmean(row.covered for row in courses),
            "mase": fmean(row.mase for row in courses),
            "lead_time_h.p50": _lead(ours),
            "false_per_week": _false(ours),
        },
        more={
            "mase.median": median(row.mase for row in courses),
            "naive.mase": fmean(row.naive for row in courses),
            "naive.median": median(row.naive for row in courses),
            "limits.coverage90": _covered(ours),
            "limits.coverage90.folds": fmean(held for _, held in folds.values()),
            "limits.missed": _missed(ours),
        },
        tables=(_courses_table(courses), _kinds_table(ours, folds), _rules_table(ours, others)),
    )


def _series(options: Options) -> Iterator[tuple[str, FloatArray]]:
    try:
        place = metric_files.folder(options.data, "nab")
        for file in metric_files.nab(place, options.limit):
            yield f"nab/{file.name}", _by_the_hour(file.times, file.values)
        for curve in metric_files.kpi(metric_files.folder(options.data, "kpi"), options.limit):
            yield f"kpi/{curve.name}", _by_the_hour(curve.times, curve.values)
    except MetricDataError as problem:
        raise SystemExit(f"forecast: {problem}") from problem


def _by_the_hour(times: FloatArray, values: FloatArray) -> FloatArray:
    """The mean of each hour; NaN where nothing was measured."""
    hour = (times // 3600.0).astype(np.int64)
    hour -= hour.min()
    sums, counts = np.bincount(hour, values), np.bincount(hour)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _course(name: str, hours: FloatArray, arm: EvalArm) -> CourseRow:
    covered, wrong, naive = [], [], []
    known = np.isfinite(hours)
    filled = np.interp(np.arange(len(hours)), np.flatnonzero(known), hours[known])
    for origin in range(max(FIRST, len(hours) // 3), len(hours) - AHEAD + 1, AHEAD):
        came, heard = hours[origin : origin + AHEAD], known[origin : origin + AHEAD]
        if not heard.any() or known[:origin].sum() < FIRST // 2:
            continue
        told = expect(hours[:origin], AHEAD, "ml" if arm == "ml" else "rules")
        none = _NONE * float(np.abs(filled[:origin]).max())
        inside = (came >= told.low - none) & (came <= told.high + none)
        covered.append(float(inside[heard].mean()))
        # Hyndman and Koehler 2006: scaled by the seasonal naive's error on the past.
        scale = float(np.abs(filled[24:origin] - filled[: origin - 24]).mean()) + none
        wrong.append(float(np.abs(told.expected - came)[heard].mean()) / scale)
        simple = seasonal_naive(filled[:origin], AHEAD)
        naive.append(float(np.abs(simple - came)[heard].mean()) / scale)
    if not covered:
        return CourseRow(name, 0, float("nan"), float("nan"), float("nan"))
    return CourseRow(name, len(covered), fmean(covered), fmean(wrong), fmean(naive))


def _leaks(rows: Sequence[LimitRow]) -> list[LimitRow]:
    return [row for row in rows if row.resource.full_at is not None]


def _lead(rows: Sequence[LimitRow]) -> float:
    leads = [row.lead_h for row in _leaks(rows)]
    return median(leads) if leads else float("nan")


def _false(rows: Sequence[LimitRow]) -> float:
    """Forecasts that did not come true, of one resource in one week."""
    weeks = sum(row.weeks for row in rows)
    return sum(row.false for row in rows) / weeks if weeks else float("nan")


def _missed(rows: Sequence[LimitRow]) -> float:
    leaks = _leaks(rows)
    return fmean(row.lead_h == 0 for row in leaks) if leaks else float("nan")


def _covered(rows: Sequence[LimitRow]) -> float:
    """Intervals that held the moment, each resource counted once."""
    held = [fmean(row.held) for row in rows if row.held]
    return fmean(held) if held else float("nan")


def _course_case(row: CourseRow) -> dict[str, JsonValue]:
    return {
        "id": row.name,
        "origins": row.origins,
        "coverage90": row.covered,
        "mase": row.mase,
        "naive": row.naive,
    }


def _limit_case(row: LimitRow) -> dict[str, JsonValue]:
    return {
        "id": row.resource.name,
        "full": row.resource.full_at is not None,
        "lead_h": row.lead_h,
        "false": row.false,
        "covered": fmean(row.held) if row.held else None,
    }


def _courses_table(rows: Sequence[CourseRow]) -> Table:
    def line(name: str, group: Sequence[CourseRow]) -> tuple[str, ...]:
        held, wrong = [row.covered for row in group], [row.mase for row in group]
        return (
            f"{name} ({len(group)})",
            f"{fmean(held):.3f} ± {pstdev(held):.3f}",
            f"{fmean(wrong):.2f} ± {pstdev(wrong):.2f}",
            number(median(wrong)),
            number(median(row.naive for row in group)),
        )

    kinds: dict[str, list[CourseRow]] = {}
    known = [row for row in rows if row.origins]
    for row in known:
        kinds.setdefault(row.name.rpartition("/")[0], []).append(row)
    return Table(
        title="The next 24 hours of real series, by the hour, from every midnight",
        columns=("", "in the 90 % band", "MASE", "… median", "seasonal naive, median"),
        rows=(line("all", known), *(line(name, group) for name, group in kinds.items())),
    )


def _kinds_table(rows: Sequence[LimitRow], folds: Mapping[str, tuple[float, float]]) -> Table:
    def line(kind: str) -> tuple[str, ...]:
        own = [row for row in rows if row.resource.kind == kind]
        wide, held = folds.get(kind, (float("nan"), float("nan")))
        return (
            kind.replace("_", " "),
            f"{sum(row.lead_h > 0 for row in _leaks(own))}/{len(_leaks(own))}",
            number(_lead(own), 0),
            str(sum(row.false for row in own)),
            number(_covered(own)),
            f"{number(held)} ({number(wide)})",
        )

    return Table(
        title="Resources, looked at every two hours for three weeks",
        columns=("kind", "foretold", "hours ahead, p50", "for nothing", "in the interval",
                 "… widened by the other kinds (by)"),
        rows=tuple(map(line, (*LEAKS, *HARMLESS))),
    )  # fmt: skip


def _rules_table(ours: Sequence[LimitRow], others: Mapping[str, Sequence[LimitRow]]) -> Table:
    def line(name: str, rows: Sequence[LimitRow]) -> tuple[str, ...]:
        return name, number(_lead(rows), 0), number(_missed(rows)), number(_false(rows), 3)

    return Table(
        title="Hours ahead, and what was for nothing",
        columns=("", "hours ahead, p50", "missed", "for nothing, a resource and week"),
        rows=(
            line("copilot (measured)", ours),
            *(line(f"{name} (measured)", rows) for name, rows in others.items()),
        ),
    )
