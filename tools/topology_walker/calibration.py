"""How likely the first candidate is the cause: a logistic model over a few figures of a ranking.

p(first) = 1 / (1 + exp(-(b + sum of w_i x_i))): Platt scaling (1999) of more than the score alone,
fitted by `python -m evals train calibration --data DIR` and judged leaving one system out
(docs/decisions/certainty.md). Of what is left the other candidates take the share `others`, by
their scores; the rest is "none of these".
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Literal, get_args

from pydantic import Field

from tools.topology_walker.signals import MetricCategory, read
from tools.types import Candidate, Evidence, EvidenceKind, FrozenModel, Topology

Modality = Literal["metrics", "traces", "logs", "alerts", "changes", "cluster"]
"""Kinds of evidence that come about independently of each other."""

MODALITY: Mapping[EvidenceKind, Modality] = {
    "metric": "metrics",
    "edge": "metrics",
    "trace": "traces",
    "log": "logs",
    "alert": "alerts",
    "change": "changes",
    "cluster": "cluster",
}
MEASURED: frozenset[Modality] = frozenset({"metrics", "traces", "cluster"})
"""What is measured; the others are texts that somebody wrote, or rules that somebody set."""

PROVING: frozenset[Modality] = MEASURED | {"logs"}
"""What bears a measurement out; that a release is the latest, or that a rule fired, does not."""

LEADING = 8
"""Candidates that are looked at."""

LASTING = 0.4
"""Share of the time since the onset for which a reading has to hold: a few errors while instances
are replaced, or one slow minute, are over before anybody acts.
source: docs/decisions/normal-and-impact.md, quiet stretches of the recordings."""

HEARD = 0.05
"""A modality that adds less than this share of the first score says nothing of it."""


@dataclass(frozen=True)
class RankedEvidence:
    """Candidates with their scores, the first one first, beside the evidence they rest on."""

    candidates: Sequence[Candidate]
    evidence: Sequence[Evidence]
    topology: Topology

    @cached_property
    def first(self) -> Candidate:
        """The leading candidate; there is one, and its score is above zero."""
        return self.candidates[0]

    @cached_property
    def votes(self) -> tuple[Mapping[Modality, float], ...]:
        """What each modality adds to the score of each leading candidate."""
        kinds = {one.id: MODALITY.get(one.kind) for one in self.evidence}
        return tuple(_votes(one, kinds) for one in self.candidates[:LEADING])

    @cached_property
    def agreeing(self) -> tuple[Modality, ...]:
        """The modalities that speak for the first candidate, the strongest first."""
        own = self.votes[0]
        heard = [one for one in own if own[one] > HEARD * self.first.score]
        return tuple(sorted(heard, key=lambda one: (-own[one], one)))

    @cached_property
    def against(self) -> Mapping[Modality, str]:
        """The modalities that speak more for another candidate than for the first, and for whom."""
        found: dict[Modality, str] = {}
        for modality in get_args(Modality):
            said = [votes.get(modality, 0.0) for votes in self.votes]
            if max(said) > said[0] + HEARD * self.first.score:
                found[modality] = self.candidates[said.index(max(said))].component
        return found

    @cached_property
    def lasting(self) -> float:
        """For which share of the time since the onset the first candidate's readings held.

        The mean over its terms, by their weights; what is a state or no series holds.
        """
        held = {one.id: _held(one) for one in self.cited}
        said = [
            (term.weight, max((held.get(one, 1.0) for one in term.evidence), default=1.0))
            for term in self.first.terms
        ]
        whole = sum(weight for weight, _ in said)
        return sum(weight * share for weight, share in said) / whole if whole > 0 else 1.0

    @cached_property
    def cited(self) -> tuple[Evidence, ...]:
        """The items under the terms of the first candidate."""
        wanted = {number for term in self.first.terms for number in term.evidence}
        return tuple(one for one in self.evidence if one.id in wanted)


STATES: frozenset[MetricCategory] = frozenset({"instances", "certificate", "clock"})
"""What is a state and not a level: it holds until it is put right, whatever its past was."""


def _held(one: Evidence) -> float:
    return 1.0 if read(one.name).family in STATES else one.figures.get("steady", 1.0)


def _votes(one: Candidate, kinds: Mapping[str, Modality | None]) -> Mapping[Modality, float]:
    found: dict[Modality, float] = defaultdict(float)
    for term in one.terms:
        heard = {kind for number in term.evidence if (kind := kinds.get(number))}
        for modality in heard:
            found[modality] += term.weight / len(heard)
    return found


Figure = Literal["lead", "rivals", "objects", "passing"]

RIVAL = 0.5
"""A candidate with this share of the first one's score or more is a second hypothesis."""


def figures(ranked: RankedEvidence) -> dict[Figure, float]:
    """What the model looks at; what is meant stands beside it."""
    first = ranked.first.score
    others = [max(one.score, 0.0) for one in ranked.candidates[1:]]
    return {
        "lead": math.log1p(first - max(others, default=0.0)),  # how far the second is behind
        "rivals": math.log1p(sum(one >= RIVAL * first for one in others)),  # second hypotheses
        "objects": ranked.votes[0].get("cluster", 0.0) / first,  # share of the cluster's objects
        "passing": float(ranked.lasting < LASTING),  # most of what was seen did not last
    }


class CalibrationModel(FrozenModel):
    """Weights of the figures, and which share of what is left the other candidates take."""

    weights: dict[Figure, float]
    bias: float
    others: float = Field(ge=0, le=1)
    about: dict[str, str] = Field(default_factory=dict)

    def chance(self, ranked: RankedEvidence) -> float:
        """The chance that the first candidate is the cause, in [0, 1]."""
        found = figures(ranked)
        return logistic(self.bias + sum(self.weights.get(one, 0.0) * found[one] for one in found))


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else 1.0 - 1.0 / (1.0 + math.exp(x))


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, CalibrationModel]:
    """The fitted models of the arms `rules` and `ml`."""
    text = (files("tools.topology_walker") / "calibration.json").read_text(encoding="utf-8")
    return {arm: CalibrationModel.model_validate(one) for arm, one in json.loads(text).items()}
