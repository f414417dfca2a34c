"""The evidence of recorded incidents, gathered once, so that ranking it anew takes seconds.

It is kept below `CACHE`, by the code that gathers and the place of the incident: a change of that
code gathers anew, a change of the ranking does not.
"""

import hashlib
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from rich.progress import Progress

from copilot.sources.recorded import RecordedBundle
from copilot.wiring import recorded_sources
from evals.localization.cases import (
    RECORDINGS,
    BundleCase,
    CaseSetError,
    Perturbation,
    perturb,
    read,
)
from evals.localization.look import locate_bundle
from evals.localization.score import AnswerRank, accepted, place
from evals.logs import causes
from evals.reasoning.investigate import Page, investigate
from tools.types import Evidence, Ranking, Telemetry, Timestamp, Topology

TOOLS = Path(__file__).parents[2] / "tools"
CACHE = Path(tempfile.gettempdir()) / "incident-copilot-gathered"
GATHERS = (
    "types",
    "detector",
    "log_retriever",
    "cluster_inspector",
    "normal.py",
    "topology_walker/observe",
    "topology_walker/signals.py",
)
"""What of `tools` the evidence depends on."""


@dataclass(frozen=True, slots=True)
class GatheredCase:
    """What was gathered of one incident, and what is right: components, and kinds of fault.

    No component is right where there is no cause to name; no kind where an observer cannot name it.
    """

    system: str
    id: str
    evidence: tuple[Evidence, ...]
    topology: Topology
    onset: Timestamp
    components: tuple[str, ...]
    kinds: frozenset[str]

    def place(self, ranking: Ranking) -> AnswerRank:
        """Where the right component stands; a host that is accused stands for its caller."""
        named = ((one.peer, one.component, one.score) for one in ranking.candidates)
        scored = [(p if p in self.components else name, score) for p, name, score in named]
        return place(scored, *self.components)

    def kind_right(self, ranking: Ranking) -> bool | None:
        """Whether the kind is right where the component is; None where that says nothing."""
        first = next(iter(ranking.candidates), None)
        if (
            first is None
            or not self.kinds
            or not {first.component, first.peer} & {*self.components}
        ):
            return None
        return first.fault_kind in self.kinds


def bundle_sets(data: Path) -> list[Path]:
    """The bundle sets of a folder: itself, or those that lie in it; there must be one."""
    found = [
        one for one in (data, *sorted(data.iterdir())) if (one / "truth/truth.jsonl").is_file()
    ]
    if not found:
        raise CaseSetError(f"{str(data)!r} and its folders hold no truth/truth.jsonl")
    return found


def gathered(folders: Sequence[Path], progress: Progress) -> Iterator[GatheredCase]:
    """Every case of the bundle sets, of the recordings that ship, and of the log-only incidents."""
    for folder in (*folders, RECORDINGS):
        yield from gathered_bundles(read(folder), progress)
    yield from gathered_logs(progress)


def gathered_logs(progress: Progress) -> Iterator[GatheredCase]:
    """The incidents that only logs tell of."""
    logs = [told for told in causes.incidents() if told[1].components]
    task = progress.add_task("gathering log-only incidents", total=len(logs))
    for incident, answer in logs:
        yield kept(incident.model_dump_json(), partial(of_lines, incident, answer))
        progress.advance(task)


WORSE: tuple[Perturbation, ...] = (
    "no_metrics",
    "no_logs",
    "no_traces",
    "no_changes",
    "no_alerts",
    "no_topology",
)
"""What is taken away in the worse copy of an incident; which, is drawn by its id."""


def worse_way(name: str) -> Perturbation:
    """Which telemetry is taken away in the worse copy of this incident."""
    return WORSE[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(WORSE)]


def gathered_bundles(
    cases: Sequence[BundleCase], progress: Progress, *, worse: bool = False
) -> Iterator[GatheredCase]:
    """Every one of these bundles, gathered before or now; `worse`: less some of its telemetry."""
    task = progress.add_task("gathering", total=len(cases))
    for case in cases:
        way: Perturbation = worse_way(case.answer.id) if worse else "none"
        place = f"{case.folder.resolve().as_posix()} {way}".removesuffix(" none")
        yield kept(place, partial(of_bundle, case, way))
        progress.advance(task)


def of_bundle(case: BundleCase, way: Perturbation = "none") -> GatheredCase:
    """Gather by the graph's own nodes; where commits are judged, the onset is found, too."""
    bundle, answer = RecordedBundle(case.folder), case.answer
    judged = (case.folder / "commits.json").is_file()
    at = answer.alert_ts or answer.inject_ts or bundle.window.start

    def worse(seen: Telemetry) -> Telemetry:
        return perturb(seen, way, at, seed=0)

    found = locate_bundle(bundle, answer, mode="detected" if judged else "oracle", perturb=worse)
    kinds = accepted(answer.fault_type, released=bool(found.telemetry.changes))
    return GatheredCase(
        answer.system,
        f"{answer.id} {way}".removesuffix(" none"),
        tuple(one for one in found.evidence if one.kind != "note"),
        found.telemetry.topology,
        found.onset,
        answer.right,
        kinds | set(answer.also_right_kinds) if kinds else kinds,
    )


def of_lines(incident: causes.LogOnlyIncident, answer: causes.CauseAnswer) -> GatheredCase:
    """Run an incident that only logs tell of through the graph, and keep its evidence."""
    with tempfile.TemporaryDirectory(prefix="evals-") as folder:
        bundle = causes.recorded(incident, Path(folder) / "incident")
        alerts = bundle.alerts(bundle.window)
        page = Page(alerts[0], tuple(alerts))
        ran = investigate(recorded_sources(bundle), bundle, page, onsets="detected")
        return GatheredCase(
            "causes",
            incident.id,
            tuple(one for one in ran.incident.evidence if one.kind != "note"),
            bundle.topology(),
            ran.onset.at,
            answer.components,
            frozenset(answer.kinds),
        )


def kept(place: str, gather: Callable[[], GatheredCase]) -> GatheredCase:
    """What was gathered at this place by this code, gathered now where it was not."""
    file = CACHE / f"{hashlib.sha256(f'{_code()} {place}'.encode()).hexdigest()[:24]}.pickle"
    if file.is_file():
        found: GatheredCase = pickle.loads(file.read_bytes())
        return found
    found = gather()
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(found))
    return found


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the source that gathers."""
    digest = hashlib.sha256()
    for part in GATHERS:
        source = TOOLS / part
        for path in [source] if source.is_file() else sorted(source.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
