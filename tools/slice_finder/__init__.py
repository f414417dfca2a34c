"""Slice finder: which attributes of a business metric are to blame for what it does now.

A metric falls apart into leaves, one for each combination of attributes (`isp=telecom,
region=south`), each with a value, and a number of tries where the metric is a ratio. A slice is
every leaf with the attributes it names. With `v` what a slice shows and `e` what it normally would,
both in events, and `x` = v - e for a metric that rose, e - v for one that fell:

    score(slice) = log x - concentration log(e + 1),   lift = log((v + 1) / (e + 1)), signed as x

The best slice of at most `DEEPEST` attributes then loses each attribute without which the rest of
its parent has moved alike, as the ripple effect says of what one cause moves (HotSpot, 2018), takes
in the attributes that all its leaves share, and is joined by siblings that moved alike.
Read, measured and left behind: docs/decisions/slices.md. `python -m evals run slices --data DIR`.
"""

from tools.slice_finder.cube import MetricCube, MetricMoment, SliceError
from tools.slice_finder.search import BlamedSlice, SliceAnswer, SliceConfig, find

__all__ = [
    "BlamedSlice",
    "MetricCube",
    "MetricMoment",
    "SliceAnswer",
    "SliceConfig",
    "SliceError",
    "find",
]
