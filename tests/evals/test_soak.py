"""The soak's weather is a busy week: as many incidents as asked for, and each alert ends."""

import random
from typing import Any

import numpy as np
import pytest

from evals.torture.soak import REPEAT_S, STEP_S, Weather, failures, growth

MONDAY = 1_767_571_200.0  # 2026-01-05 00:00 UTC
WEEK = range(1, 7 * 96 + 1)


def week(incidents_a_day: float) -> tuple[Weather, list[tuple[float, dict[str, Any]]]]:
    weather = Weather(100, incidents_a_day, random.Random(0))
    times = [MONDAY + step * STEP_S for step in WEEK]
    return weather, [(at, one) for at in times for one in weather.step(at - STEP_S, at)]


def test_a_week_has_as_many_incidents_as_were_asked_for_and_a_storm() -> None:
    weather, _ = week(60.0)
    storm = 10
    assert weather.incidents == pytest.approx(7 * 60 + storm, rel=0.15)  # Poisson: 3 x sqrt(430)


def test_what_fires_is_sent_again_every_four_hours_and_ends() -> None:
    weather, sent = week(6.0)
    told: dict[str, list[tuple[float, bool]]] = {}
    for at, alert in sent:
        name = f"{sorted(alert['labels'].items())}{alert['startsAt']}"
        told.setdefault(name, []).append((at, "endsAt" in alert))
    over = [seen for seen in told.values() if seen[-1][1]]
    assert len(over) == len(told) - len(weather.firing)
    assert all(not ended for seen in over for _, ended in seen[:-1])
    repeats = [seen for seen in told.values() if len(seen) > 2]
    assert repeats
    assert all(later[0] - first[0] >= REPEAT_S for first, later, *_ in repeats)


def test_growth_is_the_share_by_which_a_line_through_it_rises() -> None:
    days = np.arange(10.0)
    assert growth(days, 100.0 + 2.0 * days) == pytest.approx(0.18)
    assert growth(days, np.full(10, 7.0)) == pytest.approx(0.0)
    assert np.isnan(growth(days[:2], days[:2]))


def test_only_what_may_not_be_is_a_failure() -> None:
    assert failures({"alerts": 9, "refused": 1}) == []
    assert failures({"lost": 2, "stuck": 0}) == ["lost: 2"]
