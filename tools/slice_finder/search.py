"""Search over all slices of a metric at one moment."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tools.normal import BoolArray
from tools.slice_finder.cube import MetricMoment, SliceError
from tools.types import FrozenModel, Text

EVERYWHERE = 0.5
"""Share of the slices' lift from which on all the rest has moved, too, and no slice is to blame.
source: docs/decisions/slices.md, at no cost from 0.5 to 1.0."""

CERTAIN = 2.0
"""Standard deviations of a Poisson count from which on a rest has moved at all.
source: two of a hundred such counts lie above it by chance; tables of the normal distribution."""

DEEPEST = 3
"""Most attributes of a slice. source: docs/decisions/slices.md, no case judged has more."""

MOST_DIMENSIONS = 12
"""Bound of one search, in which 298 combinations are counted. source: by definition."""

Direction = Literal["up", "down"]
Attributes = tuple[int, ...]
"""An attribute for each dimension, by its number; -1 where the slice names none."""


class SliceConfig(FrozenModel):
    """What decides between slices; chosen without the case judged (docs/decisions/slices.md).

    `concentration`: 0 blames what holds most of the change, 1 what changed most, 0.5 the most
    standard deviations. `alike`: share of a slice's lift from which on others have moved alike.
    `sibling`: share of the whole change that a sibling needs to be named.
    """

    concentration: float = Field(default=0.3, ge=0, le=1)
    alike: float = Field(default=0.4, gt=0, le=1)
    sibling: float = Field(default=0.15, ge=0, le=1)


class BlamedSlice(FrozenModel):
    """A slice, what it shows beside what it normally would, and its share of the whole change."""

    attributes: dict[str, str]
    observed: float
    expected: float
    share: float

    @property
    def name(self) -> str:
        """`isp=telecom in region=south`."""
        return " in ".join(f"{key}={value}" for key, value in self.attributes.items())


class SliceAnswer(FrozenModel):
    """The slices to blame, the largest share first; none where the change is `everywhere`.

    `observed` and `expected` are of the whole metric, in its unit; of a ratio of its numerator.
    """

    direction: Direction
    observed: float
    expected: float
    everywhere: bool
    slices: tuple[BlamedSlice, ...] = ()
    reason: Text


def find(moment: MetricMoment, config: SliceConfig | None = None) -> SliceAnswer:
    """Return the slices of a metric that are to blame for how it differs from what is expected.

    >>> from tools.slice_finder import MetricMoment, find
    >>> leaves = (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))
    >>> observed, expected = np.array([9.0, 90.0, 11.0, 10.0]), np.full(4, 10.0)
    >>> find(MetricMoment(("isp", "city"), leaves, observed, expected)).slices[0].name
    'isp=a in city=y'
    """
    if not moment.leaves or not moment.dimensions:
        raise SliceError("there are no leaves, or they have no attributes")
    if len(moment.dimensions) > MOST_DIMENSIONS:
        raise SliceError(
            f"{len(moment.dimensions)} dimensions, at most {MOST_DIMENSIONS}; leave some out"
        )
    return _Search(moment, config or SliceConfig()).answer()


class _Search:
    """One metric at one moment: its leaves by number, observed and expected in events."""

    def __init__(self, moment: MetricMoment, config: SliceConfig) -> None:
        self._moment, self._config = moment, config
        self._dimensions = range(len(moment.dimensions))
        named = [np.unique([one[d] for one in moment.leaves], return_inverse=True)
                 for d in self._dimensions]  # fmt: skip
        self._names = [names for names, _ in named]
        self._codes = np.column_stack([codes for _, codes in named])
        self._seen = moment.observed / moment.grain
        self._usual = np.maximum(moment.expected, 0.0) / moment.grain
        self._change = float(self._seen.sum() - self._usual.sum())
        self._sign = 1.0 if self._change >= 0 else -1.0

    def answer(self) -> SliceAnswer:
        best = self._best()
        if best is None:
            return self._told([], everywhere=True)
        first = self._completed(self._widened(best))
        slices = [first, *self._siblings(first)]
        inside = np.any([self._mask(one) for one in slices], axis=0)
        moved = self._alike(~inside, inside, EVERYWHERE) > 0
        return self._told(slices, everywhere=moved or (len(slices) > 1 and self._all(inside)))

    def _all(self, inside: BoolArray) -> bool:
        """Whether so little lies outside that it would not show, had it moved half as much."""
        usual = float(self._usual[~inside].sum())
        half = usual * (np.exp(self._sign * EVERYWHERE * self._lift(inside)) - 1.0)
        return bool(self._sign * half <= CERTAIN * np.sqrt(usual + 1.0))

    def _best(self) -> Attributes | None:
        """The slice of the highest score; of equal ones that of the fewest attributes."""
        best, highest, power = None, -np.inf, self._config.concentration
        for depth in range(1, min(DEEPEST, len(self._dimensions)) + 1):
            for chosen in combinations(self._dimensions, depth):
                groups, first, of = np.unique(
                    self._joined(chosen), return_index=True, return_inverse=True
                )
                usual = np.bincount(of, self._usual, groups.size)
                excess = self._sign * (np.bincount(of, self._seen, groups.size) - usual)
                gained = excess > 0
                if not gained.any():
                    continue
                score = np.full(groups.size, -np.inf)
                score[gained] = np.log(excess[gained]) - power * np.log1p(usual[gained])
                at = int(np.argmax(score))
                if score[at] > highest + _TIE:
                    leaf, highest = self._codes[first[at]], float(score[at])
                    best = tuple(int(leaf[d]) if d in chosen else -1 for d in self._dimensions)
        return best

    def _joined(self, chosen: Sequence[int]) -> npt.NDArray[np.int64]:
        """One number for the attributes that a leaf has in the chosen dimensions."""
        joined = np.zeros(len(self._codes), dtype=np.int64)
        for d in chosen:
            joined = joined * len(self._names[d]) + self._codes[:, d]
        return joined

    def _widened(self, one: Attributes) -> Attributes:
        """Without each attribute but the last where the rest of the parent has moved alike."""
        while sum(code >= 0 for code in one) > 1:
            inside = self._mask(one)
            wider = [one[:d] + (-1,) + one[d + 1 :] for d in self._dimensions if one[d] >= 0]
            most, parent = max(
                (self._alike(self._mask(parent) & ~inside, inside, self._config.alike), parent)
                for parent in wider
            )
            if most <= 0:
                break
            one = parent
        return one

    def _completed(self, one: Attributes) -> Attributes:
        """With the attributes without which nothing of it is expected or has been seen."""
        whole = list(one)
        for d in self._dimensions:
            if whole[d] >= 0 or sum(code >= 0 for code in whole) >= DEEPEST:
                continue
            inside = self._mask(tuple(whole)) & (self._seen + self._usual > 0)
            shared = np.unique(self._codes[inside, d])
            if shared.size == 1:
                whole[d] = int(shared[0])
        return tuple(whole)

    def _siblings(self, one: Attributes) -> Iterator[Attributes]:
        """Slices that differ in one attribute, moved alike, and hold enough of the change."""
        least = self._config.alike * self._lift(self._mask(one))
        for d in self._dimensions:
            for code in range(len(self._names[d])) if one[d] >= 0 else ():
                sibling = (*one[:d], code, *one[d + 1 :])
                mask = self._mask(sibling)
                alike = code != one[d] and self._lift(mask) >= least
                if alike and self._share(mask) >= self._config.sibling:
                    yield sibling

    def _mask(self, one: Attributes) -> BoolArray:
        mask = np.ones(len(self._codes), dtype=np.bool_)
        for d, code in enumerate(one):
            if code >= 0:
                mask &= self._codes[:, d] == code
        return mask

    def _alike(self, rest: BoolArray, inside: BoolArray, limit: float) -> float:
        """The lift of a rest as a share of that inside; 0 below the limit or where it is chance."""
        seen, usual = float(self._seen[rest].sum()), float(self._usual[rest].sum())
        lift = self._lift(inside)
        certain = self._sign * (seen - usual) > CERTAIN * np.sqrt(usual + 1.0)
        if usual <= 0.0 or lift <= 0.0 or not certain:
            return 0.0
        share = self._lift(rest) / lift
        return share if share >= limit else 0.0

    def _lift(self, mask: BoolArray) -> float:
        seen, usual = self._seen[mask].sum(), self._usual[mask].sum()
        return float(self._sign * np.log((seen + 1.0) / (usual + 1.0)))

    def _share(self, mask: BoolArray) -> float:
        return float((self._seen[mask].sum() - self._usual[mask].sum()) / self._change)

    def _told(self, slices: Sequence[Attributes], *, everywhere: bool) -> SliceAnswer:
        moment, grain = self._moment, self._moment.grain
        blamed = [] if everywhere else sorted(
            (self._blamed(one, grain) for one in slices), key=lambda one: -one.share
        )  # fmt: skip
        direction: Direction = "up" if self._sign > 0 else "down"
        return SliceAnswer(
            direction=direction,
            observed=float(moment.observed.sum()),
            expected=float(moment.expected.sum()),
            everywhere=everywhere,
            slices=tuple(blamed),
            reason=_reason(blamed, direction),
        )

    def _blamed(self, one: Attributes, grain: float) -> BlamedSlice:
        mask = self._mask(one)
        return BlamedSlice(
            attributes={
                self._moment.dimensions[d]: str(self._names[d][code])
                for d, code in enumerate(one)
                if code >= 0
            },
            observed=float(self._seen[mask].sum()) * grain,
            expected=float(self._usual[mask].sum()) * grain,
            share=self._share(mask),
        )


_TIE = 1e-9  # source: far below what a hundredth of an event changes
ALONE = 0.8
"""Share of the change from which on slices are said to be all there is. source: by definition, four
fifths."""
_EN: Mapping[Direction, str] = {"up": "rise", "down": "fall"}
_ZH: Mapping[Direction, str] = {"up": "上升", "down": "下降"}
_LONGEST = 120  # source: by definition, a name that fits a line


def _reason(blamed: Sequence[BlamedSlice], direction: Direction) -> Text:
    if not blamed:
        return Text(
            en=f"everywhere: no attribute sets the {_EN[direction]} apart",
            zh=f"各处都有:没有哪个属性能单独解释这次{_ZH[direction]}",
        )
    first = blamed[0]
    more = f" and {len(blamed) - 1} more like it" if len(blamed) > 1 else ""
    more_zh = f"等 {len(blamed)} 个同类切片" if len(blamed) > 1 else ""
    share = min(1.0, sum(one.share for one in blamed))
    en, zh = ("only", "仅") if share >= ALONE else ("above all", "主要是")
    name = first.name[:_LONGEST]
    return Text(
        en=f"{en} {name}{more}, {share:.0%} of the {_EN[direction]}",
        zh=f"{zh} {name.replace(' in ', '、')}{more_zh},占{_ZH[direction]}的 {share:.0%}",
    )
