"""Quiet stretches: somebody asks, or is paged, while nothing is wrong; right is "none of these".

They are cut out of any set of bundles: the calm before a fault, seen with the clock before it, so
that nothing of the fault can be read, and normal operation, which incidents share as their history.
A recorded surge, release or maintenance is none: what is said of it may be true, and whether it is
to be mended is for the guards of a plan to say.
"""

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.progress import Progress

from copilot.sources.recorded import RecordedBundle
from evals.localization.cases import BundleCase, TruthRecord, read
from evals.localization.gathered import GatheredCase, kept
from evals.localization.look import LocalizationResult, locate_bundle
from tools.topology_walker.certainty import LITTLE_S
from tools.types import Timestamp

AFTER_S, LEAST_AFTER_S = 300.0, 30.0
"""Seconds that are seen after the page, as in most recorded incidents, and the least of them."""

OF_A_HISTORY = 12
"""Pages in the normal operation that a history holds, spread evenly."""


@dataclass(frozen=True, slots=True)
class QuietStretch:
    """A moment at which somebody is paged for nothing, and the moment up to which is seen.

    `history`: the folder of normal operation it is cut from; else it is cut from the bundle.
    """

    case: BundleCase
    page: Timestamp
    now: Timestamp
    history: Path | None = None

    @property
    def id(self) -> str:
        """The bundle's or the history's name, and when."""
        name = self.history.name if self.history else self.case.answer.id
        return f"{name} quiet {self.page:.0f}"

    def located(self) -> LocalizationResult:
        """What the graph's own nodes say of it; the onset is found, as nobody can hand it over."""
        answer = self.case.answer.model_copy(update={"alert_ts": self.page})
        if self.history is None:
            return _located(RecordedBundle(self.case.folder, clock_at=self.now), answer)
        with tempfile.TemporaryDirectory(prefix="evals-") as folder:
            bundle = _as_bundle(self.history, self.case.folder, Path(folder))
            return _located(RecordedBundle(bundle, clock_at=self.now), answer)

    def gathered(self) -> GatheredCase:
        """The same as a case in which no component is right."""
        found = self.located()
        evidence = tuple(one for one in found.evidence if one.kind != "note")
        graph, system = found.telemetry.topology, self.case.answer.system
        return GatheredCase(system, self.id, evidence, graph, found.onset, (), frozenset())


def _located(bundle: RecordedBundle, answer: TruthRecord) -> LocalizationResult:
    return locate_bundle(bundle, answer, mode="detected")


def _as_bundle(history: Path, like: Path, folder: Path) -> Path:
    """A history as a bundle of its own, with the services and the graph of one of its bundles."""
    described = json.loads((like / "incident.json").read_text(encoding="utf-8"))
    start, end = _span(history)
    described |= {"window": [start, end], "history": None, "reference_excluded": []}
    for path in (*history.iterdir(), like / "topology.json"):
        if path.is_file():
            shutil.copy(path, folder)
    (folder / "incident.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def _span(history: Path) -> tuple[Timestamp, Timestamp]:
    """The first and the last moment of a history's metrics; twice zero where it has none."""
    path = history / "metrics.csv.gz"
    if not path.is_file():
        return 0.0, 0.0
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        times = [line.partition(",")[0] for line in lines][1:]
    return (float(times[0]), float(times[-1])) if times else (0.0, 0.0)


def quiet_stretches(data: Path) -> tuple[QuietStretch, ...]:
    """All quiet stretches of a bundle set; none where its recordings are too short."""
    cases = read(data)
    before = (one for case in cases if (one := _before_fault(case)) is not None)
    return (*before, *_of_histories(data, cases))


def _before_fault(case: BundleCase) -> QuietStretch | None:
    """The last stretch before the fault that is free of earlier incidents; None: there is none.

    The page has five minutes of calm before it (`LITTLE_S`). The last sample before the fault is
    left out: it may hold what came after its stamp.
    """
    if case.answer.inject_ts is None:
        return None
    bundle = RecordedBundle(case.folder)
    earlier = sorted(bundle.description.reference_excluded)
    fault = case.answer.inject_ts - bundle.sampling_s
    edges = [(bundle.window.start, bundle.window.start), *earlier, (fault, fault)]
    for (_, start), (end, _) in reversed([*pairwise(edges)]):
        end = min(end, fault)
        after = min(AFTER_S, end - start - LITTLE_S)
        alerted = any(one.starts_at < end for one in bundle.alerts(bundle.window))
        if after >= LEAST_AFTER_S and not alerted:
            return QuietStretch(case, end - after, end)
    return None


def _of_histories(data: Path, cases: Sequence[BundleCase]) -> Iterator[QuietStretch]:
    using = {RecordedBundle(case.folder).description.history: case for case in reversed(cases)}
    for name, case in sorted((name, case) for name, case in using.items() if name):
        history, after = data / "history" / name, AFTER_S
        start, end = _span(history)
        after = max(after, 2.0 * RecordedBundle(case.folder).sampling_s)  # two samples at least
        first, last = start + LITTLE_S + after, end - after
        if first < last:
            for page in np.linspace(first, last, OF_A_HISTORY).tolist():
                yield QuietStretch(case, page, page + after, history)


def gathered_quiet(data: Path, progress: Progress) -> Iterator[GatheredCase]:
    """Every quiet stretch of a bundle set, gathered before or now."""
    found = quiet_stretches(data)
    task = progress.add_task("gathering quiet stretches", total=len(found))
    for one in found:
        where = one.history or one.case.folder
        yield kept(f"{where.resolve().as_posix()} quiet {one.page}", partial(one.gathered))
        progress.advance(task)
