"""The evidence as a model reads it: the most useful rows that fit, in the order of their ids."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from copilot.model.fence import Fence
from copilot.types.time_format import clock_time
from tools.types import Evidence, Ranking

LEADING = 3
"""Candidates whose evidence is shown before any other."""


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """Rows that are shown, the evidence they stand for, and how many did not fit."""

    rows: tuple[str, ...]
    shown: tuple[Evidence, ...]
    left_out: int


def fitted(
    evidence: Sequence[Evidence],
    ranking: Ranking,
    fence: Fence,
    cost: Callable[[str], int],
    budget: int,
) -> EvidenceTable:
    """As many rows as cost at most `budget`, the least useful dropped first."""
    kept: dict[str, str] = {}
    spent = 0
    for one in by_use(evidence, ranking):
        shown = row(one, fence)
        price = cost(shown + "\n")
        if spent + price > budget:
            break
        spent += price
        kept[one.id] = shown
    seen = sorted((one for one in evidence if one.id in kept), key=_position)
    return EvidenceTable(
        rows=tuple(kept[one.id] for one in seen),
        shown=tuple(seen),
        left_out=len(evidence) - len(seen),
    )


def by_use(evidence: Sequence[Evidence], ranking: Ranking) -> list[Evidence]:
    """What was asked for, what the leading candidates rest on, then each kind in turn by strength.

    In turn, because forty log templates tell less than ten of them beside a metric and a change.
    """
    known = {one.id: one for one in evidence}
    cited = [
        known[number]
        for candidate in ranking.candidates[:LEADING]
        for term in candidate.terms
        for number in term.evidence
        if number in known
    ]
    asked = [one for one in evidence if one.kind == "note"]
    kinds: dict[str, list[Evidence]] = defaultdict(list)
    for one in sorted(evidence, key=lambda one: -one.strength):
        kinds[one.kind].append(one)
    in_turn = (one for one in chain(*zip_longest(*kinds.values())) if one is not None)
    ordered = {one.id: one for one in (*asked, *cited, *in_turn)}
    return list(ordered.values())


def row(one: Evidence, fence: Fence) -> str:
    """One item on one line; of logs the template, never the lines."""
    since = f" since {clock_time(one.onset)}" if one.onset is not None else ""
    said = f" ‹{fence.line(one.excerpt, 120)}›" if one.kind == "change" and one.excerpt else ""
    subject = fence.line(one.subject, 80)
    return f"{one.id} | {one.kind} | {subject} | {fence.line(one.statement, 260)}{said}{since}"


def _position(one: Evidence) -> int:
    return int(one.id[1:])
