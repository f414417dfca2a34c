"""Where a series is heading, and when it crosses a limit."""

import numpy as np

from tools.detector.model import Forecast
from tools.types import Series


def forecast(series: Series, horizon_s: float, limit: float | None = None) -> Forecast:
    """A straight line through the series, its band, and when it crosses `limit`."""
    there = np.isfinite(series.values)
    times, values = series.times[there], series.values[there]
    if len(times) < 2:
        raise ValueError(f"series {series.name!r} has {len(times)} values; a forecast needs 2")
    now = times[-1]
    slope, level = np.polyfit(times - now, values, 1)
    spread = float(np.std(values - (level + slope * (times - now))))
    expected = float(level + slope * horizon_s)
    crosses = None
    if limit is not None and slope != 0 and 0 <= (limit - level) / slope <= horizon_s:
        crosses = float(now + (limit - level) / slope)
    return Forecast(
        owner=series.owner,
        metric=series.metric,
        at=float(now + horizon_s),
        expected=expected,
        low=expected - 2 * spread,
        high=expected + 2 * spread,
        limit=limit,
        crosses_at=crosses,
        reason=f"changes by {slope * 3600:.4g} an hour",
    )
