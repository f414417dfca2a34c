"""Is a rate higher than it was? Tests of counts, and control of false discoveries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TINIEST = 1e-300


@dataclass(frozen=True, slots=True)
class RateChange:
    """`statistic` is the signed root of the likelihood ratio, about N(0, 1) if nothing changed."""

    statistic: float
    p_value: float


def rate_change(
    before: float, after: float, exposure_before: float, exposure_after: float, dispersion: float
) -> RateChange:
    """Compare two counts of events over two exposures (any one unit of time).

    Likelihood ratio of two Poisson rates against one, G = 2 (a ln(a/Ea) + b ln(b/Eb)) with Ea, Eb
    the counts expected under the common rate, divided by the dispersion (variance over mean of the
    counts, at least 1) as quasi-likelihood does. The p-value is two-sided.

    >>> round(rate_change(10, 40, 60.0, 60.0, 1.0).statistic, 2)
    4.39

    Source: McCullagh and Nelder, Generalized Linear Models, 1989, ch. 6 and 9.
    """
    if exposure_before <= 0 or exposure_after <= 0:
        raise ValueError(
            f"exposures must be positive, got {exposure_before!r} and {exposure_after!r}"
        )
    total = before + after
    expected_after = total * exposure_after / (exposure_before + exposure_after)
    ratio = _deviance(after, expected_after) + _deviance(before, total - expected_after)
    size = math.sqrt(max(0.0, 2.0 * ratio / max(1.0, dispersion)))
    statistic = size if after >= expected_after else -size
    return RateChange(statistic, max(_TINIEST, math.erfc(size / math.sqrt(2.0))))


def _deviance(observed: float, expected: float) -> float:
    # What is expected over a vanishing share of the exposure may round to nothing.
    return observed * math.log(observed / max(expected, _TINIEST)) if observed > 0 else 0.0


def dispersion_of(counts: Sequence[int]) -> float:
    """Variance over mean of counts in equal bins, at least 1; 1 where there are too few to tell."""
    if len(counts) < 5:
        return 1.0
    mean = sum(counts) / len(counts)
    if mean <= 0:
        return 1.0
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    return max(1.0, variance / mean)


def discoveries(p_values: Sequence[float], tests: int, rate: float) -> list[bool]:
    """Mark the hypotheses to keep so that at most `rate` of the kept ones are expected to be false.

    `tests` is how many were tested in all: those left out here count as not significant.
    Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995.

    >>> discoveries([0.001, 0.9, 0.02], 3, 0.05)
    [True, False, True]
    """
    limit = 0.0
    for rank, p_value in enumerate(sorted(p_values), start=1):
        if p_value <= rate * rank / tests:
            limit = p_value
    return [p_value <= limit for p_value in p_values]
