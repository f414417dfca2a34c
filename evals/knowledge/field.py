"""Lines as the pager shows them: whether the first answer is a right one, and where nothing is.

Of a line with an answer the first document shown has to be one of its own; of a line without, no
document may be shown. Of public postmortems: how strongly the best of them fits a line, the source
of `copilot.knowledge.search.STRONG_EVIDENCE`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from copilot.knowledge.lexical import LexicalIndex
from copilot.knowledge.search import STRONG_COVERAGE, from_elsewhere
from evals.knowledge.queries import AskedText, FieldQuery, read_queries
from evals.report import Table, number
from knowledge_base import Document

FIELD = Path(__file__).parent / "field_queries.yaml"

SearchMethod = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class FieldAnswer:
    """The ids shown to one line, best first."""

    query: FieldQuery
    found: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether whoever reads the first line only is told right."""
        first = self.found[:1]
        return first[0] in self.query.documents if first else not self.query.documents


def ask(ways: Mapping[str, SearchMethod], known: frozenset[str]) -> dict[str, list[FieldAnswer]]:
    """Every line, asked of each way of searching."""
    queries = read_queries(FIELD, known, FieldQuery)
    return {
        way: [FieldAnswer(query, search(query.text)) for query in queries]
        for way, search in ways.items()
    }


def first_right(answers: Sequence[FieldAnswer]) -> float:
    """Share of the lines whose first answer is right; NaN for none."""
    if not answers:
        return float("nan")
    return sum(one.right for one in answers) / len(answers)


def figures(answers: Mapping[str, Sequence[FieldAnswer]]) -> dict[str, float]:
    """Share right first of each way and of each half."""
    return {
        f"field.{way}.{name}recall1": first_right(part)
        for way, given in answers.items()
        for name, part in {
            "": given,
            **{f"{half}.": _half(given, half) for half in ("tuned", "held_out")},
        }.items()
    }


def table(answers: Mapping[str, Sequence[FieldAnswer]]) -> Table:
    """Each way of searching and each half of the lines."""
    rows = []
    for way, given in answers.items():
        for half in ("tuned", "held_out"):
            part = _half(given, half)
            silent = [one for one in part if not one.query.documents]
            rows.append(
                (
                    f"{way}, {half}",
                    str(len(part)),
                    number(first_right(part), 3),
                    f"{sum(one.right for one in silent)} of {len(silent)}",
                )
            )
    columns = ("way, lines", "n", "right first", "rightly silent")
    return Table(title="Lines of the pager (measured)", columns=columns, rows=tuple(rows))


def _half(answers: Sequence[FieldAnswer], half: str) -> list[FieldAnswer]:
    return [one for one in answers if one.query.split == half]


@dataclass(frozen=True, slots=True)
class PostmortemFit:
    """The evidence of the best public postmortem for one line, and whether it is one of its own."""

    evidence: float
    right: bool


def postmortem_fits(base: Sequence[Document], asked: Sequence[AskedText]) -> list[PostmortemFit]:
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


def postmortem_table(found: Sequence[PostmortemFit], asked: int) -> Table:
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
