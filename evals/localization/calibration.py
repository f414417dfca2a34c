"""Does a stated probability come true as often as it says, and how often is anything said at all.

Brier (1950): mean (p - y)^2. Expected calibration error: the bins' |mean p - mean y|, weighed by
how many cases each holds (Naeini, Cooper and Hauskrecht, 2015), over ten bins of equal mass. With
few cases chance alone makes an error (`honest_error`), so it and an interval stand beside it.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, nan
from statistics import fmean
from typing import NamedTuple

import numpy as np

from evals.report import Table, number
from tools.types import FrozenModel, Ranking

BINS = 10

SURE = 0.95
"""What is said with more than this is believed without looking."""

RESAMPLES, HONEST = 1000, 200


class AnswerClaim(NamedTuple):
    """What was said of one case: the chance of the first component, whether it is right (a share
    where it ties), and whether it was called proven or likely."""

    chance: float
    right: float
    sure: bool


def claims(answers: Sequence[tuple[Ranking, float]]) -> list[AnswerClaim]:
    """What rankings say, each with whether its first component is right; nothing where none is."""
    return [
        AnswerClaim(ranking.candidates[0].probability, right, not ranking.abstained)
        for ranking, right in answers
        if ranking.candidates and ranking.candidates[0].score > 0
    ]


class Bin(FrozenModel):
    """Cases of neighbouring probabilities: how many, what was said, what came true."""

    low: float
    high: float
    count: int
    said: float
    came_true: float


class CalibrationScore(FrozenModel):
    """Over `count` cases; NaN where there is none."""

    count: int
    brier: float
    error: float
    bins: tuple[Bin, ...]


def calibration(said: Sequence[tuple[float, float]]) -> CalibrationScore:
    """Of pairs (probability, outcome), both in [0, 1]; what is not finite is left out.

    >>> calibration([(1.0, 1.0), (0.6, 0.0)]).brier
    0.18
    """
    known = sorted((pair for pair in said if all(map(isfinite, pair))), key=lambda pair: pair[0])
    if not known:
        return CalibrationScore(count=0, brier=nan, error=nan, bins=())
    count = len(known)
    # What was said alike belongs into one bin: its order says nothing.
    ends = [_after_ties(known, count * (n + 1) // BINS) for n in range(BINS)]
    cut = [known[start:end] for start, end in pairwise([0, *ends])]
    bins = tuple(
        Bin(
            low=inside[0][0],
            high=inside[-1][0],
            count=len(inside),
            said=fmean(p for p, _ in inside),
            came_true=fmean(y for _, y in inside),
        )
        for inside in cut
        if inside
    )
    return CalibrationScore(
        count=count,
        brier=fmean((p - y) ** 2 for p, y in known),
        error=sum(one.count * abs(one.said - one.came_true) for one in bins) / count,
        bins=bins,
    )


def _after_ties(known: Sequence[tuple[float, float]], end: int) -> int:
    while 0 < end < len(known) and known[end][0] == known[end - 1][0]:
        end += 1
    return end


def calibration_keys(said: Sequence[AnswerClaim], cases: int) -> dict[str, float]:
    """The published figures: `ece`, `brier`, `wrong_at_95` (0.0 where nothing is said so high), and
    `coverage`, the share of all cases that is called proven or likely."""
    found = calibration([(one.chance, one.right) for one in said])
    high = [one.right for one in said if one.chance >= SURE]
    return {
        "calibration.ece": found.error,
        "calibration.brier": found.brier,
        "calibration.wrong_at_95": 1.0 - fmean(high) if high else 0.0,
        "calibration.coverage": sum(one.sure for one in said) / cases if cases else nan,
    }


def error_interval(said: Sequence[AnswerClaim], seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the calibration error (percentiles, 1000 resamples)."""
    if not said:
        return nan, nan
    rng = np.random.default_rng(seed)
    pairs = [(one.chance, one.right) for one in said]
    errors = [
        calibration([pairs[at] for at in rng.integers(len(pairs), size=len(pairs))]).error
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(errors, [2.5, 97.5])
    return float(low), float(high)


def honest_error(said: Sequence[AnswerClaim], seed: int = 0) -> float:
    """The calibration error that chance alone makes where every stated probability is true."""
    if not said:
        return nan
    rng = np.random.default_rng(seed)
    chances = [one.chance for one in said]
    drawn = (rng.random((HONEST, len(said))) < np.array(chances)).astype(float)
    return fmean(calibration(list(zip(chances, row, strict=True))).error for row in drawn.tolist())


def calibration_table(groups: Mapping[str, tuple[Sequence[AnswerClaim], int]]) -> Table:
    """A row per system, and one over all: `groups` holds what was said, and of how many cases."""
    shown = dict(groups)
    if len(groups) > 1:
        whole = [one for said, _ in groups.values() for one in said]
        shown["all"] = (whole, sum(cases for _, cases in groups.values()))
    columns = (
        *("system", "cases", "said / right", "ECE (95 %; by chance)", "Brier"),
        *("answered / sure", "wrong at 0.95"),
    )
    rows = tuple(_row(name, said, cases) for name, (said, cases) in shown.items())
    return Table(title="Said and right: the first component", columns=columns, rows=rows)


def _row(name: str, said: Sequence[AnswerClaim], cases: int) -> tuple[str, ...]:
    keys = calibration_keys(said, cases)
    low, high = error_interval(said)
    surest = [one for one in said if one.chance >= SURE]
    wrong = len(surest) - sum(one.right for one in surest)
    means = [number(fmean(one[at] for one in said) if said else None) for at in (0, 1)]
    error, chance = keys["calibration.ece"], honest_error(said)
    return (
        name,
        str(cases),
        " / ".join(means),
        f"{number(error)} ({number(low)}–{number(high)}; {number(chance)})",
        number(keys["calibration.brier"]),
        f"{number(len(said) / cases if cases else None)} / {number(keys['calibration.coverage'])}",
        f"{wrong:.0f} of {len(surest)}",
    )


class QuietCount(NamedTuple):
    """Of how many quiet stretches (`quiet.py`) a component was called likely or proven."""

    said: int
    stretches: int

    @classmethod
    def of(cls, rankings: Sequence[Ranking]) -> "QuietCount":
        """Count the answers to quiet stretches."""
        return cls(sum(not one.abstained for one in rankings), len(rankings))


def quiet_keys(counts: Mapping[str, QuietCount]) -> dict[str, float]:
    """`quiet.said`, the share of all quiet stretches, and of each system; NaN where none is."""
    whole = QuietCount(*(sum(column) for column in zip((0, 0), *counts.values(), strict=True)))
    named = {"": whole, **{f"{system}.": count for system, count in counts.items()}}
    return {
        f"{name}quiet.said": said / stretches if stretches else nan
        for name, (said, stretches) in named.items()
    } | {"quiet.stretches": float(whole.stretches)}


def quiet_table(counts: Mapping[str, QuietCount]) -> Table:
    """A row per system: how often somebody was accused while nothing was wrong."""
    rows = tuple((name, f"{said} of {count}") for name, (said, count) in counts.items())
    return Table(
        title="Nothing is wrong, and somebody is paged",
        columns=("system", "called likely"),
        rows=rows,
    )
