"""Lines as the pager shows them: whether the first answer is a right one, and where nothing is.

Of a line with an answer the first document shown has to be one of its own; of a line without, no
document may be shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.knowledge.queries import FieldQuery, read_queries
from evals.report import Table, number

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
