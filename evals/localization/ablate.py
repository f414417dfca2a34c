"""What is lost without each fault signature: a line per row of the table, its weight and its vote.

The evidence is gathered once (`gathered.py`); then every incident is ranked again without the
weight, or without the vote, of one row at a time. Incidents: those of `--data`, the recordings that
ship, and the log-only ones. Read it as: a line of dashes is a row that no recording needs.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.localization.cases import CaseSetError
from evals.localization.gathered import GatheredCase, bundle_sets, gathered
from evals.report import Options, Result, Table
from tools.topology_walker.ranking import RULES, RankingModel, SignatureMatch, matches, scored
from tools.topology_walker.signatures import SIGNATURES
from tools.types import Ranking

FIGURES = ("component", "Avg@5", "kind")


@dataclass(frozen=True, slots=True)
class MatchedCase:
    """A case with the signatures that hold in it."""

    case: GatheredCase
    accused: Mapping[str, Sequence[SignatureMatch]]

    @property
    def rows(self) -> set[str]:
        """The names of the signatures that hold."""
        return {match.row.name for here in self.accused.values() for match in here}

    def figures(self, model: RankingModel) -> tuple[float, float, float]:
        """Component first, Avg@5, and component and kind first, under these weights and votes."""
        ranking = Ranking(candidates=scored(self.accused, model))
        place = self.case.place(ranking)
        first, kind = place.within(1), self.case.kind_right(ranking)
        five = sum(place.within(k) for k in range(1, 6)) / 5
        return first, five, first if kind is None else float(kind)


def run(options: Options, progress: Progress) -> Result:
    """Rank every incident without each weight and each vote in turn."""
    if options.data is None:
        raise SystemExit("ablate needs --data DIR: a bundle set, or a folder of bundle sets")
    started = time.perf_counter()
    try:
        cases = list(gathered(bundle_sets(options.data), progress))
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    told = [MatchedCase(case, matches(case.evidence, case.topology)) for case in cases]
    whole = sums_by_system(told, RULES)
    rows: list[dict[str, JsonValue]] = []
    task = progress.add_task("leaving out", total=len(SIGNATURES))
    for name, part, value, model in _without():
        change = _change(whole, sums_by_system(told, model))
        holds = sum(
            any(m.row.name == name for h in one.accused.values() for m in h) for one in told
        )
        rows.append(
            {"signature": name, "part": part, "value": value, "holds_in": holds, "lost": change}
        )
        progress.update(task, advance=0.5)
    return Result(
        suite="ablate",
        arm="rules",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(rows),
        more={
            f"{system}.{figure}": value
            for system, figures in whole.items()
            for figure, value in zip(FIGURES, figures, strict=True)
        },
        tables=(_table(rows, len(cases)),),
    )


def _without() -> Iterator[tuple[str, str, float, RankingModel]]:
    for row in SIGNATURES:
        parts = (("weight", "weights", row.weight), ("vote", "votes", row.vote))
        for part, of, value in parts:
            if value:
                left = {**getattr(RULES, of), row.name: 0.0}
                yield row.name, part, value, RULES.model_copy(update={of: left})


Sums = dict[str, list[float]]


def sums_by_system(told: Sequence[MatchedCase], model: RankingModel) -> Sums:
    """Each figure, summed over the cases of each system."""
    found: Sums = defaultdict(lambda: [0.0] * len(FIGURES))
    for one in told:
        for place, value in enumerate(one.figures(model)):
            found[one.case.system][place] += value
    return found


def _change(before: Sums, after: Sums) -> dict[str, JsonValue]:
    """Cases lost (negative) or won per system and figure; what does not change is left out."""
    found: dict[str, JsonValue] = {}
    for system, figures in before.items():
        for figure, was, now in zip(FIGURES, figures, after[system], strict=True):
            if abs(now - was) > 1e-9:
                found[f"{system}.{figure}"] = round(now - was, 2)
    return found


def _table(rows: Sequence[Mapping[str, JsonValue]], count: int) -> Table:
    cells = []
    for row in rows:
        lost = row["lost"]
        assert isinstance(lost, dict)
        by_figure = [
            ", ".join(
                f"{key.partition('.')[0]} {value:+g}"
                for key, value in lost.items()
                if key.endswith(f".{figure}")
            )
            for figure in FIGURES
        ]
        shown = (str(row[key]) for key in ("signature", "part", "value", "holds_in"))
        cells.append((*shown, *(cell or "–" for cell in by_figure)))
    return Table(
        title=f"Cases lost (-) or won (+) without it, of {count}",
        columns=("signature", "without its", "of", "holds in", *FIGURES),
        rows=tuple(cells),
    )
