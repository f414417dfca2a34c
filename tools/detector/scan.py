"""Detection in a window of one series, and the scores behind it."""

import numpy as np

from tools.detector.arms import SETTINGS
from tools.detector.clean import ordered
from tools.detector.episodes import Episode, Point, threshold
from tools.detector.model import DEFAULT, DetectorConfig, PointScores
from tools.detector.novelty import novelties
from tools.detector.residuals import BoolArray
from tools.detector.silence import FLAT_LEAST, Silence
from tools.detector.single import Single, Trace
from tools.types import Anomaly, FloatArray, Series


def detect(
    series: Series,
    config: DetectorConfig = DEFAULT,
    baseline: Series | None = None,
) -> list[Anomaly]:
    """The episodes of one series, in order of onset; `baseline` is learned from first.

    Order, repeats, gaps and NaN in the input do not matter. Whether a point is reported depends
    on the points before it only. Cost: about 1.5 microseconds a point.

    >>> values = np.where(np.arange(200) == 150, 9.0, np.arange(200) % 3)
    >>> found = detect(Series("web", "latency", np.arange(200) * 60.0, values))
    >>> [(a.onset, a.direction, a.kind) for a in found]
    [(9000.0, 'up', 'spike')]
    """
    times, values = ordered(series)
    past = np.empty(0) if baseline is None else ordered(baseline)[1]
    trace, seen = _trace(past, values, config)
    opens = _opens(times, values, trace, config) & (seen >= config.warmup)
    name = (series.owner, series.metric)
    found = _episodes(name, times, values, trace, opens, config)
    return sorted(found + _voids(name, times, values, config), key=lambda a: a.onset)


def scores(
    series: Series, config: DetectorConfig = DEFAULT, baseline: Series | None = None
) -> PointScores:
    """The score of every point of `clean.ordered(series)`, each from the points up to it."""
    times, values = ordered(series)
    past = np.empty(0) if baseline is None else ordered(baseline)[1]
    trace, seen = _trace(past, values, config)
    strength = np.where(seen >= config.warmup, trace.ratio * trace.fires, 0.0)
    return PointScores(strength=strength, novelty=_novel(times, values, config))


def _trace(
    past: FloatArray, values: FloatArray, config: DetectorConfig
) -> tuple[Trace, FloatArray]:
    """Every point judged, and how many finite values came before it."""
    state = Single(SETTINGS[config.arm])
    state.run(past)
    trace = state.run(values)
    finite = np.isfinite(values)
    seen = np.cumsum(finite) - finite + np.count_nonzero(np.isfinite(past))
    return trace, seen.astype(np.float64)


def _novel(times: FloatArray, values: FloatArray, config: DetectorConfig) -> FloatArray:
    if config.alert_on == "every":
        return np.zeros(len(values))
    return novelties(times, values, config)


def _opens(
    times: FloatArray, values: FloatArray, trace: Trace, config: DetectorConfig
) -> BoolArray:
    """Points at which an episode may open."""
    if config.alert_on == "novel":
        return _novel(times, values, config) >= config.novelty
    return (trace.fires > 0) & (trace.ratio >= threshold(trace.gamma, config))


def _episodes(
    name: tuple[str, str],
    times: FloatArray,
    values: FloatArray,
    trace: Trace,
    opens: BoolArray,
    config: DetectorConfig,
) -> list[Anomaly]:
    found: list[Anomaly] = []
    after = 0
    for start in np.flatnonzero(opens).tolist():
        if start < after:
            continue
        episode = Episode(*name, config, _point(times, values, trace, start))
        end = None
        after = len(times)
        for i in range(start + 1, len(times)):
            if values[i] == values[i] and episode.take(_point(times, values, trace, i)):
                end, after = float(times[i]), i + 1
                break
        found.append(episode.anomaly(end))
    return found


def _point(times: FloatArray, values: FloatArray, trace: Trace, i: int) -> Point:
    return Point(
        float(times[i]),
        float(values[i]),
        float(trace.ratio[i]),
        bool(trace.fires[i]),
        float(trace.signed[i]),
        float(trace.middle[i]),
        float(trace.half[i]),
        float(trace.gamma[i]),
    )


def _voids(
    name: tuple[str, str], times: FloatArray, values: FloatArray, config: DetectorConfig
) -> list[Anomaly]:
    """Gaps and flat lines; the slow look is taken only where there can be one."""
    if len(times) < 3 or not _may_be_silent(times, values, config):
        return []
    silence = Silence(1, config)
    found: dict[tuple[str, float], Anomaly] = {}
    for t, value in zip(times.tolist(), values, strict=True):
        there = np.array([value == value])
        late = silence.missing(t, there)
        if late is not None:
            gap = silence.gap(0, name, t if there[0] else None)
            found[("missing", gap.onset)] = gap
        lasted = silence.run[0], silence.since[0]
        flat = silence.flat(t, np.array([value]), there)
        if flat is not None:
            line = silence.flatline(0, name, None)
            found.setdefault(("flatline", line.onset), line)
        elif lasted[0] > 0 and ("flatline", float(lasted[1])) in found and silence.run[0] == 0:
            key = ("flatline", float(lasted[1]))
            found[key] = found[key].model_copy(update={"end": t})
        silence.hear(t, there)
    return list(found.values())


def _may_be_silent(times: FloatArray, values: FloatArray, config: DetectorConfig) -> bool:
    between = np.diff(times)
    if not np.isfinite(values).all() or between.max() > config.missing * between.min():
        return True
    moves = np.flatnonzero(np.diff(values) != 0)
    runs = np.diff(moves, prepend=-1, append=len(values) - 1)
    return bool(runs.max(initial=0) >= FLAT_LEAST)
