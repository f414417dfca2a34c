"""Explicit and exponential buckets of an OTLP point, as buckets with bounds.

Source: opentelemetry.io, "Metrics Data Model": "Histogram", "ExponentialHistogram".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from copilot.sources.otlp.reading import RecordError, integer, number, objects
from copilot.sources.received.buckets import ENDLESS
from tools.types import FloatArray

MOST_BUCKETS = 1000
"""Buckets read of one point; SDKs make 160 of a sign at most. Of more, rate and mean are told."""

SCALES = range(-10, 21)
"""The scales that an exponential histogram of an SDK takes; others tell no quantiles."""

SMALLEST = 1e-15
"""How far from zero the bucket of zeroes reaches at least, so that it has a width."""


def explicit(point: dict[str, Any], name: str) -> FloatArray | None:
    """The buckets between given bounds; None where there are no bounds."""
    bounds, counts = _listed(point, "explicitBounds"), _listed(point, "bucketCounts")
    if not bounds and len(counts) <= 1:
        return None
    if len(counts) != len(bounds) + 1:
        raise RecordError(f"{name!r} has {len(counts)} buckets between {len(bounds)} bounds")
    if len(counts) > MOST_BUCKETS:
        return None
    edges = _numbers(bounds, name)
    if (np.diff(edges) <= 0).any():
        raise RecordError(f"{name!r} has bounds that do not rise")
    # Prometheus takes a first bucket with a positive bound to begin at zero.
    lowest = 0.0 if edges[0] > 0 else -ENDLESS
    around = np.concatenate([[lowest], edges, [ENDLESS]])
    return _filled(around[:-1], around[1:], _counts(counts, name))


def exponential(point: dict[str, Any], name: str) -> FloatArray | None:
    """The buckets of base 2^(2^-scale) on both sides of zero; None where they are too many."""
    scale = integer(point.get("scale"))
    sides = [next(objects([point.get(side)])) for side in ("negative", "positive")]
    if (
        scale not in SCALES
        or sum(len(_listed(side, "bucketCounts")) for side in sides) > MOST_BUCKETS
    ):
        return None
    below, above = (_side(side, scale, name) for side in sides)
    mirrored = (below * (-1.0, -1.0, 1.0))[::-1, [1, 0, 2]]
    threshold = max(SMALLEST, number(point.get("zeroThreshold", 0.0), name))
    zeroes = _counts([point.get("zeroCount", 0)], name)
    middle = _filled(np.array([-threshold if below.size else 0.0]), np.array([threshold]), zeroes)
    return np.concatenate([mirrored, middle, above])


def _side(side: dict[str, Any], scale: int, name: str) -> FloatArray:
    counts = _counts(_listed(side, "bucketCounts"), name)
    places = integer(side.get("offset")) + np.arange(counts.size + 1, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        edges = np.minimum(np.exp2(places * 2.0**-scale), ENDLESS)
    return _filled(edges[:-1], edges[1:], counts)


def _filled(lower: FloatArray, upper: FloatArray, counts: FloatArray) -> FloatArray:
    return np.column_stack([lower, upper, counts])[counts > 0]


def _counts(listed: Sequence[Any], name: str) -> FloatArray:
    counts = _numbers(listed, name)
    if (counts < 0).any():
        raise RecordError(f"{name!r} has a bucket with less than nothing in it")
    return counts


def _numbers(listed: Sequence[Any], name: str) -> FloatArray:
    """Finite numbers, of which JSON may hold some as text; all at once, since they are many."""
    try:
        found = np.array(listed, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(f"{name!r} has a bucket that is no number") from error
    if found.ndim != 1 or not (np.abs(found) < ENDLESS).all():
        raise RecordError(f"{name!r} has a bucket that is no finite number")
    return found


def _listed(point: dict[str, Any], name: str) -> Sequence[Any]:
    found = point.get(name)
    return found if isinstance(found, list) else ()
