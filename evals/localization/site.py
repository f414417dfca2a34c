"""What a site's own lessons are worth: each system as a site, each incident judged by the others.

Leave one incident out within its system: the lessons of all other incidents of it, each confirmed
as its recording says, are added to the ranking of the one. Without them stands beside it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.progress import Progress

import copilot
from copilot.sources.recorded import RecordedBundle
from evals.localization.calibration import calibration
from evals.localization.cases import BundleCase, CaseSetError, read
from evals.localization.look import LocalizationResult, locate_bundle
from evals.localization.score import AnswerRank, accepted, place
from evals.report import Options, Result, Table, number
from tools.topology_walker import rank
from tools.topology_walker.site import Lesson, SiteMemory, lesson
from tools.types import FaultKind, Ranking


@dataclass(frozen=True, slots=True)
class SiteCase:
    """An incident as it was located, the lesson it leaves, and the kinds that are right."""

    case: BundleCase
    located: LocalizationResult
    kinds: tuple[FaultKind, ...]
    lesson: Lesson

    def ranked(self, site: SiteMemory) -> Ranking:
        """The ranking with what the site knows."""
        measured = [one for one in self.located.evidence if one.kind != "note"]
        return rank(measured, self.located.telemetry.topology, self.located.onset, site=site)

    def place(self, ranking: Ranking) -> AnswerRank:
        """Where the cause stands."""
        scored = [(one.component, one.score) for one in ranking.candidates]
        return place(scored, *self.case.answer.right)

    def kind_right(self, ranking: Ranking) -> bool | None:
        """Whether the kind is right where the component is; None where that says nothing."""
        first = next(iter(ranking.candidates), None)
        if not self.kinds or first is None or first.component not in self.case.answer.right:
            return None
        return first.fault_kind in self.kinds


def run(options: Options, progress: Progress) -> Result:
    """Judge every incident of --data with and without the lessons of the rest of its system."""
    if options.data is None:
        raise SystemExit("bench site needs --data DIR with incidents/ and truth/")
    started = time.perf_counter()
    try:
        cases = read(options.data, options.limit)
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    task = progress.add_task("site", total=len(cases))
    found = []
    for case in cases:
        found.append(_looked_at(case))
        progress.advance(task)
    systems = {
        system: [one for one in found if one.case.answer.system == system]
        for system in sorted({one.case.answer.system for one in found})
    }
    summary: dict[str, float] = {}
    for system, group in systems.items():
        summary |= {f"{system}.{key}": value for key, value in measured(group).items()}
    for key in ("off.ac1", "on.ac1", "off.kind", "on.kind", "off.brier", "on.brier"):
        summary[f"mean.{key}"] = fmean(summary[f"{system}.{key}"] for system in systems)
    return Result(
        suite="site",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(summary, systems),),
    )


def measured(group: Sequence[SiteCase]) -> dict[str, float]:
    """AC@1, kinds and Brier score of one system without (`off`) and with (`on`) its lessons."""
    found: dict[str, float] = {}
    for name in ("off", "on"):
        places, kinds, said = [], [], []
        for one in group:
            others = [other.lesson for other in group if other is not one]
            ranking = one.ranked(SiteMemory(others if name == "on" else ()))
            places.append(one.place(ranking).within(1))
            right = one.kind_right(ranking)
            kinds += [] if right is None else [float(right)]
            first = next(iter(ranking.candidates), None)
            said.append((first.probability if first else 0.0, places[-1]))
        found |= {
            f"{name}.ac1": fmean(places),
            f"{name}.kind": fmean(kinds) if kinds else float("nan"),
            f"{name}.brier": calibration(said).brier,
        }
    return found


def _looked_at(case: BundleCase) -> SiteCase:
    located = locate_bundle(RecordedBundle(case.folder), case.answer)
    released = bool(located.telemetry.changes)
    kinds = tuple(sorted(accepted(case.answer.fault_type, released=released)))
    shown = {one.component for one in located.ranking.candidates}
    cause = next((one for one in case.answer.right if one in shown), case.answer.root_cause)
    first = next(iter(located.ranking.candidates), None)
    # A person names a kind; where an observer cannot, any kind stands for "not nameable".
    kind: FaultKind = kinds[0] if kinds else "errors"
    chance = first.probability if first and located.ranking.calibrated else None
    taught = lesson(
        case.answer.id, (cause, kind), located.ranking.candidates, located.evidence, chance
    )
    return SiteCase(case, located, kinds, taught)


def _table(summary: Mapping[str, float], systems: Mapping[str, Sequence[SiteCase]]) -> Table:
    keys = ("off.ac1", "on.ac1", "off.kind", "on.kind", "off.brier", "on.brier")
    rows = tuple(
        (name, str(len(systems.get(name, ()))) if name in systems else "–")
        + tuple(number(summary[f"{name}.{key}"], 3) for key in keys)
        for name in (*systems, "mean")
    )
    return Table(
        title="Lessons of the same system, leaving the incident out",
        columns=("system", "cases", "AC@1", "with", "kind", "with", "Brier", "with"),
        rows=rows,
    )
