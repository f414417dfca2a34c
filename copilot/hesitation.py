"""When a located cause is not enough to propose anything: nobody is seen to suffer from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.types import Evidence, FaultKind, Ranking, Text

PASSING: frozenset[FaultKind] = frozenset({"cpu_saturation"})
"""Pressure that passes by itself; a disk or a leak does not, and is met before anybody suffers."""


@dataclass(frozen=True, slots=True)
class Hesitation:
    """Why not, and what a person should see first."""

    reason: str
    check: Text


def hesitation(ranking: Ranking, evidence: Sequence[Evidence]) -> Hesitation | None:
    """A change alone is no fault, and a busy processor alone is a job that is being done.

    Judged by what the leading candidate's terms cite: nothing but changes, or, for a pressure that
    passes, a single term. More alerts bring another look, with what they have seen.
    """
    if not ranking.candidates:
        return None
    first, kinds = ranking.candidates[0], {item.id: item.kind for item in evidence}
    cited = {kinds.get(number) for term in first.terms for number in term.evidence}
    if cited == {"change"}:
        return Hesitation(
            f"only a change speaks for {first.component}; nothing measured is wrong with it",
            Text(
                en="See whether anybody suffers from it at all before taking a change back.",
                zh="在撤销变更之前，先确认是否真的有人受到影响。",
            ),
        )
    if first.fault_kind in PASSING and len(first.terms) == 1:
        return Hesitation(
            f"{first.component} is busy, but neither errors nor delays are seen with it",
            Text(
                en="See what it is busy with, and whether a job of that kind ends by itself.",
                zh="查看其忙于什么，以及此类任务是否会自行结束。",
            ),
        )
    return None
