"""Rank components by one score over (component, kind of fault), each term with its evidence.

score(c, k) = sum over terms t of the strongest weight x strength of a row of t that accuses c
            + KIND x the strongest vote x strength of a row that accuses c of k.

A component's score is that of its best kind; rows and weights stand in `signatures.py`. `ml` takes
weights and votes from `learned.json`, fitted by `python -m evals train ranker --data DIR`. Ties are
broken by the strongest single term, then by a hash of the name, never by the order of names.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

from pydantic import Field

from tools.topology_walker.calibration import CalibrationModel, RankedEvidence, shipped
from tools.topology_walker.certainty import NOTHING_KNOWN, EvidenceScope, decide
from tools.topology_walker.inherited import OwnSymptom
from tools.topology_walker.readings import AnomalyAlert, LineNew, TypedReading
from tools.topology_walker.signatures import SIGN, SIGNATURES, FaultSignature
from tools.topology_walker.site import SiteMemory
from tools.topology_walker.strengths import Inquiry
from tools.types import (
    Candidate,
    Evidence,
    FrozenModel,
    Ranking,
    Term,
    Topology,
)

KIND = 0.05
"""What the kind's own evidence adds to a component: so little that of two components the one with
more evidence is first. Source: docs/decisions/fault-signatures.md.
"""


class RankingModel(FrozenModel):
    """Weight and vote of each signature, by its name."""

    weights: dict[str, float]
    votes: dict[str, float]
    about: dict[str, str] = Field(default_factory=dict)


RULES = RankingModel(
    weights={row.name: row.weight for row in SIGNATURES},
    votes={row.name: row.vote for row in SIGNATURES},
)


@lru_cache(maxsize=1)
def learned() -> RankingModel:
    """The shipped weights of the `ml` arm."""
    text = (files("tools.topology_walker") / "learned.json").read_text(encoding="utf-8")
    model = RankingModel.model_validate(json.loads(text))
    # A row no recorded incident showed keeps its prior, which is what was set by hand.
    return model.model_copy(
        update={
            "weights": {**RULES.weights, **model.weights},
            "votes": {**RULES.votes, **model.votes},
        }
    )


class SignatureMatch(NamedTuple):
    """A signature that holds for a reading, with its strength in [0, 1]."""

    row: FaultSignature
    reading: TypedReading
    strength: float


def matches(evidence: Sequence[Evidence], topology: Topology) -> dict[str, list[SignatureMatch]]:
    """Map every component of the topology or the evidence to the signatures that accuse it."""
    scene = Inquiry(evidence, topology)
    found: dict[str, list[SignatureMatch]] = {name: [] for name in scene.names}
    for reading in scene.all_readings:
        for row in _READING.get(type(reading), ()):
            strength, accused = row.strength_of(reading, scene), row.accused(reading, scene)
            if strength > 0 and accused in found:
                found[accused].append(SignatureMatch(row, reading, strength))
    sure = {name: max(map(_sure, here), default=0.0) for name, here in found.items()}
    crowd = dict.fromkeys(scene.below(topology.entry), scene.crowd)
    explained = {
        name: max((crowd.get(name, 0.0), *(sure[one] for one in scene.below(name))))
        for name in found
    }
    return {name: [_own(one, explained[name]) for one in here] for name, here in found.items()}


def _sure(one: SignatureMatch) -> float:
    """How surely a telltale sign explains what its component's callers suffer."""
    return one.strength * min(one.row.weight, 1.0) if one.row.term == SIGN else 0.0


def _own(one: SignatureMatch, explained: float) -> SignatureMatch:
    """Take off a symptom what a telltale sign at a callee, or a crowd, explains."""
    suffered = isinstance(one.reading, OwnSymptom | LineNew)
    return one._replace(strength=one.strength * (1.0 - explained)) if suffered else one


_READING: dict[type[TypedReading], list[FaultSignature]] = {}
for _row in SIGNATURES:
    _READING.setdefault(_row.reads, []).append(_row)


def scored(
    found: Mapping[str, Sequence[SignatureMatch]], model: RankingModel
) -> tuple[Candidate, ...]:
    """Return every component as a candidate, the highest score first."""
    candidates = (_candidate(name, accused, model) for name, accused in found.items())
    return tuple(sorted(candidates, key=_order))


def _candidate(name: str, accused: Sequence[SignatureMatch], model: RankingModel) -> Candidate:
    """Score a component by its best kind; the vote is part of the term that it comes with."""
    terms: dict[str, Term] = {}
    best, kind, voted = None, None, 0.0
    for row, reading, strength in accused:
        weight, vote = model.weights[row.name] * strength, model.votes[row.name] * strength
        if weight > 0 and (row.term not in terms or weight > terms[row.term].weight):
            terms[row.term] = Term(name=row.term, weight=weight, evidence=reading.ids)
        if vote > voted and row.kind_of(reading):
            best, kind, voted = (row, reading), row.kind_of(reading), vote
    if best is not None:
        row, reading = best
        known = terms.get(row.term, Term(name=row.term, weight=0.0))
        ids = tuple(dict.fromkeys((*known.evidence, *reading.ids)))
        terms[row.term] = Term(name=row.term, weight=known.weight + KIND * voted, evidence=ids)
    loud = [one.reading for one in accused if isinstance(one.reading, AnomalyAlert)]
    loud = [one for one in loud if one.topic == "metric"]
    ordered = tuple(sorted(terms.values(), key=lambda term: -term.weight))
    return Candidate(
        component=name,
        score=sum(term.weight for term in ordered),
        fault_kind=kind,
        peer=getattr(best[1], "peer", "") if best else "",
        instance=max(loud, key=lambda one: one.score).instance if loud else "",
        terms=ordered,
    )


def rank(
    evidence: Sequence[Evidence],
    topology: Topology,
    arm: Literal["rules", "ml"] = "rules",
    around: EvidenceScope = NOTHING_KNOWN,
    calibration: CalibrationModel | None = None,
    site: SiteMemory | None = None,
) -> Ranking:
    """Components, most likely cause first, each with the terms of its score and a fault kind.

    How sure the first is, and why, is said with it (`certainty`). What was learned at a `site`
    joins the scores and the calibration.
    """
    ranked = ordered(evidence, topology, arm)
    if site is not None:
        ranked = replace(ranked, candidates=site.ordered(ranked.candidates, evidence))
        calibration = site.calibrated(calibration or shipped()[arm])
    return decide(ranked, around, arm, calibration)


def ordered(
    evidence: Sequence[Evidence],
    topology: Topology,
    arm: Literal["rules", "ml"] = "rules",
) -> RankedEvidence:
    """Return every component with its score and kind of fault, the highest score first."""
    found = matches(evidence, topology)
    return RankedEvidence(scored(found, RULES if arm == "rules" else learned()), evidence, topology)


def _order(candidate: Candidate) -> tuple[float, float, str]:
    strongest = candidate.terms[0].weight if candidate.terms else 0.0
    return (-candidate.score, -strongest, hashlib.sha256(candidate.component.encode()).hexdigest())
