"""A first look at a series: what kind it is, before something is concluded from it."""

from typing import Literal

import numpy as np

from tools.detector.clean import ordered
from tools.types import FloatArray, FrozenModel, Series

SeriesKind = Literal["constant", "sparse", "counter", "periodic", "trending", "stationary"]

FEW = 8
COUNTED = 24
"""Values before a series that is watched is taken for a counter."""

RESET = 0.5
RESETS, RESETS_PER_STEP = 1.0, 0.02
"""More resets than these, and it is a sawtooth."""

MOVING = 0.3
SPARSE = 0.8
CORRELATED = 0.5
STEEP = 0.7


class Character(FrozenModel):
    """What a series is like; `period_s` is its dominant period, 0 without one."""

    kind: SeriesKind
    period_s: float = 0.0
    reason: str


def characterise(series: Series) -> Character:
    """The kind of a series, from its own values.

    constant: one value; sparse: mostly one value; counter: only rises, but for resets; trending:
    the rank correlation with time is above 0.7; periodic: the autocorrelation has a peak above
    0.5; else stationary.

    >>> characterise(Series("web", "requests_total", np.arange(50.0), np.arange(50.0) ** 1.5)).kind
    'counter'
    """
    times, values = ordered(series)
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(values) == 0 or bool((values == values[0]).all()):
        return Character(kind="constant", reason=f"one value in {len(values)} points")
    mode = _share_of_commonest(values)
    if mode > SPARSE:
        return Character(kind="sparse", reason=f"{mode:.0%} of the points are one value")
    if is_counter(values):
        return Character(kind="counter", reason="only rises, but for resets")
    slope = _rank_correlation(values)
    if abs(slope) > STEEP:
        way = "rises" if slope > 0 else "falls"
        return Character(kind="trending", reason=f"{way} with time, rank correlation {slope:.2f}")
    lag, peak = _dominant_lag(values)
    if lag:
        period = lag * float(np.median(np.diff(times)))
        return Character(
            kind="periodic",
            period_s=period,
            reason=f"repeats every {period:.4g} s, autocorrelation {peak:.2f}",
        )
    return Character(kind="stationary", reason="no trend, no period")


def is_counter(values: FloatArray) -> bool:
    """Whether finite values only rise, each fall being a reset towards zero."""
    if len(values) < FEW or values.min() < 0:
        return False
    steps = np.diff(values)
    falls = steps < 0
    resets = bool((values[1:][falls] <= RESET * values[:-1][falls]).all())
    rises = float(np.mean(steps > 0))
    usual = int(falls.sum()) <= RESETS + RESETS_PER_STEP * len(steps)
    return resets and usual and rises >= MOVING


def gauge(series: Series) -> Series:
    """A counter as its rate, for its level says nothing and its pace does; others as they are."""
    values = ordered(series)[1]
    finite = values[np.isfinite(values)]
    return rates(series) if len(finite) >= COUNTED and is_counter(finite) else series


def rates(series: Series) -> Series:
    """A counter as increase per second; the step over a reset is missing."""
    times, values = ordered(series)
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(values) < 2:
        return Series(series.owner, series.metric, times[:0], values[:0], series.unit)
    steps = np.diff(values) / np.diff(times)
    per_second = np.where(steps >= 0, steps, np.nan)
    return Series(series.owner, series.metric, times[1:], per_second, f"{series.unit}/s")


def _share_of_commonest(values: FloatArray) -> float:
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max()) / len(values)


def _rank_correlation(values: FloatArray) -> float:
    """Spearman's correlation with the order of the points."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    if len(ranks) < FEW:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(float(len(ranks))))[0, 1])


def _dominant_lag(values: FloatArray) -> tuple[int, float]:
    """The lag of the highest peak of the autocorrelation after its first fall, and its height."""
    centred = values - values.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[: max(2, len(centred) // 2)]
    correlation = correlation / max(float(correlation[0]), 1e-300)
    low = np.flatnonzero(correlation < 0.2)
    if len(low) == 0:
        return 0, 0.0
    lag = int(low[0]) + int(np.argmax(correlation[low[0] :]))
    peak = float(correlation[lag])
    return (lag, peak) if peak > CORRELATED else (0, 0.0)
