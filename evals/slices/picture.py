"""A business metric as an icicle: wide is what is usual, red what moved, framed what is blamed."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from evals.page import drawing, pictures
from tools.slice_finder import MetricMoment, SliceAnswer, find
from tools.types import FloatArray

DEEPEST = 3
"""Attributes that are drawn: as many as a slice that is blamed may have."""

LABELLED, SEEN = 0.07, 0.004
"""Least width, as a share of the whole, of a part with its name in it, and of one that is drawn."""


def example() -> MetricMoment:
    """Draw orders a minute by provider, region and device; one of them fails in one region."""
    shares = {
        "isp": {"mobile": 0.42, "telecom": 0.36, "cable": 0.22},
        "region": {"south": 0.45, "north": 0.35, "west": 0.2},
        "device": {"phone": 0.7, "tv": 0.3},
    }
    leaves = tuple(product(*shares.values()))
    parts = [np.prod([shares[key][value] for key, value in zip(shares, leaf, strict=True)])
             for leaf in leaves]  # fmt: skip
    usual = 12_000.0 * np.array(parts)
    rng = np.random.default_rng(7)
    observed = rng.poisson(usual).astype(np.float64)
    observed[[leaf[:2] == ("telecom", "south") for leaf in leaves]] *= 0.18
    return MetricMoment(tuple(shares), leaves, observed, usual)


def save(moment: MetricMoment, name: str, folder: Path) -> None:
    """Write `NAME.svg`: a row for each attribute, those of the blamed slices first."""
    answer = find(moment)
    with pictures.drawn_into(folder) as written:
        order = _order(moment, answer)
        figure, (place,) = drawing.sheet(1, 0.8 + 0.55 * (len(order) + 1))
        blamed = [dict(one.attributes) for one in answer.slices]
        _part(place, moment, order, blamed, {}, 0.0, 0)
        place.set_xlim(0, 1)
        place.set_ylim(-len(order) - 1, 0)
        place.set_yticks([-0.5 - row for row in range(len(order) + 1)], ["all", *order])
        place.set_xlabel("share of what is usual")
        place.set_title(answer.reason.en, pad=4.0)
        written(name, drawing.svg(figure, name, "Which slice of a business metric"))


def _order(moment: MetricMoment, answer: SliceAnswer) -> list[str]:
    named = [key for one in answer.slices for key in one.attributes]
    return list(dict.fromkeys((*named, *moment.dimensions)))[:DEEPEST]


def _part(
    place: drawing.Axes, moment: MetricMoment, order: Sequence[str],
    blamed: Sequence[Mapping[str, str]], here: Mapping[str, str], left: float, row: int,
) -> float:  # fmt: skip
    """Draw one part and those below it; return where it ends."""
    inside = _inside(moment, here)
    usual, seen = float(moment.expected[inside].sum()), float(moment.observed[inside].sum())
    width = usual / float(moment.expected.sum())
    change = (seen - usual) / usual if usual else 0.0
    framed = dict(here) in blamed
    middle, edge = -row - 0.5, drawing.INK if framed else drawing.RULE
    place.barh(
        middle, width, 0.9, left=left, color=drawing.ALERT, alpha=min(abs(change), 1.0) * 0.8
    )
    place.barh(middle, width, 0.9, left=left, fill=False, edgecolor=edge,
               linewidth=1.6 if framed else 0.6, zorder=3 if framed else 2)  # fmt: skip
    if width >= LABELLED:
        name = [f"{usual:,.0f}", *here.values()][-1]
        place.text(left + width / 2, -row - 0.5, f"{name}\n{change:+.0%}", ha="center",
                   va="center", fontsize=7.0, color=drawing.INK)  # fmt: skip
    if row < len(order):
        key, at = order[row], left
        column = moment.dimensions.index(order[row])
        for value in dict.fromkeys(leaf[column] for leaf in moment.leaves):
            deeper = {**here, key: value}
            if moment.expected[_inside(moment, deeper)].sum() >= SEEN * moment.expected.sum():
                at = _part(place, moment, order, blamed, deeper, at, row + 1)
    return left + width


def _inside(moment: MetricMoment, here: Mapping[str, str]) -> FloatArray:
    columns = [(moment.dimensions.index(key), value) for key, value in here.items()]
    found: FloatArray = np.array(
        [all(leaf[at] == value for at, value in columns) for leaf in moment.leaves]
    )
    return found
