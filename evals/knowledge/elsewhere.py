"""Public postmortems: how strongly the best of them fits lines that are about one, or are not.

The source of `copilot.knowledge.search.STRONG_EVIDENCE`: a threshold above the largest evidence of
a wrong one. Leave one out: the threshold of each line comes from the other lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.knowledge.lexical import LexicalIndex
from copilot.knowledge.search import STRONG_COVERAGE, from_elsewhere
from evals.knowledge.queries import AskedText
from evals.report import Table, number
from knowledge_base import Document


@dataclass(frozen=True, slots=True)
class PostmortemFit:
    """The evidence of the best public postmortem for one line, and whether it is one of its own."""

    evidence: float
    right: bool


def fits(base: Sequence[Document], asked: Sequence[AskedText]) -> list[PostmortemFit]:
    """The best public postmortem of each line that any fits by the share that is said of it."""
    index, found = LexicalIndex(base), []
    for query in asked:
        near = [
            match
            for match in index.match(query.text)
            if from_elsewhere(match.document) and match.coverage >= STRONG_COVERAGE
        ]
        if near:
            best = max(near, key=lambda match: match.evidence)
            found.append(PostmortemFit(best.evidence, best.document.id in query.documents))
    return found


def largest_wrong(found: Sequence[PostmortemFit]) -> float:
    """The largest evidence of a postmortem that answers nothing; 0 where there is none."""
    return max((one.evidence for one in found if not one.right), default=0.0)


def left_out(found: Sequence[PostmortemFit]) -> tuple[int, int]:
    """How many are shown rightly and wrongly, each by the threshold of all others."""
    shown = [
        one
        for place, one in enumerate(found)
        if one.evidence > largest_wrong([*found[:place], *found[place + 1 :]])
    ]
    return sum(one.right for one in shown), sum(not one.right for one in shown)


def table(found: Sequence[PostmortemFit], asked: int) -> Table:
    """The threshold, and what it shows of the lines it was not chosen on."""
    rightly, wrongly = left_out(found)
    row = (
        str(asked),
        number(largest_wrong(found), 2),
        f"{rightly} of {sum(one.right for one in found)}",
        str(wrongly),
    )
    columns = ("lines", "largest wrong evidence", "rightly shown, left out", "wrongly shown")
    return Table(title="Public postmortems (measured)", columns=columns, rows=(row,))
