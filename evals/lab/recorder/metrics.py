"""Metrics: what the copilot's own Prometheus source sees, as a table on one grid of time."""

from collections.abc import Sequence

import numpy as np

from copilot.sources.clock import SystemClock
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient, PrometheusSource, queries
from evals.simulator.tables import metric_rows
from tools.types import Series, Window

SAMPLING_S = 5


def table(prometheus: str, window: Window) -> str:
    """Every series of the window as CSV, a column each."""
    api = JsonApi("Prometheus", ApiEndpoint(prometheus, None), timeout_s=30.0)
    source = PrometheusSource(
        PrometheusClient(api), queries(None), SystemClock(), step_s=float(SAMPLING_S)
    )
    return metric_rows(aligned(source.series(window)))


def aligned(series: Sequence[Series]) -> list[Series]:
    """The same series on the union of their times; NaN where one has no point."""
    if not series:
        return []
    grid = np.unique(np.concatenate([one.times for one in series]))
    found = []
    for one in sorted(series, key=lambda each: (each.metric, each.owner)):
        values = np.full(grid.size, np.nan)
        values[np.searchsorted(grid, one.times)] = one.values
        found.append(Series(one.owner, one.metric, grid, values, one.unit))
    return found
