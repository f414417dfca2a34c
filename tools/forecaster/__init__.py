"""Forecaster: series in, what is expected with a 90 % band out, and when a limit is reached."""

from tools.forecaster.limits import Growth, LimitForecast, time_to_limit
from tools.forecaster.seasonal import ExpectedHours, ForecastArm, expect, seasonal_naive

__all__ = [
    "ExpectedHours",
    "ForecastArm",
    "Growth",
    "LimitForecast",
    "expect",
    "seasonal_naive",
    "time_to_limit",
]
