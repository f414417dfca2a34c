"""What real series are: unordered, repeated, missing and infinite points, and counters."""

import re
from collections.abc import Sequence
from math import isfinite

import numpy as np

from tools.types import FloatArray, Series

LARGEST = 1e100
"""No measurement; a larger one is an overflow somewhere and counts as missing."""


def ordered(series: Series) -> tuple[FloatArray, FloatArray]:
    """Return times (seconds, ascending, unique) and values, where NaN stands for no measurement.

    Of several values at one time the last finite one in the order given counts, so that a
    repeated delivery changes nothing.
    """
    times = np.asarray(series.times, dtype=np.float64)
    values = np.asarray(series.values, dtype=np.float64)
    values = np.where(np.abs(values) <= LARGEST, values, np.nan)
    if not _ascends(times):
        known = np.isfinite(times)
        times, values = times[known], values[known]
    if _ascends(times):
        return times, values
    order = np.lexsort((np.arange(len(times)), np.isfinite(values), times))
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)
    return times[last], values[last]


def _ascends(times: FloatArray) -> bool:
    """Whether times are finite and each is later than the one before."""
    ends = times.size == 0 or (isfinite(times[0]) and isfinite(times[-1]))
    return ends and bool((times[1:] > times[:-1]).all())


FEW = 8
"""With fewer values nothing is taken for a counter."""

COUNTED = 24
"""Values before a series that is watched is taken for a counter."""

RESET = 0.5
RESETS, RESETS_PER_STEP = 1.0, 0.02
"""A fall to less than this share of the value before is a reset; more resets than `RESETS` and
`RESETS_PER_STEP` of the steps make a sawtooth, which is no counter."""

MOVING = 0.3
"""Least share of the steps of a counter that rise."""


_LEVEL = re.compile(
    r"(?:^|[^a-z])(?:pct|percent(?:age)?|ratio|utili[sz]ation|used|free|avail(?:able)?|depth)"
    r"(?:[^a-z]|$)(?!.*total$)"
)
"""Names of levels. source: Prometheus, Metric and label naming (a counter ends in `total`, a share
in `ratio`); node_exporter and cAdvisor for `used`, `free` and `avail`."""


def is_counter(values: FloatArray) -> bool:
    """Return whether finite `values` only rise, apart from resets towards zero."""
    if len(values) < FEW or values.min() < 0:
        return False
    steps = values[1:] - values[:-1]
    falls = steps < 0
    if int(falls.sum()) > RESETS + RESETS_PER_STEP * len(steps):
        return False
    resets = bool((values[1:][falls] <= RESET * values[:-1][falls]).all())
    rises = float(np.mean(steps > 0))
    return resets and rises >= MOVING


def gauges(
    series: Sequence[Series], baseline: Sequence[Series]
) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    """Both ordered, with counters as their rates per second, since their level says nothing.

    What is long enough to say so has to be a counter in both: a disk that fills only rises, and is
    known by its past for what it is. What its unit or name says is a level is never one.
    """
    told: dict[str, bool] = {}
    series, baseline = (
        tuple(Series(one.owner, one.metric, *ordered(one), one.unit) for one in many)
        for many in (series, baseline)
    )
    for one in (*series, *baseline):
        finite = one.values[np.isfinite(one.values)]
        if len(finite) >= COUNTED:
            counts = told.get(one.name, True) and is_counter(finite)
            told[one.name] = counts and not _is_level(one)

    def paced(many: Sequence[Series]) -> tuple[Series, ...]:
        return tuple(rates(one) if told.get(one.name) else one for one in many)

    return paced(series), paced(baseline)


def _is_level(series: Series) -> bool:
    return series.unit == "%" or _LEVEL.search(series.metric.lower()) is not None


def rates(series: Series) -> Series:
    """Return a counter as its increase per second; the step over a reset is NaN."""
    times, values = ordered(series)
    known = np.isfinite(values)
    times, values = times[known], values[known]
    if len(values) < 2:
        return Series(series.owner, series.metric, times[:0], values[:0], series.unit)
    steps = np.diff(values) / np.diff(times)
    per_second = np.where(steps >= 0, steps, np.nan)
    return Series(series.owner, series.metric, times[1:], per_second, f"{series.unit}/s")
