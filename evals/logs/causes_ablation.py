"""What each family of log signatures is worth: cases lost without it.

`python -m evals.logs.causes_ablation [DIR …]`, each DIR a bundle set beside the shipped incidents.
The evidence is gathered once with all of them; only what is concluded from it is done again.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from copilot.sources.recorded import RecordedBundle
from copilot.wiring import recorded_sources
from evals.localization.cases import RECORDINGS, TruthRecord, read
from evals.localization.look import locate_bundle
from evals.localization.score import accepted
from evals.logs import causes
from evals.reasoning.investigate import Page, investigate
from evals.report import Table, show
from tools.log_retriever import causes as signatures
from tools.topology_walker import rank
from tools.types import Candidate, Evidence, Timestamp, Topology


@dataclass(frozen=True, slots=True)
class AblationCase:
    """What was gathered of one case, and whether a first candidate is right."""

    group: str
    evidence: tuple[Evidence, ...]
    topology: Topology
    onset: Timestamp
    right: Callable[[Candidate], bool]

    def holds(self) -> bool:
        """Whether the ranking of this evidence is right first, and decided."""
        ranking = rank(self.evidence, self.topology)
        first = ranking.candidates[0] if ranking.candidates and not ranking.abstained else None
        return first is not None and self.right(first)


def cases(folders: Sequence[Path]) -> Iterator[AblationCase]:
    """The log-only incidents that have a cause, the shipped incidents, and those of the folders."""
    for incident, answer in causes.incidents():
        if answer.components:
            yield _of_incident(incident, answer)
    for folder in (RECORDINGS, *folders):
        for case in read(folder):
            if not (case.folder / "logs.ndjson.gz").is_file():
                continue
            bundle = RecordedBundle(case.folder)
            found, truth = locate_bundle(bundle, case.answer), case.answer
            judge = partial(_names_it, truth)
            yield AblationCase(truth.system, found.evidence, bundle.topology(), found.onset, judge)


def _names_it(truth: TruthRecord, first: Candidate) -> bool:
    kinds = accepted(truth.fault_type, released=False) | set(truth.also_right_kinds)
    return first.component in truth.right and first.fault_kind in kinds


def _of_incident(incident: causes.LogOnlyIncident, answer: causes.CauseAnswer) -> AblationCase:
    with TemporaryDirectory(prefix="evals-") as folder:
        bundle = causes.recorded(incident, Path(folder) / "incident")
        alerts = bundle.alerts(bundle.window)
        page = Page(alerts[0], tuple(alerts))
        ran = investigate(recorded_sources(bundle), bundle, page, onsets="detected")
        evidence = tuple(one for one in ran.incident.evidence if one.kind != "note")
        topology = bundle.topology()
    return AblationCase(
        "causes",
        evidence,
        topology,
        ran.onset.at,
        lambda first: (
            (first.peer or first.component) in answer.components
            and first.fault_kind in answer.kinds
        ),
    )


@contextmanager
def without(family: str) -> Iterator[None]:
    """Let the rows of a family be forgotten."""
    whole = signatures._patterns
    left = tuple(one for one in whole() if one.row.family != family)
    signatures._patterns = lambda: left  # type: ignore[assignment]
    signatures.signature_of.cache_clear()
    try:
        yield
    finally:
        signatures._patterns = whole
        signatures.signature_of.cache_clear()


def table(found: Sequence[AblationCase]) -> Table:
    """A line per family: its rows, and how many cases of each group are lost or won without it."""
    groups = tuple(dict.fromkeys(case.group for case in found))
    whole = [case.holds() for case in found]
    rows = [("all rows", str(len(signatures.catalogue())), *_counts(found, whole, groups))]
    for family in dict.fromkeys(row.family for row in signatures.catalogue()):
        size = sum(row.family == family for row in signatures.catalogue())
        with without(family):
            left = [case.holds() for case in found]
        change = [
            sum(b - a for case, a, b in zip(found, whole, left, strict=True) if case.group == group)
            for group in groups
        ]
        rows.append((f"without {family}", str(size), *(f"{lost:+d}" for lost in change)))
    return Table(
        title="Families of log signatures: component and kind right first",
        columns=("", "rows", *groups),
        rows=tuple(rows),
    )


def _counts(
    found: Sequence[AblationCase], holds: Sequence[bool], groups: Sequence[str]
) -> Iterator[str]:
    for group in groups:
        inside = [held for case, held in zip(found, holds, strict=True) if case.group == group]
        yield f"{sum(inside)} of {len(inside)}"


if __name__ == "__main__":
    show(Console(), [table(list(cases([Path(name) for name in sys.argv[1:]])))])
