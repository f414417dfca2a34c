"""An incident with made-up evidence, and a desk to reason about it at."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langgraph.runtime import Runtime

from copilot.case.nodes.brief import brief
from copilot.case.nodes.diagnose import diagnose, wants_more
from copilot.case.nodes.gather import gather
from copilot.case.state import GatherProgress, IncidentState
from copilot.deps import Deps, Limits
from copilot.hands import DryRunRunner
from copilot.knowledge import Memory
from copilot.ports import Model
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.types.incident import Incident
from knowledge_base import documents
from tools.detector import Onset
from tools.types import AlertGroup, Candidate, Evidence, Ranking, Term, Timestamp, Window

ONSET = 1_774_268_400.0  # 2026-03-23 12:20:00 UTC
WINDOW = Window(start=ONSET - 3600, end=ONSET + 300)


class StandingClock:
    """Time stands still."""

    def now(self) -> Timestamp:
        return ONSET + 300

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def item(number: int, subject: str, statement: str, **more: object) -> Evidence:
    fields: dict[str, object] = {
        "id": f"E{number}",
        "kind": "metric",
        "subject": subject,
        "name": f"latency_{number}",
        "source": "metrics",
        "query": f"{subject}|latency_{number}",
        "window": WINDOW,
        "onset": ONSET + 15,
        "strength": 100.0 / number,
        "statement": statement,
    }
    return Evidence.model_validate(fields | more)


EVIDENCE = (
    item(1, "cart", "cart latency rose to 1.9 s, normally 0.1 s.", value=1.9, baseline=0.1),
    item(2, "cart", "cart pool rose to 100%, normally 33%.", value=100.0, baseline=33.0),
    item(3, "web", "web errors rose to 12%, normally 0.1%.", value=12.0, baseline=0.1),
    item(4, "web->cart", "web->cart latency rose to 2.1 s.", kind="edge", value=2.1),
    item(5, "cart", 'cart logged "no connection" 12 times.', kind="log", excerpt="no connection"),
)
CART = Candidate(
    component="cart",
    score=2.0,
    fault_kind="pool_exhaustion",
    probability=0.6,
    terms=(Term(name="own latency", weight=1.0, evidence=("E1", "E2")),),
)
WEB = Candidate(
    component="web",
    score=0.5,
    fault_kind="errors",
    probability=0.3,
    terms=(Term(name="own errors", weight=0.5, evidence=("E3",)),),
)
RANKING = Ranking(certainty="likely", candidates=(CART, WEB), reason="cart: 2.00")


def state(evidence: Sequence[Evidence] = EVIDENCE, ranking: Ranking = RANKING) -> IncidentState:
    return IncidentState(
        incident_id="i",
        run_id="i.1",
        group=AlertGroup(
            id="i",
            title="HighErrorRate on web",
            fingerprints=("f",),
            services=("web",),
            first_service="web",
            started_at=ONSET,
            severity="high",
        ),
        onset=Onset(at=ONSET, confidence=0.9, reason="3 series left their band"),
        evidence=list(evidence),
        gathered=GatherProgress(rounds=2, lookback_s=3600),
        ranking=ranking,
    )


@contextmanager
def desk(
    folder: Path, model: Model | None, *, remember: bool = False, **limits: float
) -> Iterator[Deps]:
    """What the nodes work with: no source is configured, time stands still."""
    store = Store(f"sqlite:///{folder / 'store.sqlite'}")
    store.create()
    clock = StandingClock()
    store.incidents.open(Incident(id="i", title="t", opened_at=ONSET, updated_at=ONSET))
    deps = Deps(store, Sources(), clock, DryRunRunner(clock), playbooks=(), model=model)
    memory = Memory(documents) if remember else None
    bounds = replace(Limits(), **limits)  # type: ignore[arg-type]
    try:
        yield replace(deps, limits=bounds, memory=memory, nonce=lambda: "f00d")
    finally:
        store.close()


def diagnosed(deps: Deps, given: IncidentState | None = None) -> tuple[IncidentState, Incident]:
    """The incident after as many rounds as the route allows; the ranking is made up and stays."""
    current, runtime = given or state(), Runtime(context=deps)
    deps.store.incidents.update("i", ONSET, evidence=tuple(current["evidence"]))
    brief(current, runtime)
    current["diagnosis"] = diagnose(current, runtime)["diagnosis"]
    while wants_more(current, deps.limits):
        collected = gather(current, runtime)
        current["evidence"], current["gathered"] = collected["evidence"], collected["gathered"]
        brief(current, runtime)
        current["diagnosis"] = diagnose(current, runtime)["diagnosis"]
    return current, deps.store.incidents.require("i")
