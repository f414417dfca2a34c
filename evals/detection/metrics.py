"""The Numenta Anomaly Benchmark: our alerts beside published detectors', by its own score."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection import files as metric_files
from evals.detection.files import MetricDataError, NabFile
from evals.detection.folds import (
    PEER_CONSTANTS,
    FoldOptions,
    Rules,
    by_kind,
    constants,
    kind_of,
    left_out,
    spread,
)
from evals.detection.peers import (
    ewma_z,
    holt_winters,
    seasonal_naive,
    spectral_residual,
    three_sigma,
)
from evals.detection.score import (
    PROFILES,
    STANDARD,
    LabelledScores,
    best_nab,
    nab_at,
    nab_pay,
    nab_scaled,
    probation,
)
from evals.page import pictures
from evals.page.drawing import Track
from evals.report import EvalArm, Result, Table, ml_or_rules, number
from tools.detector import DetectorConfig, novelty, residuals, scores
from tools.detector.novelty import lookback
from tools.types import FloatArray, Series

EPISODE = 0.03
PUBLISHED = (
    ("ARTime (published, full corpus 74.9)", 72.8, 62.4, 79.0),
    ("Numenta HTM (published)", 65.8, 59.1, 70.2),
    ("CAD OSE (published)", 66.3, 63.0, 69.9),
    ("KNN-CAD (published)", 59.8, 45.2, 66.8),
    ("Skyline, earthgecko (published)", 52.1, 40.4, 57.6),
    ("two z-scores + one alert per episode (anchor)", 52.0, 32.1, 60.4),
    ("AWS Random Cut Forest (published)", 48.4, 39.6, 55.2),
)


@dataclass(frozen=True)
class FileScore:
    """One file with our score per point and the points that alert at the default."""

    file: NabFile
    scores: FloatArray
    alerts: FloatArray
    seconds: float


def run(options: FoldOptions, progress: Progress) -> Result:
    """Score every file with points up to its moment only, and the corpus at one threshold."""
    started = time.perf_counter()
    try:
        place = metric_files.folder(options.data, "nab")
        files = list(metric_files.nab(place, options.limit))
    except MetricDataError as problem:
        raise SystemExit(f"metrics: {problem}") from problem
    if not files:
        raise SystemExit(f"metrics: no file named in combined_windows.json lies in {str(place)!r}")
    arm = ml_or_rules(options, "metrics")
    task = progress.add_task("metrics (NAB)", total=len(files))
    scored = []
    for file in files:
        scored.append(_score(file, arm))
        progress.advance(task)
    if options.plot is not None:
        title = "NAB: values, windows of the answer, alerts at the shipped threshold"
        pictures.save_tracks(
            "metrics", list(map(_track, scored)), "days from the first", options.plot, title
        )
    default = default_threshold(arm)
    summary = _summary([_labelled(one) for one in scored], default)
    return Result(
        suite="metrics",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(_case(one, default) for one in scored),
        summary=summary,
        tables=(
            _files_table(scored, default),
            *(_fold_tables(scored, default) if options.cv else ()),
            _peers_table(scored, summary, arm),
        ),
        notes={"default_threshold": default, "reference_check": _check(scored)},
    )


def default_threshold(arm: EvalArm) -> float:
    """The shipped threshold of the score that an arm alerts on."""
    return DetectorConfig().novelty if arm == "ml" else 1.0


def _score(file: NabFile, arm: EvalArm) -> FileScore:
    """Rows are kept in the file's order: a clock set back an hour is part of the data."""
    started = time.perf_counter()
    series = Series("", file.name, _steady(file.times), file.values)
    if arm == "ml":
        points = scores(series, DetectorConfig(alert_on="novel")).novelty
    else:
        strength = scores(series, DetectorConfig(arm="rules")).strength
        far = lookback(strength) >= EPISODE * len(strength)
        points = np.where(far, strength, 0.0)
    alerts = np.flatnonzero(points >= default_threshold(arm)).astype(np.float64)
    return FileScore(file, points, alerts, time.perf_counter() - started)


def _steady(times: FloatArray) -> FloatArray:
    steady: FloatArray = np.maximum.accumulate(times) + np.arange(len(times)) * 1e-6
    return steady


def _track(one: FileScore) -> Track:
    days = (one.file.times - one.file.times[0]) / 86_400.0
    windows = [(float(days[first]), float(days[last])) for first, last in one.file.windows]
    alerts = [float(days[at]) for at in one.alerts.astype(np.int64)]
    return Track(one.file.name, days, one.file.values, windows, alerts)


def _labelled(one: FileScore) -> LabelledScores:
    return LabelledScores(one.scores, one.file.windows)


def _summary(files: Sequence[LabelledScores], default: float) -> dict[str, float]:
    figures = {f"nab.{profile.name}": best_nab(files, profile).score for profile in PROFILES}
    return figures | {"nab.default_threshold": nab_at(files, STANDARD, default)}


PEERS: tuple[tuple[str, Callable[[NabFile], FloatArray]], ...] = (
    ("EWMA z", lambda file: ewma_z(file.values)),
    ("Holt-Winters", lambda file: holt_winters(_steady(file.times), file.values)),
    ("three sigma", lambda file: three_sigma(file.values)),
    ("seasonal naive", lambda file: seasonal_naive(_steady(file.times), file.values)),
    ("spectral residual", lambda file: spectral_residual(file.values)),
)
"""Each with one alert per episode, as the anchor of two z-scores has it."""

OTHER_CONSTANTS = 3
"""Of ours, beyond the numbers named in its modules: the lengths of four memories and three reaches
are two tuples there; and the spacing."""

BY_STANDARD: Rules[LabelledScores, tuple[float, int]] = Rules(
    lambda files: best_nab(files, STANDARD).threshold,
    lambda file, threshold: nab_pay(file, STANDARD, threshold),
    lambda pays: nab_scaled(pays, STANDARD),
)


def _fold_tables(scored: Sequence[FileScore], default: float) -> tuple[Table, Table]:
    """Each file judged at the threshold that is best on the others, and the classes of files."""
    methods = {"ours": [_labelled(one) for one in scored]}
    for name, method in PEERS:
        methods[name] = [_rare(one.file, method(one.file)) for one in scored]
    for name in KNOWN:
        if all(len(one.file.reference.get(name, ())) == len(one.scores) for one in scored):
            methods[f"{name} (its published scores)"] = [
                LabelledScores(one.file.reference[name], one.file.windows) for one in scored
            ]
    judged = left_out(methods, BY_STANDARD)
    shipped = [BY_STANDARD.judge(file, default) for file in methods["ours"]]
    written = {"ours": constants(residuals, novelty) + OTHER_CONSTANTS}
    rows = [
        (
            name,
            str(written.get(name, PEER_CONSTANTS.get(name, "–"))),
            spread(BY_STANDARD.figure, pays).said(1),
            spread(BY_STANDARD.figure, shipped).said(1) if name == "ours" else "–",
        )
        for name, pays in judged.items()
    ]
    folds = Table(
        title="NAB, each file judged at the threshold chosen on the others (± jackknife)",
        columns=("detector", "constants", "standard", "at default"),
        rows=tuple(rows),
    )
    kinds = [kind_of(_steady(one.file.times), one.file.values) for one in scored]
    simple = {name: judged[name] for name in ("ours", *(name for name, _ in PEERS))}
    title = "NAB by class of file, standard, thresholds chosen on the other files"
    return folds, by_kind(kinds, simple, BY_STANDARD.figure, title, digits=1)


def _rare(file: NabFile, points: FloatArray) -> LabelledScores:
    far = lookback(points) >= EPISODE * len(points)
    return LabelledScores(np.where(far, points, 0.0), file.windows)


def _hits(one: FileScore, threshold: float) -> tuple[int, int]:
    """Windows with an alert, and alerts outside of any."""
    alerts = np.flatnonzero(one.scores >= threshold)
    alerts = alerts[alerts >= probation(len(one.scores))]
    inside = [(alerts >= a) & (alerts <= b) for a, b in one.file.windows]
    found = sum(bool(hit.any()) for hit in inside)
    within = np.any(inside, axis=0) if inside else np.zeros(len(alerts), dtype=bool)
    return found, int((~within).sum())


def _case(one: FileScore, default: float) -> dict[str, JsonValue]:
    found, false = _hits(one, default)
    return {
        "id": one.file.name,
        "points": len(one.scores),
        "windows": len(one.file.windows),
        "found": found,
        "false_alerts": false,
        "points_per_s": round(len(one.scores) / max(one.seconds, 1e-9)),
    }


def _files_table(scored: Sequence[FileScore], default: float) -> Table:
    rows = []
    for one in scored:
        found, false = _hits(one, default)
        windows = str(len(one.file.windows))
        rows.append((one.file.name, str(len(one.scores)), windows, str(found), str(false)))
    return Table(
        title="NAB by file, at the shipped threshold",
        columns=("file", "points", "windows", "found", "false alerts"),
        rows=tuple(rows),
    )


def _peers_table(scored: Sequence[FileScore], summary: dict[str, float], arm: EvalArm) -> Table:
    ours = (
        f"ours, {arm} (measured)",
        *(number(summary[f"nab.{profile.name}"], 1) for profile in PROFILES),
        number(summary["nab.default_threshold"], 1),
    )
    measured = [
        (f"{name} (measured from its own scores)", *(number(value, 1) for value in row), "–")
        for name, row in _references(scored).items()
    ]
    published = [(name, *(number(value, 1) for value in row), "–") for name, *row in PUBLISHED]
    return Table(
        title="NAB, best threshold per profile (published: the 29 dev series)",
        columns=("detector", "standard", "low FP", "low FN", "standard at default"),
        rows=(ours, *measured, *published),
    )


def _references(scored: Sequence[FileScore]) -> dict[str, tuple[float, ...]]:
    """The supplied detectors' scores by our scorer, over the files they cover."""
    names = sorted({name for one in scored for name in one.file.reference})
    found = {}
    for name in names:
        files = [
            LabelledScores(one.file.reference[name], one.file.windows)
            for one in scored
            if len(one.file.reference.get(name, ())) == len(one.scores)
        ]
        found[name] = tuple(best_nab(files, profile).score for profile in PROFILES)
    return found


KNOWN = {"ARTime": (72.8, 62.4, 79.0), "windowedGaussian": (36.1, 17.5, 44.4)}
KNOWN_FILES = 29


def _check(scored: Sequence[FileScore]) -> str:
    """Whether the scorer reproduces NAB's own figures, where the 29 series are all there."""
    references = _references(scored)
    covered = all(name in references for name in KNOWN)
    complete = all(name in one.file.reference for one in scored for name in KNOWN)
    if len(scored) != KNOWN_FILES or not covered or not complete:
        return "not checked: the 29 series with the scores of both reference detectors are needed"
    off = [
        f"{name}: {[round(value, 1) for value in references[name]]} instead of {list(known)}"
        for name, known in KNOWN.items()
        if any(abs(a - b) > 0.06 for a, b in zip(references[name], known, strict=True))
    ]
    return "scorer differs from NAB's: " + "; ".join(off) if off else "scorer reproduces NAB's own"
