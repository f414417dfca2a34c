"""Detection in a window of one series."""

import numpy as np

from tools.detector.model import DEFAULT, DetectorConfig
from tools.detector.stream import Stream
from tools.types import Anomaly, Series


def detect(
    series: Series,
    config: DetectorConfig = DEFAULT,
    baseline: Series | None = None,
) -> list[Anomaly]:
    """The episodes of one series, in order of onset; `baseline` is learned from first."""
    stream = Stream(((series.owner, series.metric),), config)
    if baseline is not None:
        for t, v in zip(baseline.times, baseline.values, strict=True):
            stream.update(float(t), float(v))
    found: dict[float, Anomaly] = {}
    order = np.argsort(series.times, kind="stable")
    for t, v in zip(series.times[order], series.values[order], strict=True):
        found.update({a.onset: a for a in stream.update(float(t), float(v))})
    return list(found.values())
