"""Rank components by the evidence about them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from tools.topology_walker.graph import components
from tools.types import Candidate, Evidence, Owner, Ranking, Term, Timestamp, Topology


def rank(
    evidence: Sequence[Evidence],
    topology: Topology,
    onset: Timestamp,
    arm: Literal["rules", "ml"] = "rules",
) -> Ranking:
    """Components, most likely cause first, each with the terms of its score."""
    terms: dict[str, list[Term]] = defaultdict(list)
    for item in evidence:
        owner = Owner.parse(item.subject).service
        if owner:
            terms[owner].append(Term(name=item.name, weight=item.strength, evidence=(item.id,)))
    for name in components(topology):
        terms.setdefault(name, [])
    best = {name: sorted(parts, key=lambda t: -t.weight)[:3] for name, parts in terms.items()}
    scores = {name: sum(term.weight for term in parts) for name, parts in best.items()}
    total = sum(scores.values()) or 1.0
    ordered = sorted(scores, key=lambda name: -scores[name])
    return Ranking(
        candidates=tuple(
            Candidate(
                component=name,
                score=scores[name],
                probability=scores[name] / total,
                terms=tuple(best[name]),
            )
            for name in ordered
        ),
        abstained=not evidence,
        reason="" if evidence else "there is no evidence",
        arm=arm,
    )
