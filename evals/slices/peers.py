"""Two published methods as baselines, written anew from their papers.

They are given the same leaves, observed beside expected, as ours.
"""

from itertools import combinations

import numpy as np

from tools.slice_finder import MetricMoment
from tools.types import FloatArray

SliceSet = frozenset[frozenset[tuple[str, str]]]

EXPLAINED, EACH = 0.67, 0.1
"""T_EP and T_EEP of Adtributor."""


def adtributor(moment: MetricMoment) -> SliceSet:
    """Name values of the one dimension whose values surprise most and explain enough of the change.

    Values in order of surprise (their part of the Jensen-Shannon divergence between expected and
    observed shares) until two thirds are explained. Bhagwan et al., Adtributor: Revenue Debugging
    in Advertising Systems, NSDI 2014, figure 2.
    """
    best: tuple[float, SliceSet] = (-1.0, frozenset())
    for place, dimension in enumerate(moment.dimensions):
        names, of = np.unique([leaf[place] for leaf in moment.leaves], return_inverse=True)
        seen = np.bincount(of, moment.observed, names.size)
        usual = np.bincount(of, moment.expected, names.size)
        power = (seen - usual) / (seen.sum() - usual.sum())
        surprise = _surprise(usual / usual.sum(), seen / seen.sum())
        taken: list[int] = []
        for at in np.argsort(-surprise):
            if power[at] > EACH:
                taken.append(int(at))
            if power[taken].sum() > EXPLAINED:
                named = frozenset(frozenset({(dimension, str(names[one]))}) for one in taken)
                best = max(best, (float(surprise[taken].sum()), named), key=lambda one: one[0])
                break
    return best[1]


def _surprise(prior: FloatArray, posterior: FloatArray) -> FloatArray:
    both = prior + posterior

    def part(share: FloatArray) -> FloatArray:
        return np.where(share > 0, share * np.log(2 * np.where(share > 0, share, 1.0) / both), 0.0)

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(0.5 * (part(prior) + part(posterior)))


MOST_ATTRIBUTES = 3


def ripple(moment: MetricMoment) -> SliceSet:
    """Name the slice whose leaves all moving in proportion explains the most of what all leaves do.

    The potential score of HotSpot (Sun et al., IEEE Access 2018): 1 less the distance between
    observed and rippled over that between observed and expected, here as sums of absolute
    differences, as Squeeze generalizes it (Li et al., ISSRE 2019). Of equal ones the shallower.
    """
    seen, usual = moment.observed, moment.expected
    table = np.array(moment.leaves, dtype=str)
    distance = np.abs(seen - usual)
    best: tuple[float, SliceSet] = (0.0, frozenset())
    for depth in range(1, min(MOST_ATTRIBUTES, len(moment.dimensions)) + 1):
        for chosen in combinations(range(len(moment.dimensions)), depth):
            named, of = np.unique(table[:, chosen], axis=0, return_inverse=True)
            of = of.reshape(-1)
            whole = np.bincount(of, usual, len(named))
            factor = np.bincount(of, seen, len(named)) / np.where(whole > 0, whole, 1.0)
            gained = np.bincount(of, distance - np.abs(seen - usual * factor[of]), len(named))
            at = int(np.argmax(gained))
            if gained[at] / distance.sum() > best[0] + ALMOST:
                pairs = zip(
                    (moment.dimensions[d] for d in chosen), map(str, named[at]), strict=True
                )
                best = (float(gained[at] / distance.sum()), frozenset({frozenset(pairs)}))
    return best[1]


ALMOST = 0.01
"""A deeper slice has to explain at least this much more."""
