"""What a site's own lessons are worth: each system as a site, each incident judged by the others.

Leave one incident out within its system: the lessons of all other incidents of it, each confirmed
as its recording says, join the ranking of the one. Without them stands beside it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import get_args

from rich.progress import Progress

import copilot
from copilot.case.learning import as_shipped
from evals.localization.calibration import calibration
from evals.localization.cases import CaseSetError, read
from evals.localization.gathered import GatheredCase, gathered_bundles
from evals.report import Options, Result, Table, number
from tools.topology_walker import rank
from tools.topology_walker.site import Lesson, SiteMemory, lesson
from tools.types import FaultKind, Ranking

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

FIGURES = ("off.ac1", "on.ac1", "off.kind", "on.kind", "off.ece", "on.ece", "off.brier", "on.brier")


@dataclass(frozen=True, slots=True)
class SiteCase:
    """An incident with its evidence, what shipped says of it, and the lesson it leaves."""

    case: GatheredCase
    shipped: Ranking
    lesson: Lesson

    def taught_by(self, lessons: Sequence[Lesson]) -> Ranking:
        """The ranking with what these lessons teach."""
        case = self.case
        return rank(case.evidence, case.topology, site=SiteMemory(lessons))


def run(options: Options, progress: Progress) -> Result:
    """Judge every incident of --data with and without the lessons of the rest of its system."""
    if options.data is None:
        raise SystemExit("bench site needs --data DIR with incidents/ and truth/")
    started = time.perf_counter()
    try:
        cases = read(options.data, options.limit)
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    found = [_site_case(case) for case in gathered_bundles(cases, progress)]
    systems = {
        system: [one for one in found if one.case.system == system]
        for system in sorted({one.case.system for one in found})
    }
    task = progress.add_task("ranking", total=len(systems))
    summary: dict[str, float] = {}
    for system, group in systems.items():
        summary |= {f"{system}.{key}": value for key, value in measured(group).items()}
        progress.advance(task)
    summary |= {f"mean.{key}": fmean(summary[f"{one}.{key}"] for one in systems) for key in FIGURES}
    return Result(
        suite="site",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(summary, systems),),
    )


def measured(group: Sequence[SiteCase]) -> dict[str, float]:
    """What one system scores without (`off`) and with (`on`) the lessons of its other incidents."""
    taught = [one.taught_by([other.lesson for other in group if other is not one]) for one in group]
    found: dict[str, float] = {}
    for name, rankings in (("off", [one.shipped for one in group]), ("on", taught)):
        pairs = list(zip(group, rankings, strict=True))
        places = [one.case.place(ranking).within(1) for one, ranking in pairs]
        kinds = [one.case.kind_right(ranking) for one, ranking in pairs]
        named = [float(right) for right in kinds if right is not None]
        first = [next(iter(ranking.candidates), None) for ranking in rankings]
        chances = [one.probability if one else 0.0 for one in first]
        sure = calibration(list(zip(chances, places, strict=True)))
        values = (fmean(places), fmean(named) if named else 0.0, sure.error, sure.brier)
        found |= dict(zip((f"{name}.{key}" for key in _MEASURED), values, strict=True))
    return found


_MEASURED = ("ac1", "kind", "ece", "brier")


def _site_case(case: GatheredCase) -> SiteCase:
    shipped = rank(case.evidence, case.topology)
    shown = {one.component for one in shipped.candidates}
    cause = next((one for one in case.components if one in shown), case.components[0])
    # A person names a kind; where an observer cannot, this one stands for "not nameable".
    kind: FaultKind = next((one for one in KINDS if one in case.kinds), "errors")
    answer = as_shipped(shipped)
    taught = lesson(case.id, (cause, kind), answer.candidates, case.evidence, answer.chance)
    return SiteCase(case, shipped, taught)


def _table(summary: Mapping[str, float], systems: Mapping[str, Sequence[SiteCase]]) -> Table:
    rows = tuple(
        (name, str(len(systems[name])) if name in systems else "–")
        + tuple(number(summary[f"{name}.{key}"], 3) for key in FIGURES)
        for name in (*systems, "mean")
    )
    return Table(
        title="Lessons of the same system, leaving the incident out",
        columns=("system", "cases", "AC@1", "with", "kind", "with", "ECE", "with", "Brier", "with"),
        rows=rows,
    )
