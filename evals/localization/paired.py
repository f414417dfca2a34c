"""Is a difference on the same cases more than chance: McNemar's test and the paired bootstrap.

References: McNemar (1947), exact by the binomial distribution; Efron and Tibshirani (1993).
"""

from collections.abc import Mapping
from math import comb

import numpy as np

from tools.types import FrozenModel

DRAWS = 2000
LEVEL = 0.05


class PairedComparison(FrozenModel):
    """Scores before and after on the same cases; `low` and `high` bound the mean difference (95 %).

    `p` is McNemar's where every score is 0 or 1. `lost` and `gained` name the cases that fell and
    rose.
    """

    cases: int
    before: float
    after: float
    low: float
    high: float
    p: float | None
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Fell by more than chance."""
        return self.high < 0.0 or (self.certain and self.after < self.before)

    @property
    def better(self) -> bool:
        """Rose by more than chance."""
        return self.low > 0.0 or (self.certain and self.after > self.before)

    @property
    def certain(self) -> bool:
        """By McNemar's test."""
        return self.p is not None and self.p < LEVEL


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided chance of a split at least as uneven, were losing and gaining equally likely.

    >>> mcnemar(6, 0)
    0.03125
    """
    total = lost + gained
    tail = sum(comb(total, count) for count in range(min(lost, gained) + 1))
    return min(1.0, float(2 * tail / 2**total))


def compare(
    before: Mapping[str, float], after: Mapping[str, float], seed: int = 0
) -> PairedComparison:
    """Compare the cases that both have; there must be one at least."""
    names = [name for name in before if name in after]
    was = np.array([before[name] for name in names])
    now = np.array([after[name] for name in names])
    change = now - was
    rng = np.random.default_rng(seed)
    means = [float(rng.choice(change, change.size).mean()) for _ in range(DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    lost = tuple(name for name, one in zip(names, change, strict=True) if one < 0)
    gained = tuple(name for name, one in zip(names, change, strict=True) if one > 0)
    binary = bool(np.isin(np.concatenate((was, now)), (0.0, 1.0)).all())
    return PairedComparison(
        cases=len(names),
        before=float(was.mean()),
        after=float(now.mean()),
        low=float(low),
        high=float(high),
        p=mcnemar(len(lost), len(gained)) if binary else None,
        lost=lost,
        gained=gained,
    )


def interval(successes: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    >>> [round(bound, 2) for bound in interval(3, 3)]
    [0.44, 1.0]
    """
    if count == 0:
        return 0.0, 1.0
    z2 = 1.96**2
    share = successes / count
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = 1.96 * ((share * (1 - share) + z2 / (4 * count)) / count) ** 0.5 / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)
