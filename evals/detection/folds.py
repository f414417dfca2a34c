"""Leave one out: what is chosen for a series or machine is chosen without it.

A fold is one series or one machine. Each method judges it at the threshold that is best on all the
others; the last row takes the method from them too. The spread is the jackknife's standard error,
`sqrt((n - 1) / n * sum((f_i - mean f)^2))`, `f_i` being the figure without fold i (Efron, The
Jackknife, the Bootstrap and Other Resampling Plans, 1982).
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from evals.report import Options, Table, number
from tools.detector.clean import is_counter
from tools.types import FloatArray

F = TypeVar("F")
J = TypeVar("J")

CHOSEN = "the best on the others"


class FoldOptions(Options):
    """Of a suite of labelled series or machines."""

    cv: bool = Field(
        default=False,
        description="Leave one system, series or machine out: what judges it never saw it.",
    )


class Spread(NamedTuple):
    """A pooled figure with the jackknife's standard error."""

    value: float
    error: float

    def said(self, digits: int = 3) -> str:
        """Both for a table."""
        return f"{number(self.value, digits)} ± {number(self.error, digits)}"


class Rules(NamedTuple, Generic[F, J]):
    """How a threshold is chosen on folds, one is judged by it, and what is made of all."""

    choose: Callable[[Sequence[F]], float]
    judge: Callable[[F, float], J]
    figure: Callable[[Sequence[J]], float]


def others(folds: Sequence[F], left_out: int) -> list[F]:
    """All folds but one."""
    return [*folds[:left_out], *folds[left_out + 1 :]]


def spread(figure: Callable[[Sequence[J]], float], judged: Sequence[J]) -> Spread:
    """One figure of all folds, and how far it hangs on any one of them."""
    if len(judged) < 2:
        return Spread(figure(judged), float("nan"))
    without = np.array([figure(others(judged, i)) for i in range(len(judged))])
    share = (len(without) - 1) / len(without)
    return Spread(figure(judged), float(np.sqrt(share * np.sum((without - without.mean()) ** 2))))


def left_out(methods: Mapping[str, Sequence[F]], rules: Rules[F, J]) -> dict[str, list[J]]:
    """Every fold of every method judged by what was chosen without it, and `CHOSEN` of all.

    Raises SystemExit when there is no other fold to choose on.
    """
    count = min(len(folds) for folds in methods.values())
    if count < 2:
        raise SystemExit("--cv leaves one out: it needs two series or machines, or more")
    judged: dict[str, list[J]] = {name: [] for name in (*methods, CHOSEN)}
    for i in range(count):
        best = (-np.inf, "")
        for name, folds in methods.items():
            known = others(folds, i)
            threshold = rules.choose(known)
            judged[name].append(rules.judge(folds[i], threshold))
            seen = rules.figure([rules.judge(fold, threshold) for fold in known])
            best = max(best, (seen, name))
        judged[CHOSEN].append(judged[best[1]][i])
    return judged


PEER_CONSTANTS = {
    **{"EWMA z": 2, "Holt-Winters": 4, "seasonal naive": 2, "spectral residual": 2},
    **{"three sigma": 0, "top-3 z": 2, "ridge VAR(1) residual": 3, "k-means": 3},
}
"""Numbers written down in `peers` for each."""


def constants(*modules: ModuleType) -> int:
    """The numbers that are written down in modules: each could have been another."""
    return sum(
        isinstance(value, int | float)
        for module in modules
        for name, value in vars(module).items()
        if name.isupper()
    )


MOSTLY = 0.5
"""Share of a series from which on something holds for it."""

TREND = 0.8
"""Rank correlation of daily medians with time; source: strong by Cohen's reading of r."""

TAILS = 10.0
"""The 99.9th percentile of the steps in 90th percentiles; source: 2.0 in normal noise, 10.8 in t
with two degrees of freedom, the heaviest tail with a mean and no variance."""

DAY, SLOTS, FEWEST_DAYS = 86400.0, 24, 4


def kind_of(times: FloatArray, values: FloatArray) -> str:
    """The class of a series by its values alone, the first that holds."""
    known = np.isfinite(values)
    times, values = times[known], values[known]
    steps = np.abs(np.diff(values))
    if not len(steps) or np.mean(steps == 0.0) >= MOSTLY:
        return "flat" if np.mean(values == 0.0) < MOSTLY else "sparse"
    if is_counter(values):
        return "counter-like"
    hours = _by_hour(times, values)
    if len(hours) >= FEWEST_DAYS:
        days = np.nanmedian(hours, axis=1)
        rank = np.argsort(np.argsort(days)).astype(np.float64)
        if abs(np.corrcoef(rank, np.arange(len(days)))[0, 1]) >= TREND:
            return "trending"
        usual = np.nanmedian(hours, axis=0)
        left = hours - usual - (days - np.nanmedian(days))[:, None]
        if np.nanvar(left) <= (1.0 - MOSTLY) * np.nanvar(hours - days[:, None]):
            return "seasonal"
    usual_step = float(np.quantile(steps, 0.9))
    return "bursty" if np.quantile(steps, 0.999) >= TAILS * usual_step else "steady"


def _by_hour(times: FloatArray, values: FloatArray) -> FloatArray:
    """Mean values as days by hours; NaN where none is known, half-empty days left out."""
    place = ((times - times[0]) / DAY * SLOTS).astype(np.int64)
    length = (int(place[-1]) + 1) // SLOTS * SLOTS
    place, values = place[place < length], values[place < length]
    count = np.bincount(place, minlength=length)
    total = np.bincount(place, weights=values, minlength=length)
    hours = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(-1, SLOTS)
    whole: FloatArray = hours[np.isfinite(hours).mean(axis=1) >= MOSTLY]
    return whole


def by_kind(
    kinds: Sequence[str],
    judged: Mapping[str, Sequence[J]],
    figure: Callable[[Sequence[J]], float],
    title: str,
    digits: int = 3,
) -> Table:
    """Where each method wins: the figure over the series of each class; ours comes first."""
    ours, *peers = judged
    rows = []
    for kind in sorted(set(kinds)):
        at = [i for i, one in enumerate(kinds) if one == kind]
        reached = {name: figure([all_[i] for i in at]) for name, all_ in judged.items()}
        best = max(peers, key=lambda name: np.nan_to_num(reached[name], nan=-np.inf))
        ahead = number(reached[ours] - reached[best], digits)
        cells = (number(reached[ours], digits), number(reached[best], digits), short(best))
        rows.append((kind, str(len(at)), *cells, ahead))
    return Table(
        title=title,
        columns=("class", "series", "ours", "best peer", "which", "ahead"),
        rows=tuple(rows),
    )


def short(name: str) -> str:
    """A method without its library or arm and where its figure is from."""
    return name.split(" (")[0].split(", ")[0]
