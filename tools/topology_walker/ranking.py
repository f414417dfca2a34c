"""Rank components by the evidence about them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from tools.topology_walker.features import Feature, Row, rows
from tools.types import Candidate, Evidence, Ranking, Term, Timestamp, Topology

WEIGHTS: dict[Feature, float] = {
    "own cpu": 1.0,
    "own memory": 1.0,
    "own disk": 0.3,
    "own saturation": 0.8,
    "fewer instances": 0.8,
    "own latency": 0.8,
    "own time in traces": 0.5,
    "time on the wire": 1.0,
    "own errors": 0.8,
    "missing step": 0.9,
    "new error path": 0.5,
    "new log template": 0.2,
    "recent change": 0.4,
    "canary differs": 1.0,
    "alerts on resources": 1.0,
    "alerts on calls": 0.2,
    "alerts in logs": 0.1,
    "cluster finding": 1.0,
}


def rank(
    evidence: Sequence[Evidence],
    topology: Topology,
    onset: Timestamp,
    arm: Literal["rules", "ml"] = "rules",
) -> Ranking:
    """Components, most likely cause first, each with the terms of its score."""
    found = rows(evidence, topology, onset)
    candidates = [_candidate(name, row, WEIGHTS) for name, row in found.items()]
    candidates.sort(key=lambda c: -c.score)
    chances = _chances([c.score for c in candidates])
    return Ranking(
        candidates=tuple(
            c.model_copy(update={"probability": p})
            for c, p in zip(candidates, chances, strict=True)
        ),
        abstained=not evidence,
        reason="" if evidence else "there is no evidence",
        arm=arm,
    )


def _candidate(name: str, row: Row, weights: Mapping[Feature, float]) -> Candidate:
    terms = [
        Term(name=feature, weight=weights[feature] * figure.value, evidence=figure.evidence)
        for feature, figure in row.items()
    ]
    terms.sort(key=lambda term: -term.weight)
    return Candidate(component=name, score=sum(term.weight for term in terms), terms=tuple(terms))


def _chances(scores: Sequence[float]) -> list[float]:
    if not scores:
        return []
    powers = np.exp(4.0 * (np.asarray(scores) - max(scores)))
    return [float(p) for p in powers / powers.sum()]
