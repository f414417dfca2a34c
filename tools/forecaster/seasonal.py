"""The next day of a metric, hour by hour: what is expected, and a band that holds 90 of 100 hours.

Four simple forecasts, no parameter fitted: the same hour yesterday and last week (seasonal naive),
and the usual hour of the day and of the week, starting from the level of now. `rules` takes their
middle, `ml` weighs each by how it did on this series' own past. The band is split conformal (Vovk
2005; Lei 2018) on the errors that the same forecast made from earlier moments of the same series,
its level adapted to how often it held (Gibbs and Candès 2021).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from tools.types import FloatArray

ForecastArm = Literal["rules", "ml"]

COVERED = 0.9
DAYS_BACK, WEEKS_BACK = 7, 4
"""Days and weeks of which the usual hour is the median (docs/decisions/forecast.md)."""

FADES = 12.0
"""Hours after which a level off the usual one is back by 1/e (docs/decisions/forecast.md)."""

LOOKBACK = 28
"""Earlier days from which the same is forecast, to learn how wrong it is
(docs/decisions/forecast.md)."""

FEWEST = 3
"""Days of past below which nothing is forecast, and days of errors below which there is no band."""

ADAPTS = 0.05
"""Step by which the level of the band follows how often it held (gamma of Gibbs and Candès)."""


class ExpectedHours(NamedTuple):
    """Expected values of the hours to come, and the edges of the band."""

    expected: FloatArray
    low: FloatArray
    high: FloatArray


Member = Callable[[FloatArray, int], FloatArray]


def expect(hours: FloatArray, ahead: int, arm: ForecastArm = "rules") -> ExpectedHours:
    """The next `ahead` hours of a metric by the hour, NaN where unknown; raises ValueError.

    >>> day = np.sin(np.arange(24) / 24 * 6.28)
    >>> float(np.abs(expect(np.tile(day, 10), 24).expected - day).max()) < 1e-9
    True
    """
    known = np.isfinite(hours)
    if known.sum() < FEWEST * 24:
        raise ValueError(f"{int(known.sum())} hours are known; a forecast needs {FEWEST * 24}")
    filled = np.interp(np.arange(len(hours)), np.flatnonzero(known), hours[known])
    origins = [
        origin
        for back in range(LOOKBACK, 0, -1)
        if (origin := len(filled) - 24 * back) >= FEWEST * 24 and origin + ahead <= len(filled)
    ]
    told = np.array([_members(filled[:origin], ahead) for origin in origins])
    came = np.array([hours[origin : origin + ahead] for origin in origins])
    now = _members(filled, ahead)
    if not origins:
        expected = np.median(now, axis=0)
        wide = float(np.quantile(np.abs(np.diff(filled)), COVERED)) * np.sqrt(24.0)
        return ExpectedHours(expected, expected - wide, expected + wide)
    expected = _mixed(now, _weights(told, came, arm))
    past = [_mixed(one, _weights(told[:i], came[:i], arm)) for i, one in enumerate(told)]
    wrong = [(came[i] - one)[np.isfinite(came[i])] for i, one in enumerate(past)]
    low, high = _band(wrong)
    return ExpectedHours(expected, expected + low, expected + high)


def seasonal_naive(hours: FloatArray, ahead: int, season: int = 24) -> FloatArray:
    """The same hour of the season before."""
    place = len(hours) - season + np.arange(ahead) % season
    return hours[np.maximum(place, 0)]


def _usual(hours: FloatArray, ahead: int, season: int, back: int) -> FloatArray:
    """The usual hour of the season, and how far the last three are from it, fading."""
    seasons = min(back, len(hours) // season)
    usual = np.median(hours[-seasons * season :].reshape(seasons, season), axis=0)
    off = float(np.mean((hours[-season:] - usual)[-3:]))
    lead = np.arange(ahead)
    found: FloatArray = usual[lead % season] + off * np.exp(-(lead + 1) / FADES)
    return found


def _members(hours: FloatArray, ahead: int) -> FloatArray:
    week = 168 if len(hours) >= 336 else 24
    return np.array(
        [
            seasonal_naive(hours, ahead),
            seasonal_naive(hours, ahead, week),
            _usual(hours, ahead, 24, DAYS_BACK),
            _usual(hours, ahead, week, WEEKS_BACK if week == 168 else DAYS_BACK),
        ]
    )


def _weights(told: FloatArray, came: FloatArray, arm: ForecastArm) -> FloatArray | None:
    """How much each member counts by its errors so far; None: their middle."""
    if arm == "rules" or len(told) < FEWEST:
        return None
    wrong = np.abs(told - came[:, None, :])
    mean = np.nanmean(np.where(np.isfinite(wrong), wrong, np.nan), axis=(0, 2))
    if not np.isfinite(mean).all():
        return None
    weights: FloatArray = 1.0 / (mean**2 + 1e-12 * float(mean.max()) ** 2 + 1e-300)
    shares: FloatArray = weights / weights.sum()
    return shares


def _mixed(members: FloatArray, weights: FloatArray | None) -> FloatArray:
    if weights is None:
        return np.asarray(np.median(members, axis=0))
    return weights @ members


def _band(wrong: list[FloatArray]) -> tuple[float, float]:
    """Offsets of the edges: quantiles of earlier errors, at a level that held 90 of 100."""
    missed = 1.0 - COVERED
    for i in range(FEWEST, len(wrong)):
        low, high = _quantiles(np.concatenate(wrong[:i]), missed)
        if len(wrong[i]):
            out = float(np.mean((wrong[i] < low) | (wrong[i] > high)))
            missed = float(np.clip(missed + ADAPTS * (1.0 - COVERED - out), 0.002, 0.3))
    return _quantiles(np.concatenate(wrong), missed)


def _quantiles(errors: FloatArray, missed: float) -> tuple[float, float]:
    if not len(errors):
        return 0.0, 0.0
    # The finite-sample correction of split conformal: of n errors the (n + 1)(1 - a)-th.
    share = min(1.0, (1.0 - missed / 2.0) * (len(errors) + 1) / len(errors))
    return float(np.quantile(errors, 1.0 - share)), float(np.quantile(errors, share))
