"""A business metric by minute and leaf, and what is expected of each leaf at a moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tools.normal import Normal
from tools.types import FloatArray, Timestamp

MOST_LEAVES = 200_000
"""Bound of one table. source: by definition; so many leaves of six dimensions take two seconds."""


class SliceError(ValueError):
    """The table has nothing in which a slice could be searched; says what is wrong with it."""


@dataclass(frozen=True, eq=False, slots=True)
class MetricCube:
    """A metric by minute: `values` (leaves × times), `counts` likewise for a ratio, else None.

    `leaves` hold an attribute for each of the dimensions; a leaf that is silent has 0.
    """

    dimensions: tuple[str, ...]
    leaves: tuple[tuple[str, ...], ...]
    times: FloatArray
    values: FloatArray
    counts: FloatArray | None = None

    @classmethod
    def of_rows(
        cls,
        dimensions: Sequence[str],
        rows: Iterable[tuple[Timestamp, tuple[str, ...], float, float | None]],
    ) -> Self:
        """Lay out rows of moment, attributes, value and count (None: no ratio); equal ones add."""
        leaves: dict[tuple[str, ...], int] = {}
        cells: list[tuple[Timestamp, int, float, float | None]] = []
        for at, leaf, value, count in rows:
            cells.append((at, leaves.setdefault(leaf, len(leaves)), value, count))
            if len(leaves) > MOST_LEAVES:
                raise SliceError(f"more than {MOST_LEAVES} leaves; group them by fewer dimensions")
        times, place = np.unique(np.array([one[0] for one in cells]), return_inverse=True)
        at_leaf = np.array([one[1] for one in cells], dtype=np.int64)
        values = np.zeros((len(leaves), times.size))
        np.add.at(values, (at_leaf, place), np.array([one[2] for one in cells]))
        if all(one[3] is None for one in cells):
            return cls(tuple(dimensions), tuple(leaves), times, values)
        counts = np.zeros_like(values)
        np.add.at(counts, (at_leaf, place), np.array([one[3] or 0.0 for one in cells]))
        return cls(tuple(dimensions), tuple(leaves), times, values, counts)

    def total(self) -> FloatArray:
        """The whole metric at each time; of a ratio the ratio, NaN where nothing was tried."""
        if self.counts is None:
            summed: FloatArray = self.values.sum(axis=0)
            return summed
        tried = self.counts.sum(axis=0)
        ratio: FloatArray = np.full(tried.size, np.nan)
        np.divide(self.values.sum(axis=0), tried, out=ratio, where=tried > 0)
        return ratio

    def worst(self, since: Timestamp) -> tuple[Timestamp, bool]:
        """The moment from `since` on at which the whole metric left its past the furthest.

        Also whether it departed there at all (`tools.normal`).
        """
        total, first = self.total(), int(np.searchsorted(self.times, since))
        normal = Normal.of(total[:first][np.isfinite(total[:first])])
        after = np.nan_to_num(np.abs(normal.z(total[first:])) if normal else total[first:] * 0.0)
        if after.size == 0:
            raise SliceError("no rows from this moment on")
        furthest = first + int(np.argmax(after))
        departed = normal is not None and bool(normal.departs(total[[furthest]])[0])
        return float(self.times[furthest]), departed

    def moment(self, at: Timestamp | None = None) -> "MetricMoment":
        """What is observed at a moment (None: the last) beside what its own past makes expected.

        Expected is the rate of a leaf in the calmer half of the past, with half an event at the
        overall rate beside it (the prior of Jeffreys, 1946, for a Poisson rate), times its tries
        now. A share that fell is told by its complement: of 2 % that fail, not of 98 % that do not.
        """
        now = self.times.size - 1 if at is None else int(np.searchsorted(self.times, at))
        if now >= self.times.size or now < 1 or (at is not None and self.times[now] != at):
            raise SliceError(f"no rows at {at!r}, or none before; give a moment that has a past")
        total = self.total()
        past = np.flatnonzero(np.isfinite(total[:now]))
        if past.size == 0 or not np.isfinite(total[now]):
            raise SliceError("nothing was tried at this moment, or never before")
        usual = float(np.median(total[past]))
        up = bool(total[now] >= usual)
        if not up and self.counts is not None and bool((self.values <= self.counts).all()):
            whole = MetricCube(
                self.dimensions, self.leaves, self.times, self.counts - self.values, self.counts
            )
            return whole.moment(at)
        calm = past[total[past] <= usual] if up else past[total[past] >= usual]
        tried = np.ones_like(self.values) if self.counts is None else self.counts
        seen, tries = self.values[:, calm].sum(axis=1), tried[:, calm].sum(axis=1)
        rate = float(seen.sum() / tries.sum())
        if rate <= 0.0:
            rate = 1.0 / float(tries.sum())
        grain = _grain(self.values[:, calm])
        prior = grain / 2.0
        expected = (seen + prior) / (tries + prior / rate) * tried[:, now]
        observed = self.values[:, now]
        return MetricMoment(self.dimensions, self.leaves, observed, expected, grain)


def _grain(values: FloatArray) -> float:
    """The size of one event: 1 of what is counted, else the variance over the mean of a usual leaf.

    Quasi-likelihood (McCullagh and Nelder, Generalized Linear Models, 1989, ch. 9).
    """
    if bool((values == np.rint(values)).all()):
        return 1.0
    mean = values.mean(axis=1)
    moving = mean > 0
    grains = values[moving].var(axis=1) / mean[moving]
    return float(np.median(grains[grains > 0])) if bool((grains > 0).any()) else 1.0


@dataclass(frozen=True, eq=False, slots=True)
class MetricMoment:
    """Leaves at one moment, `observed` beside `expected`, in a unit of which one event is `grain`.

    `expected` may as well be a forecast.
    """

    dimensions: tuple[str, ...]
    leaves: tuple[tuple[str, ...], ...]
    observed: FloatArray
    expected: FloatArray
    grain: float = 1.0
