"""The evidence of recorded incidents, gathered once and kept, so that ranking it again takes seconds.

It is kept below `CACHE`, by the code that gathers it and the place of the incident: a change of that
code gathers anew, a change of the ranking does not.
"""

import hashlib
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rich.progress import Progress

from copilot.sources.recorded import RecordedBundle
from copilot.wiring import recorded_sources
from evals.localization.cases import RECORDINGS, BundleCase, read
from evals.localization.look import locate_bundle
from evals.localization.score import accepted
from evals.logs import causes
from evals.reasoning.investigate import Page, investigate
from tools.types import Evidence, Ranking, Timestamp, Topology

TOOLS = Path(__file__).parents[2] / "tools"
CACHE = Path(tempfile.gettempdir()) / "incident-copilot-gathered"
GATHERS = (
    "types",
    "detector",
    "log_retriever",
    "cluster_inspector",
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

    def place(self, ranking: Ranking) -> list[tuple[str, float]]:
        """Names and scores as they are held against the answer; a host that is accused counts."""
        return [(one.peer or one.component, one.score) for one in ranking.candidates]


def gathered(folders: Sequence[Path], progress: Progress) -> Iterator[GatheredCase]:
    """Every case of the bundle sets `folders`, of the shipped recordings and of the log-only ones."""
    sets = [(folder, read(folder)) for folder in (*folders, RECORDINGS)]
    logs = causes.incidents()
    task = progress.add_task("gathering", total=sum(len(s) for _, s in sets) + len(logs))
    for _, cases in sets:
        for case in cases:
            yield _kept(case.folder.resolve().as_posix(), lambda case=case: of_bundle(case))
            progress.advance(task)
    for incident, answer in logs:
        text = f"{incident.model_dump_json()} {answer}"
        yield _kept(text, lambda told=(incident, answer): of_lines(*told))
        progress.advance(task)


def of_bundle(case: BundleCase) -> GatheredCase:
    """Gather by the graph's own nodes; the onset is found where commits are judged by it."""
    bundle, answer = RecordedBundle(case.folder), case.answer
    judged = (case.folder / "commits.json").is_file()
    found = locate_bundle(bundle, answer, mode="detected" if judged else "oracle")
    kinds = accepted(answer.fault_type, released=bool(found.telemetry.changes))
    return GatheredCase(
        answer.system,
        answer.id,
        tuple(one for one in found.evidence if one.kind != "note"),
        bundle.topology(),
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
        topology = bundle.topology()
    evidence = tuple(one for one in ran.incident.evidence if one.kind != "note")
    return GatheredCase(
        "causes",
        incident.id,
        evidence,
        topology,
        ran.onset.at,
        answer.components,
        frozenset(answer.kinds),
    )


def _kept(place: str, gather: Callable[[], GatheredCase]) -> GatheredCase:
    file = CACHE / f"{hashlib.sha256(f'{_code()} {place}'.encode()).hexdigest()[:24]}.pickle"
    if file.is_file():
        found: GatheredCase = pickle.loads(file.read_bytes())  # noqa: S301  (our own file)
        return found
    found = gather()
    CACHE.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(found))
    return found


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the source that gathers."""
    digest = hashlib.sha256()
    for part in GATHERS:
        place = TOOLS / part
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
