"""Rolling looks at drawn resources: what was foretold, how long before, what for nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evals.forecast.leaks import DAY, FULL, HOUR, STEP_S, Resource
from tools.forecaster import Growth, LimitForecast, time_to_limit
from tools.forecaster.limits import CONFORMAL
from tools.types import FloatArray, Series

HORIZON_S = 4 * DAY
EVERY_S, FIRST_S, PAST_S = 2 * HOUR, DAY, 21 * DAY
HOLDS = 2
"""Looks in a row that say the same before a person is told."""

LATE, SLACK_S = 2.0, 6 * HOUR
"""A forecast came true if the resource was full within twice the time said, and six hours."""

Rule = Callable[[Resource, FloatArray, FloatArray], LimitForecast | None]
"""What is foretold of a resource by what is known of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One resource: hours from the first true forecast to full (0: missed), those for nothing.

    `scores` are |true - said| in half widths of the interval before it was widened (split
    conformal); `held` is how many of the intervals held the truth.
    """

    resource: Resource
    lead_h: float
    false: int
    weeks: float
    held: tuple[bool, ...] = ()
    scores: tuple[float, ...] = ()
    shown: tuple[LimitForecast, ...] = ()


def copilot(one: Resource, times: FloatArray, values: FloatArray) -> LimitForecast | None:
    """As the product asks; capacity grows by ratios."""
    growth: Growth = "ratio" if one.kind.startswith("weekly_peak") else "additive"
    found = time_to_limit(Series(one.kind, "used_pct", times, values), FULL, HORIZON_S, growth)
    return found if found.at is not None else None


def predict_linear(above: float, ahead_s: float, past_s: float = 6 * HOUR) -> Rule:
    """The rule of the mixins: least squares over six hours, where much is used already."""

    def rule(one: Resource, times: FloatArray, values: FloatArray) -> LimitForecast | None:
        recent = times >= times[-1] - past_s
        t, v = times[recent] - times[-1], values[recent]
        slope, level = np.polyfit(t, v, 1)
        if v[-1] <= above or level + slope * ahead_s <= FULL:
            return None
        at = float(times[-1] + max(0.0, (FULL - level) / slope))
        return LimitForecast(
            owner=one.kind, metric="used_pct", now=float(times[-1]), level=float(v[-1]), limit=FULL,
            slope=float(slope * HOUR), since=float(times[-1] - past_s), points=len(t), at=at,
            earliest=at, latest=at,
        )  # fmt: skip

    return rule


def judged(one: Resource, rule: Rule) -> LimitRow:
    """Look again and again until the resource is full, or to the end."""
    episodes: list[LimitForecast] = []
    shown: list[LimitForecast] = []
    said = 0
    for look in _looks(one):
        found = rule(one, *look)
        said = said + 1 if found is not None else 0
        if found is not None:
            shown.append(found)
        if found is not None and said == HOLDS:
            episodes.append(found)
    true = [
        (one.full_at - told.now) / HOUR
        for told in episodes
        if one.full_at is not None and told.at is not None
        and one.full_at - told.now <= LATE * (told.at - told.now) + SLACK_S
    ]  # fmt: skip
    scored = [(_held(one, told), _score(one, told)) for told in shown if one.full_at is not None]
    return LimitRow(
        resource=one,
        lead_h=max(true, default=0.0),
        false=len(episodes) - len(true),
        weeks=max(0.0, len(one.times) * STEP_S - FIRST_S) / (7 * DAY),
        held=tuple(held for held, _ in scored),
        scores=tuple(score for _, score in scored),
        shown=tuple(shown),
    )


def _looks(one: Resource) -> Iterator[tuple[FloatArray, FloatArray]]:
    past, every = int(PAST_S / STEP_S), int(EVERY_S / STEP_S)
    for end in range(int(FIRST_S / STEP_S), len(one.times), every):
        inside = slice(max(0, end - past), end)
        yield one.times[inside], one.values[inside]


def _held(one: Resource, told: LimitForecast) -> bool:
    """Within the interval; the truth is known to one step."""
    if one.full_at is None or told.earliest is None or told.latest is None:
        return False
    return told.earliest - STEP_S <= one.full_at <= told.latest + STEP_S


def _score(one: Resource, told: LimitForecast) -> float:
    if one.full_at is None or told.at is None or told.earliest is None or told.latest is None:
        return 0.0
    early = one.full_at < told.at
    half = (told.at - told.earliest) if early else (told.latest - told.at)
    off = max(0.0, abs(one.full_at - told.at) - STEP_S)
    return off * CONFORMAL / half if half > 0 else (0.0 if off == 0 else float("inf"))


def without_the_kind(
    rows: Sequence[LimitRow], level: float = 0.9
) -> dict[str, tuple[float, float]]:
    """By kind: the widening that resources of the other kinds call for, and how often it holds."""
    scores = {
        kind: np.concatenate([row.scores for row in rows if row.resource.kind == kind])
        for kind in sorted({row.resource.kind for row in rows if row.scores})
    }
    found = {}
    for kind, own in scores.items():
        others = [(one, 1.0 / len(one)) for name, one in scores.items() if name != kind]
        if others:
            # Each kind counts the same, however long its resources were foretold.
            pooled = np.concatenate([one for one, _ in others])
            weights = np.concatenate([np.full(len(one), weight) for one, weight in others])
            order = np.argsort(pooled)
            place = int(np.searchsorted(np.cumsum(weights[order]) / weights.sum(), level))
            wide = float(pooled[order][min(place, len(pooled) - 1)])
            found[kind] = wide, float(np.mean(own <= wide))
    return found
