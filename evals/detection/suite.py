"""Detection alone: the copilot's own watch over replayed metrics, and what detection costs.

The cost is per CPU second: one series after another, columns, and against river.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping
from math import nan
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection.peers import ewma_z
from evals.detection.replay import (
    PRODUCTION,
    Detection,
    by_three_sigma,
    by_watch,
    of_cases,
    of_histories,
    of_timelines,
    with_history,
)
from evals.localization.cases import RECORDINGS, BundleCase, CaseSetError, read
from evals.localization.tables import detection_table
from evals.report import Options, Result, Table, number
from tools.detector import WATCH, DetectorArm, DetectorConfig, Stream, detect
from tools.detector.novelty import Novelty
from tools.types import FloatArray, Series

SHIPPED, TIMELINES = "shipped incidents", "timelines"
SHORT, NORMAL = "incidents without history", "normal operation"
"""What is replayed."""


def run(options: Options, progress: Progress) -> Result:
    """Replay the days and incidents under --data, or the shipped ones; count alarms."""
    if options.arm == "llm":
        raise SystemExit("detection has no llm arm: choose --arm rules or --arm ml")
    started = time.perf_counter()
    arm: DetectorArm = PRODUCTION if options.best_arm else options.arm
    place = options.data or RECORDINGS
    try:
        cases = read(place, options.limit)
    except CaseSetError as error:
        raise SystemExit(f"detection: {error}") from error
    detected = _replayed(place, cases, arm, progress, shipped=options.data is None)
    return Result(
        suite="detection",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data or "shipped"),
        seconds=time.perf_counter() - started,
        cases=tuple(
            _case(f"{name}/{id_}" if name == "timelines" else id_, delay)
            for name, one in detected.items()
            for id_, delay in one.by_incident.items()
        ),
        summary=_summary(detected),
        tables=(detection_table(detected),),
        notes={"detection": {name: one.model_dump() for name, one in detected.items()}},
    )


def _replayed(
    place: Path,
    cases: tuple[BundleCase, ...],
    arm: DetectorArm,
    progress: Progress,
    *,
    shipped: bool,
) -> Mapping[str, Detection]:
    ways = {"": by_watch(arm), ", three sigma": by_three_sigma}
    task = progress.add_task("detection", total=len(ways))
    found: dict[str, Detection] = {}
    for name, alarms in ways.items():
        if shipped:
            found[f"{SHIPPED}{name}"] = with_history(cases, alarms)
        else:
            found[f"{TIMELINES}{name}"] = of_timelines(place, alarms)
            found[f"{SHORT}{name}"] = of_cases(cases, alarms)
            found[f"{NORMAL}{name}"] = of_histories(place, alarms)
        progress.advance(task)
    return found


def _case(name: str, delay: float | None) -> dict[str, JsonValue]:
    return {"id": name, "delay_s": delay, "within_60_s": delay is not None and delay <= 60.0}


def _summary(detected: Mapping[str, Detection]) -> dict[str, float]:
    """Figures of the watch: over a past it has learned, in normal operation, over a short past."""
    nothing = Detection()
    watched = detected.get(SHIPPED) or detected.get(TIMELINES, nothing)
    normal, short = detected.get(NORMAL, nothing), detected.get(SHORT, nothing)
    return {
        "detected_within_60_s": watched.recall(60.0),
        "watch.recall5": watched.recall(),
        "watch.delay_s.p50": median(watched.delays) if watched.delays else nan,
        "watch.false_per_quiet_hour": watched.false_per_hour,
        "normal.false_per_hour": normal.false_per_hour,
        "short.recall5": short.recall(),
        "short.false_per_hour": short.false_per_hour,
    }


POINTS = 100_000
GROWTH = (1, 10, 100)
BASE_POINTS = 10_000
BASE_SERIES = 100
COLUMN_STEPS = 60
SETTLE_STEPS = 40
PEER_POINTS = 5_000
REPEATS = 3


class Pace(NamedTuple):
    """What was run_bench, how many points, and how fast."""

    name: str
    points: int
    per_s: float


def run_bench(options: Options, progress: Progress) -> Result:
    """Points per second and bytes per series as the input grows, with peers beside them."""
    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    walk = _walk(rng, POINTS)
    jobs: list[Callable[[], list[Pace]]] = [
        lambda: _one_after_another(rng),
        lambda: [_columns(rng, BASE_SERIES * factor, WATCH) for factor in GROWTH],
        lambda: [_columns(rng, BASE_SERIES * 100, DetectorConfig())],
        lambda: [_columns(rng, BASE_SERIES * 100, WATCH, "counters")],
        lambda: [_novel(walk[:PEER_POINTS])],
        lambda: [_timed("EWMA z, Python floats", walk, ewma_z)],
        lambda: _river(walk[:PEER_POINTS]),
    ]
    task = progress.add_task("detector", total=len(jobs))
    paces: list[Pace] = []
    for job in jobs:
        paces.extend(job())
        progress.advance(task)
    held, at_first = _bytes_per_series()
    own = paces[0].per_s
    summary = {
        "points_per_s.one_series": own,
        "points_per_s.columns": max(p.per_s for p in paces if p.name.startswith("columns")),
        "state_bytes_per_series": held,
        "state_bytes_per_series.counter": at_first,
        "state_bytes_per_series.novelty": float(Novelty().state_bytes),
    }
    for pace in paces:
        if pace.name.startswith("river"):
            summary[f"times_faster_than.{pace.name.replace(' ', '_')}"] = own / pace.per_s
    rows = tuple(
        (p.name, f"{p.points:,}", f"{p.per_s / 1000:,.0f} k", number(own / p.per_s, 2))
        for p in paces
    )
    return Result(
        suite="bench detector",
        version=copilot.__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(
            Table(
                title=f"Detector: {held:.0f} bytes of state per series ({at_first:.0f} while it "
                f"may be a counter; novelty: {Novelty().state_bytes})",
                columns=("what (measured)", "points", "points/CPU s", "detect is × as fast"),
                rows=rows,
            ),
        ),
    )


def _bytes_per_series(series: int = 1000) -> tuple[float, float]:
    """State of gauges, and of series that may be counters."""
    stream = Stream([("", str(i)) for i in range(series)])
    at_first = stream.state_bytes / series
    stream.update_columns(0.0, np.full(series, -1.0))
    return stream.state_bytes / series, at_first


def _walk(rng: np.random.Generator, points: int) -> FloatArray:
    walk: FloatArray = rng.normal(size=points).cumsum() * 0.02 + rng.normal(size=points)
    return walk


def _timed(name: str, values: FloatArray, work: Callable[[FloatArray], object]) -> Pace:
    """The best of a few runs, in CPU time: other work on the machine only makes a run slower."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        work(values)
        best = min(best, time.process_time() - began)
    return Pace(name, len(values), len(values) / best)


def _one_after_another(rng: np.random.Generator) -> list[Pace]:
    def whole(values: FloatArray) -> object:
        return detect(Series("", "m", np.arange(float(len(values))) * 60.0, values))

    sizes = [BASE_POINTS * factor for factor in (10, 1, 100)]
    return [_timed("detect, one series", _walk(rng, size), whole) for size in sizes]


def _columns(
    rng: np.random.Generator, series: int, config: DetectorConfig, what: str = "columns"
) -> Pace:
    """Steady state: the scales are known and the thresholds have settled."""
    stream = Stream([("", str(i)) for i in range(series)], config)
    rows = rng.normal(size=(SETTLE_STEPS + COLUMN_STEPS, series))
    ahead = 0.0
    if what == "counters":
        rows = np.abs(rows).cumsum(axis=0)
        ahead = float(rows[-1].max())
    for t in range(SETTLE_STEPS):
        stream.update_columns(60.0 * t, rows[t])
    best = float("inf")
    for repeat in range(REPEATS):
        began = time.process_time()
        for t in range(SETTLE_STEPS, SETTLE_STEPS + COLUMN_STEPS):
            stream.update_columns(60.0 * (t + repeat * COLUMN_STEPS), rows[t] + repeat * ahead)
        best = min(best, time.process_time() - began)
    name = f"{what} of {series:,}, p < {config.tail:.1g}"
    return Pace(name, COLUMN_STEPS * series, COLUMN_STEPS * series / best)


def _novel(values: FloatArray) -> Pace:
    config = DetectorConfig(alert_on="novel")

    def whole(part: FloatArray) -> object:
        return detect(Series("", "m", np.arange(float(len(part))) * 60.0, part), config)

    return _timed("detect, novelty too", values, whole)


def _river(values: FloatArray) -> list[Pace]:
    """Half-space trees and the Gaussian scorer of river, where it is installed."""
    if importlib.util.find_spec("river") is None:
        return []
    # river is a peer, not a dependency: only the bench extra has it.
    anomaly = importlib.import_module("river.anomaly")

    def trees(part: FloatArray) -> object:
        model = anomaly.HalfSpaceTrees(seed=0, limits={"x": (-10.0, 10.0)})
        return [_learn(model, {"x": value}) for value in part.tolist()]

    def gaussian(part: FloatArray) -> object:
        model = anomaly.GaussianScorer()
        return [_learn_target(model, value) for value in part.tolist()]

    return [
        _timed("river GaussianScorer", values, gaussian),
        _timed("river HalfSpaceTrees", values, trees),
    ]


def _learn(model: object, x: dict[str, float]) -> float:
    score = float(model.score_one(x))  # type: ignore[attr-defined]
    model.learn_one(x)  # type: ignore[attr-defined]
    return score


def _learn_target(model: object, value: float) -> float:
    score = float(model.score_one(None, value))  # type: ignore[attr-defined]
    model.learn_one(None, value)  # type: ignore[attr-defined]
    return score
