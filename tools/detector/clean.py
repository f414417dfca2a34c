"""What real series are: unordered, repeated and missing points, and infinities."""

import numpy as np

from tools.types import FloatArray, Series

LARGEST = 1e100
"""No measurement; a larger one is an overflow somewhere and counts as missing."""


def ordered(series: Series) -> tuple[FloatArray, FloatArray]:
    """Times ascending without repeats, and values that are measurements or NaN.

    Of several values at one time the last finite one in the order given counts, so that a
    repeated delivery changes nothing.
    """
    times = np.asarray(series.times, dtype=np.float64)
    values = np.asarray(series.values, dtype=np.float64)
    values = np.where(np.abs(values) <= LARGEST, values, np.nan)
    known = np.isfinite(times)
    times, values = times[known], values[known]
    if len(times) < 2 or bool(np.all(np.diff(times) > 0)):
        return times, values
    order = np.lexsort((np.arange(len(times)), np.isfinite(values), times))
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)
    return times[last], values[last]
