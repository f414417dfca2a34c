"""What a site's own confirmed incidents teach: signatures seen here, and how sure to be here.

A lesson is one confirmed incident: the signs that its cause showed, without the cause's name, and
those of the components that were innocent. Support of a candidate c by the lessons of a kind k:

    support(c, k) = sum over lessons i of k of sim(c, cause of i) / (n_k + M)
                  - sum over all lessons i of the most sim(c, innocent of i) / (n + M)

sim is the weighted Jaccard index of the signs, weights by inverse document frequency over every
component seen (Sparck Jones, 1972). M is the m of the m-estimate (Cestnik, 1990): M lessons that
show nothing stand beside what was seen, so that one incident counts for little. What is measured
of it: docs/learning.md, `python -m evals bench site --data DIR`.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from pydantic import Field

from tools.topology_walker.calibration import LEADING, CalibrationModel
from tools.topology_walker.signals import read
from tools.types import Candidate, Evidence, FaultKind, FloatArray, FrozenModel, Owner, Term

WEIGHT = 0.5
"""The most that lessons add to a score, half of what a component at fault has of its own. On seven
recorded systems no answer is lost or won by it, from 0.1 to 1.0; without what innocent components
show, two of 273 were lost (`python -m evals bench site --data DIR`)."""

M = 5.0
"""Lessons that show nothing, beside those of a kind: one incident alone counts a sixth."""

MAJORITY = 2.0 / 3.0
"""A kind is corrected where this share of what was said so here, M more among it, was another."""

ALIKE = 0.5
"""Lessons at least this similar are named to the reader, and correct a kind."""

LITTLE = 0.01
"""A term below this is shown to nobody, since two digits of it are none; it is left out."""

LEAST = 20
"""Confirmed incidents below which the shipped calibration stands."""

MOST_SIGNS, MOST_OTHERS, NAMED = 30, 8, 3
_TEMPLATE = re.compile(r"\btemplate=(\w{1,64})")
_TERMS = 3


class Lesson(FrozenModel):
    """One confirmed incident, as far as it teaches; bounded, and without names of components.

    `said` is the kind that the shipped rules gave to the cause, `right` whether they named it
    first, and `chance` how likely they held it, None where thin evidence bounded what was said.
    """

    incident: str = Field(max_length=256)
    fault_kind: FaultKind
    said: FaultKind | None = None
    right: bool = False
    chance: float | None = Field(default=None, ge=0, le=1)
    signs: tuple[str, ...] = Field(default=(), max_length=MOST_SIGNS)
    others: tuple[tuple[str, ...], ...] = Field(default=(), max_length=MOST_OTHERS)


def lesson(
    incident: str,
    cause: tuple[str, FaultKind],
    candidates: Sequence[Candidate],
    evidence: Sequence[Evidence],
    chance: float | None = None,
) -> Lesson:
    """What an incident teaches of its confirmed cause; `candidates` as the shipped rules rank."""
    component, kind = cause
    here = next((one for one in candidates if one.component == component), None)
    others = [one for one in candidates if one.component != component][:MOST_OTHERS]
    return Lesson(
        incident=incident,
        fault_kind=kind,
        said=here.fault_kind if here else None,
        right=bool(candidates) and candidates[0].component == component,
        chance=chance,
        signs=tuple(signs(here or Candidate(component=component, score=0.0), evidence)),
        others=tuple(tuple(signs(one, evidence)) for one in others),
    )


def signs(candidate: Candidate, evidence: Sequence[Evidence]) -> dict[str, str]:
    """What a component shows, strongest first, each with the number of the item that shows it."""
    found: dict[str, Evidence] = {}
    for item in evidence:
        for sign in _signs(candidate.component, item):
            if sign not in found or item.strength > found[sign].strength:
                found[sign] = item
    terms = [one for one in candidate.terms if one.evidence][:_TERMS]
    told = {f"term {one.name}"[:MOST_TEXT]: one.evidence[0] for one in terms}
    strongest = sorted(found, key=lambda sign: (-found[sign].strength, sign))
    loud = [sign for sign in strongest if sign.startswith(("metric", "alert"))][:1]
    told |= {f"most {sign}": found[sign].id for sign in loud}
    told |= {sign: found[sign].id for sign in strongest}
    return dict(list(told.items())[:MOST_SIGNS])


MOST_TEXT = 120


def _signs(component: str, item: Evidence) -> Sequence[str]:
    """What an item says of the component, without its name; nothing where it is of another."""
    if item.kind == "note" and item.name == "database" and item.subject == component:
        return [f"database {s} {'up' if move > 0 else 'down'}" for s, move in item.figures.items()]
    sign = _sign(component, item)
    return [sign] if sign else []


def _sign(component: str, item: Evidence) -> str:
    owner = Owner.parse(item.subject)
    if owner.kind == "edge":
        role = {owner.service: "as callee", owner.caller: "as caller"}.get(component)
        return f"edge {item.name} {item.direction} {role}"[:MOST_TEXT] if role else ""
    if owner.service != component or item.kind == "note":
        return ""
    if item.kind == "metric":
        return f"metric {read(item.name).family} {item.direction}"[:MOST_TEXT]
    template = _TEMPLATE.search(item.query) if item.kind == "log" else None
    what = template[1] if template else f"{item.name} {item.direction}"
    return f"{item.kind} {what}"[:MOST_TEXT]


class SiteCalibration(FrozenModel):
    """log-odds here = slope x log-odds as shipped + shift: Platt scaling (1999), from n incidents.

    It is monotone, so it changes no order.
    """

    slope: float = Field(gt=0)
    shift: float
    incidents: int = Field(ge=LEAST)

    def of(self, chance: float) -> float:
        """The chance as this site has seen it come true, in [0, 1]."""
        return 1.0 / (1.0 + math.exp(-(self.slope * log_odds(chance) + self.shift)))


_PRECISION = 4 * LEAST * 0.8 * 0.2
"""Precision of the Gaussian prior around slope 1 and shift 0: what 80 incidents of which four in
five are right tell of the shift. With a quarter of it systems of 25 incidents are judged worse by
each other's answers than by what shipped (`python -m evals bench site --data DIR`)."""
_ROUNDS, _FLATTEST = 50, 0.1


def calibration(lessons: Sequence[Lesson]) -> SiteCalibration | None:
    """Fit slope and shift as the mode of the posterior; None below `LEAST` incidents."""
    known = [(log_odds(one.chance), one.right) for one in lessons if one.chance is not None]
    if len(known) < LEAST:
        return None
    figures = np.array([(odds, 1.0) for odds, _ in known])
    right = np.array([float(one) for _, one in known])
    prior = np.array([1.0, 0.0])

    def loss(at: FloatArray) -> float:
        odds, off = figures @ at, at - prior
        return float(np.sum(np.logaddexp(0.0, odds) - right * odds) + _PRECISION / 2 * off @ off)

    mode = prior
    for _ in range(_ROUNDS):
        said = 1.0 / (1.0 + np.exp(-figures @ mode))
        uphill = figures.T @ (said - right) + _PRECISION * (mode - prior)
        bend = (figures.T * (said * (1.0 - said))) @ figures + _PRECISION * np.eye(2)
        step = np.linalg.solve(bend, uphill)
        # Newton's method may overshoot; half the step until it leads down.
        while loss(mode - step) > loss(mode) and np.abs(step).max() > _SMALLEST:
            step = step / 2.0
        mode = mode - step
    return SiteCalibration(
        slope=max(float(mode[0]), _FLATTEST), shift=float(mode[1]), incidents=len(known)
    )


_SMALLEST = 1e-9
_SUREST = 0.999


def log_odds(chance: float) -> float:
    """ln(p / (1 - p)), p cut to [0.001, 0.999]: nothing measured is certain."""
    cut = min(max(chance, 1.0 - _SUREST), _SUREST)
    return math.log(cut / (1.0 - cut))


class _Shown:
    """Signs with their weights."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = weights
        self.whole = sum(weights.values())


def _alike(one: _Shown, other: _Shown) -> float:
    """Weighted Jaccard index, in [0, 1]."""
    both = sum(one.weights[sign] for sign in one.weights.keys() & other.weights.keys())
    whole = one.whole + other.whole - both
    return both / whole if whole > 0 else 0.0


class SiteMemory:
    """The lessons of one site, ready to be held against new incidents."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self.lessons = tuple(lessons)
        shown = [frozenset(one) for each in lessons for one in (each.signs, *each.others)]
        counts = Counter(sign for one in shown for sign in one)
        self._rare = {s: math.log((len(shown) + 1) / (n + 0.5)) for s, n in counts.items()}
        self._causes = [self._weighed(one.signs) for one in lessons]
        self._innocent = [[self._weighed(other) for other in one.others] for one in lessons]
        self._of_kind = Counter(one.fault_kind for one in lessons)

    def like(self, shown: Iterable[str]) -> list[tuple[float, Lesson]]:
        """The lessons by how alike their cause's signs are to these, the likest first."""
        here = self._weighed(shown)
        found = [(_alike(here, known), one)
                 for one, known in zip(self.lessons, self._causes, strict=True)]  # fmt: skip
        return sorted(found, key=lambda pair: -pair[0])

    def calibrated(self, model: CalibrationModel) -> CalibrationModel:
        """The model with this site's slope and shift on its log-odds; as it is without them."""
        here = self.calibration
        if here is None:
            return model
        weights = {name: here.slope * weight for name, weight in model.weights.items()}
        bias = here.slope * model.bias + here.shift
        return model.model_copy(update={"weights": weights, "bias": bias})

    @cached_property
    def calibration(self) -> SiteCalibration | None:
        """How sure to be here; None: as shipped, since too few incidents are confirmed."""
        return calibration(self.lessons)

    def ordered(
        self, candidates: Sequence[Candidate], evidence: Sequence[Evidence]
    ) -> tuple[Candidate, ...]:
        """The candidates with a term for what was seen here before, the highest score first."""
        if not self.lessons:
            return tuple(candidates)
        taught = [self._taught(one, signs(one, evidence)) for one in candidates[:LEADING]]
        rest = candidates[LEADING:]
        # Stable: ties stay as they were.
        return tuple(sorted((*taught, *rest), key=lambda one: -one.score))

    def _taught(self, candidate: Candidate, shown: Mapping[str, str]) -> Candidate:
        near = self.like(shown)
        support: dict[FaultKind, float] = defaultdict(float)
        for a, one in near:
            support[one.fault_kind] += a / (self._of_kind[one.fault_kind] + M)
        weight = WEIGHT * (
            max(support.values(), default=0.0) - self._innocence(self._weighed(shown))
        )
        kind = self._corrected(candidate.fault_kind, [one for a, one in near if a >= ALIKE])
        if weight < LITTLE:
            return candidate.model_copy(update={"fault_kind": kind})
        like = [(a, one) for a, one in near if a >= ALIKE]
        term = Term(name=_name(like), weight=weight, evidence=self._telling(shown, like))
        return candidate.model_copy(
            update={
                "fault_kind": kind,
                "score": candidate.score + weight,
                "terms": tuple(sorted((*candidate.terms, term), key=lambda one: -one.weight)),
            }
        )

    def _innocence(self, here: _Shown) -> float:
        """How much the signs are those of components that were innocent here, in [0, 1)."""
        most = [
            max((_alike(here, one) for one in others), default=0.0) for others in self._innocent
        ]
        return sum(most) / (len(most) + M)

    def _weighed(self, shown: Iterable[str]) -> _Shown:
        """The signs that somebody has shown here, and the sum of their weights."""
        known = frozenset(shown) & self._rare.keys()
        return _Shown({sign: self._rare[sign] for sign in known})

    def _corrected(self, said: FaultKind | None, near: Sequence[Lesson]) -> FaultKind | None:
        """The kind that what was said so turned out to be here, where it nearly always did."""
        same = Counter(one.fault_kind for one in near if one.said == said)
        kind, count = next(iter(same.most_common(1)), (said, 0))
        return kind if count > MAJORITY * (same.total() + M) else said

    def _telling(
        self, shown: Mapping[str, str], like: Sequence[tuple[float, Lesson]]
    ) -> tuple[str, ...]:
        """The items under the rarest signs that were seen before."""
        known = {sign for _, one in like for sign in one.signs} or {*self._rare}
        both = sorted(known & {*shown}, key=lambda sign: (-self._rare.get(sign, 0.0), sign))
        return tuple(dict.fromkeys(shown[sign] for sign in both))[:NAMED]


def _name(like: Sequence[tuple[float, Lesson]]) -> str:
    named = ", ".join(one.incident for _, one in like[:NAMED])
    more = f" and {len(like) - NAMED} more" if len(like) > NAMED else ""
    return f"as in {named}{more} here" if named else "seen here before"
