"""Rank components by a weighted sum of figures, each term with the evidence it rests on.

score(c) = sum over features f of weight(f) x figure(c, f); how sure the first is: `certainty`.
`rules` uses the weights below, set by hand; `ml` those of `learned.json`, fitted by
`python -m evals train ranker --data DIR` as the mode of a softmax model over the candidates of each
incident, with the rules' weights as prior mean. Ties are broken by the strongest single term, then
by a hash of the name, never by the order of names.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from pydantic import Field

from tools.topology_walker.calibration import CalibrationModel, RankedEvidence
from tools.topology_walker.certainty import NOTHING_KNOWN, Surroundings, decide
from tools.topology_walker.features import rows
from tools.topology_walker.kinds import fault_kind
from tools.topology_walker.scene import Feature, FeatureRow
from tools.topology_walker.signatures import SignatureMatch, signs
from tools.types import (
    Candidate,
    Evidence,
    FaultKind,
    FrozenModel,
    Ranking,
    Term,
    Timestamp,
    Topology,
)


class RankingModel(FrozenModel):
    """Weights of the figures, the temperature that turns scores into chances, and the threshold."""

    weights: dict[Feature, float]
    temperature: float = Field(gt=0)
    abstain_below: float = Field(ge=0, le=1)
    about: dict[str, str] = Field(default_factory=dict)


RULES = RankingModel(
    weights={
        "telltale sign": 1.5,
        "own cpu": 1.0,
        "own memory": 0.8,
        "own disk": 0.2,
        "own saturation": 0.8,
        "fewer instances": 0.8,
        "own latency": 0.8,
        "own time in traces": 0.3,
        "time on the wire": 1.0,
        "own errors": 0.8,
        "missing step": 0.9,
        "new error path": 0.4,
        "new log template": 0.2,
        "more traffic": 1.2,
        "recent change": 0.4,
        "canary differs": 0.9,
        "change below errors": 0.6,
        "alerts on resources": 1.5,
        "alerts on calls": 0.2,
        "alerts on one instance": 0.2,
        "alerts on own spans": 0.4,
        "alerts in logs": 0.1,
        "cluster finding": 1.0,
    },
    temperature=0.1,
    abstain_below=0.4,
)


@lru_cache(maxsize=1)
def learned() -> RankingModel:
    """The shipped weights of the `ml` arm."""
    text = (files("tools.topology_walker") / "learned.json").read_text(encoding="utf-8")
    model = RankingModel.model_validate(json.loads(text))
    # A figure no recorded incident showed keeps its prior, which is the weight set by hand.
    return model.model_copy(update={"weights": {**RULES.weights, **model.weights}})


def rank(
    evidence: Sequence[Evidence],
    topology: Topology,
    onset: Timestamp,
    arm: Literal["rules", "ml"] = "rules",
    around: Surroundings = NOTHING_KNOWN,
    calibration: CalibrationModel | None = None,
) -> Ranking:
    """Components, most likely cause first, each with the terms of its score and a fault kind.

    How sure the first is, and why, is said with it (`certainty`).
    """
    return decide(ordered(evidence, topology, onset, arm), around, arm, calibration)


def ordered(
    evidence: Sequence[Evidence],
    topology: Topology,
    onset: Timestamp,
    arm: Literal["rules", "ml"] = "rules",
) -> RankedEvidence:
    """Return every component with its score and kind of fault, the highest score first."""
    model = RULES if arm == "rules" else learned()
    found = rows(evidence, topology, onset)
    told = signs(evidence, topology)
    candidates = [
        _candidate(name, row, evidence, told, model.weights) for name, row in found.items()
    ]
    candidates.sort(key=_order)
    return RankedEvidence(tuple(candidates), evidence, topology)


def _candidate(
    name: str,
    row: FeatureRow,
    evidence: Sequence[Evidence],
    told: Sequence[SignatureMatch],
    weights: Mapping[Feature, float],
) -> Candidate:
    terms = [
        Term(
            name=feature, weight=weights.get(feature, 0.0) * figure.value, evidence=figure.evidence
        )
        for feature, figure in row.items()
    ]
    terms.sort(key=lambda term: -term.weight)
    kind = fault_kind(name, row, evidence, told) if terms else None
    return Candidate(
        component=name,
        score=sum(term.weight for term in terms),
        fault_kind=kind,
        instance=_instance(name, evidence),
        peer=_peer(name, kind, told),
        terms=tuple(terms),
    )


def _peer(name: str, kind: FaultKind | None, told: Sequence[SignatureMatch]) -> str:
    """The host that the component's lines accuse most of that kind, if nothing watches it."""
    accused = [one for one in told if (one.component, one.kind) == (name, kind)]
    return max(accused, key=lambda one: one.sure).peer if accused else ""


def _instance(name: str, evidence: Sequence[Evidence]) -> str:
    """The pod that the loudest scored alert about the component names."""
    loud = [
        i for i in evidence if i.kind == "alert" and i.subject == name and "metric" in i.figures
    ]
    return max(loud, key=lambda item: item.figures["score"]).excerpt if loud else ""


def _order(candidate: Candidate) -> tuple[float, float, str]:
    strongest = candidate.terms[0].weight if candidate.terms else 0.0
    return (-candidate.score, -strongest, hashlib.sha256(candidate.component.encode()).hexdigest())
