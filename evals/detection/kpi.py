"""The KPI contest's curves: delay-adjusted F1, and what a person would be woken for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection import files as metric_files
from evals.detection import score as scoring
from evals.detection.files import KpiCurve, MetricDataError
from evals.detection.folds import (
    PEER_CONSTANTS,
    FoldOptions,
    Rules,
    by_kind,
    constants,
    kind_of,
    left_out,
    others,
    short,
    spread,
)
from evals.detection.peers import (
    ewma_z,
    holt_winters,
    seasonal_naive,
    spectral_residual,
    three_sigma,
)
from evals.detection.score import Curve, mean
from evals.page import pictures
from evals.page.drawing import Track
from evals.report import Result, Table, ml_or_rules, number
from tools.detector import DetectorConfig, calibration, residuals, scores
from tools.types import FloatArray, Series

THRESHOLD = 1.0
DRAWN = 1500
"""Points of a curve in its picture."""

PUBLISHED = (
    ("DSPOT, libspot (anchor)", 0.673, None, 0.835, 0.859),
    ("EWMA z (anchor)", 0.620, None, 0.831, 0.770),
    ("PromQL adaptive, Grafana's rules (anchor)", 0.563, None, 0.805, 0.812),
    ("Holt-Winters (anchor)", 0.521, None, 0.866, 0.840),
    ("FluxEV (published, the contest's test half)", 0.790, None, None, None),
    ("SR-CNN (published, the contest's test half)", 0.771, None, None, None),
)

PEERS: tuple[tuple[str, Callable[[KpiCurve], FloatArray]], ...] = (
    ("three sigma (measured)", lambda one: three_sigma(one.values)),
    ("seasonal naive (measured)", lambda one: seasonal_naive(one.times, one.values)),
    ("spectral residual (measured)", lambda one: spectral_residual(one.values)),
)
"""Further simple peers, for the folds."""

OTHER_CONSTANTS = 3
"""Of ours, beyond the numbers named in its modules: two memories, and three points that rise."""


@dataclass(frozen=True)
class CurveScore:
    """One curve with a score per point."""

    curve: KpiCurve
    scores: FloatArray
    seconds: float

    @property
    def gridded(self) -> scoring.Curve:
        """On its regular grid, warm-up cut off."""
        return scoring.curve(self.curve.times, self.scores, self.curve.labels)


def run(options: FoldOptions, progress: Progress) -> Result:
    """Score every curve under --data with one configuration, and two peers in the same run."""
    started = time.perf_counter()
    try:
        curves = list(metric_files.kpi(metric_files.folder(options.data, "kpi"), options.limit))
    except MetricDataError as problem:
        raise SystemExit(f"kpi: {problem}") from problem
    if not curves:
        raise SystemExit(f"kpi: no <id>.csv[.gz] in metrics/kpi under {str(options.data)!r}")
    arm = ml_or_rules(options, "kpi")
    config = DetectorConfig(arm=arm)
    methods: tuple[tuple[str, Callable[[KpiCurve], FloatArray]], ...] = (
        (f"ours, {arm} (measured)", lambda one: _ours(one, config)),
        ("EWMA z (measured)", lambda one: ewma_z(one.values)),
        ("Holt-Winters (measured)", lambda one: holt_winters(one.times, one.values)),
    )
    if options.cv:
        methods += PEERS
    task = progress.add_task("kpi", total=len(curves) * len(methods))
    outcome: dict[str, list[CurveScore]] = {}
    for name, method in methods:
        for one in curves:
            outcome.setdefault(name, []).append(_score(one, method))
            progress.advance(task)
    ours = outcome[methods[0][0]]
    if options.plot is not None:
        title = "KPI: values around most labels, what is labelled, what is flagged"
        pictures.save_tracks("kpi", list(map(_track, ours)), "days", options.plot, title)
    figures = {name: _figures(scored) for name, scored in outcome.items()}
    return Result(
        suite="kpi",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(map(_case, ours)),
        summary={f"kpi.{key}": value for key, value in figures[methods[0][0]].items()},
        tables=(
            _curves_table(ours),
            *(_fold_tables(outcome) if options.cv else ()),
            _peers_table(figures, outcome),
        ),
        notes={"default_threshold": THRESHOLD},
    )


def _ours(one: KpiCurve, config: DetectorConfig) -> FloatArray:
    return scores(Series("", one.name, one.times, one.values), config).strength


def _score(one: KpiCurve, method: Callable[[KpiCurve], FloatArray]) -> CurveScore:
    started = time.perf_counter()
    points = method(one)
    return CurveScore(one, points, time.perf_counter() - started)


def _track(one: CurveScore) -> Track:
    """The stretch around the point with most changes of label near it."""
    curve, half = one.curve, DRAWN // 2
    edges = np.flatnonzero(np.diff(curve.labels.astype(np.int8)))
    near = [np.count_nonzero(np.abs(edges - at) < half) for at in edges]
    middle = int(edges[int(np.argmax(near))]) if near else len(curve.labels) // 2
    part = slice(max(0, middle - half), middle + half)
    days = (curve.times[part] - curve.times[0]) / 86_400.0
    wrong = [
        (float(days[first]), float(days[last - 1]))
        for first, last in scoring.segments(curve.labels[part])
    ]
    flagged = days[one.scores[part] >= THRESHOLD].tolist()
    return Track(curve.name[:16], days, curve.values[part], wrong, flagged)


def _figures(scored: Sequence[CurveScore]) -> dict[str, float]:
    curves = [one.gridded for one in scored]
    events = [scoring.recall_within(one) for one in curves]
    late = [delay for one in curves for delay in scoring.delays(one, THRESHOLD)]
    found, asked = sum(e.found for e in events), sum(e.segments for e in events)
    return {
        "f1_pooled": scoring.best_f1(curves).f1,
        "f1_default": scoring.f1_at(curves, THRESHOLD),
        "f1_per_curve": mean([scoring.best_f1([one]).f1 for one in curves]),
        "recall_1fp_day": found / asked if asked else float("nan"),
        "delay_points_p50": float(np.median(late)) if late else float("nan"),
    }


class CurveVerdict(NamedTuple):
    """One curve at one threshold: labelled points found, false ones, all labelled; episodes."""

    found: float
    wrong: float
    positives: float
    false_episodes: int
    days: float
    recalled: int
    segments: int


def _verdict(one: Curve, threshold: float) -> CurveVerdict:
    here = scoring.events(one, threshold)
    counts = scoring.counts_at(one, threshold)
    return CurveVerdict(*counts, here.false_episodes, here.days, here.found, here.segments)


def _f1(verdicts: Sequence[CurveVerdict]) -> float:
    found, wrong = sum(one.found for one in verdicts), sum(one.wrong for one in verdicts)
    positives = sum(one.positives for one in verdicts)
    return 2.0 * found / (found + wrong + positives) if positives else float("nan")


def _recall(verdicts: Sequence[CurveVerdict]) -> float:
    segments = sum(one.segments for one in verdicts)
    return sum(one.recalled for one in verdicts) / segments if segments else float("nan")


def _false_a_day(verdicts: Sequence[CurveVerdict]) -> float:
    return mean([one.false_episodes / one.days for one in verdicts])


BY_F1: Rules[Curve, CurveVerdict] = Rules(
    lambda known: scoring.best_f1(known).threshold, _verdict, _f1
)
AT_ONE_A_DAY: Rules[Curve, CurveVerdict] = Rules(scoring.threshold_within, _verdict, _recall)


def _fold_tables(outcome: Mapping[str, Sequence[CurveScore]]) -> tuple[Table, Table]:
    """Each curve judged by what was chosen on the others, and the classes of curves."""
    curves = {name: [one.gridded for one in scored] for name, scored in outcome.items()}
    ours = next(iter(curves))
    by_f1, one_a_day = left_out(curves, BY_F1), left_out(curves, AT_ONE_A_DAY)
    shipped = [_verdict(one, THRESHOLD) for one in curves[ours]]
    written = {ours: constants(residuals, calibration) + OTHER_CONSTANTS}
    rows = []
    for name, verdicts in by_f1.items():
        within = one_a_day[name]
        rows.append(
            (
                short(name),
                str(written.get(name, PEER_CONSTANTS.get(short(name), "–"))),
                spread(_f1, verdicts).said(),
                spread(_f1, shipped).said() if name == ours else "–",
                number(mean([_f1([one]) for one in verdicts]), 3),
                spread(_recall, within).said(),
                number(_false_a_day(within), 2),
            )
        )
    rests = [others(curves[ours], i) for i in range(len(curves[ours]))]
    least = min(scoring.f1_at(rest, THRESHOLD) / scoring.best_f1(rest).f1 for rest in rests)
    folds = Table(
        title="KPI, each curve judged at the threshold chosen on the others (± jackknife); at "
        f"the shipped one ours has {least:.2f} of the swept F1 on the worst fold",
        columns=(
            "detector",
            "constants",
            "pooled F1",
            "at default",
            "per curve",
            "recall at 1 FP/day",
            "FP/day then",
        ),
        rows=tuple(rows),
    )
    swept = {name: [scoring.best_f1([one]).f1 for one in held] for name, held in curves.items()}
    kinds = [kind_of(one.curve.times, one.curve.values) for one in outcome[ours]]
    return folds, by_kind(kinds, swept, mean, "KPI by class of curve: mean of each curve's best F1")


def _case(one: CurveScore) -> dict[str, JsonValue]:
    curve = one.gridded
    best, events = scoring.best_f1([curve]), scoring.recall_within(curve)
    return {
        "id": one.curve.name,
        "points": len(one.scores),
        "segments": events.segments,
        "f1": best.f1,
        "f1_default": scoring.f1_at([curve], THRESHOLD),
        "found_within_1fp_day": events.found,
        "points_per_s": round(len(one.scores) / max(one.seconds, 1e-9)),
    }


def _curves_table(scored: Sequence[CurveScore]) -> Table:
    rows = []
    for one in scored:
        curve = one.gridded
        here = scoring.events(curve, THRESHOLD)
        rows.append(
            (
                one.curve.name,
                str(here.segments),
                number(scoring.best_f1([curve]).f1, 3),
                number(scoring.f1_at([curve], THRESHOLD), 3),
                number(here.recall, 2),
                number(here.false_episodes / here.days if here.days else None, 2),
            )
        )
    return Table(
        title="KPI by curve (delay 7 points)",
        columns=("curve", "segments", "best F1", "F1", "recall", "false episodes/day"),
        rows=tuple(rows),
    )


def _peers_table(
    figures: dict[str, dict[str, float]], outcome: dict[str, list[CurveScore]]
) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, one in figures.items():
        points = sum(len(scored.scores) for scored in outcome[name])
        seconds = sum(scored.seconds for scored in outcome[name])
        default = number(one["f1_default"], 3) if name.startswith("ours") else "–"
        rows.append(
            (
                name,
                number(one["f1_pooled"], 3),
                default,
                number(one["f1_per_curve"], 3),
                number(one["recall_1fp_day"], 3),
                f"{points / max(seconds, 1e-9) / 1000:.0f} k",
            )
        )
    rows.extend((name, *(number(value, 3) for value in row), "–") for name, *row in PUBLISHED)
    return Table(
        title="KPI, k = 7",
        columns=(
            "detector",
            "pooled F1",
            "at default",
            "per curve",
            "recall at 1 FP/day",
            "points/s",
        ),
        rows=tuple(rows),
    )
