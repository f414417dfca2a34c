"""One recorded incident through the whole graph, from the page to the report, with nobody there."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from langgraph.runtime import Runtime
from pydantic import JsonValue

from copilot.case.graph import NODES, RECURSION_LIMIT, NodeFunction, build
from copilot.case.nodes.approve import ApproveUpdate
from copilot.case.nodes.brief import brief
from copilot.case.nodes.triage import TriageUpdate, triage
from copilot.case.reasoning.consult import ASKED
from copilot.case.state import IncidentState
from copilot.deps import Deps, Limits
from copilot.hands import DryRunRunner
from copilot.knowledge import Memory
from copilot.ports import Clock, Model
from copilot.sources.deployment import Sources
from copilot.sources.recorded import RecordedBundle
from copilot.store import Store
from copilot.types.incident import Incident
from copilot.types.model_io import ModelEvent, ModelRequest, Piece, ReplyEnd
from evals.localization.cases import TruthRecord
from evals.localization.look import LOOKBACK_S, page_of
from knowledge_base import playbooks
from prompts import Language
from tools.detector import Onset
from tools.types import Alert, Approval, Window

Onsets = Literal["oracle", "detected"]
ProposedPlan = tuple[str, str, dict[str, JsonValue]]
"""What is laid before a person: playbook, component, parameters."""


@dataclass(slots=True)
class ListeningModel:
    """A model whose replies are kept as they came, before anything was checked."""

    model: Model
    name: str = field(init=False)
    context_tokens: int = field(init=False)
    replies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.model.name
        self.context_tokens = self.model.context_tokens

    def tokens(self, text: str) -> int:
        """The model's own estimate."""
        return self.model.tokens(text)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The model's events."""
        pieces: list[str] = []
        for event in self.model.stream(request):
            if isinstance(event, Piece):
                pieces.append(event.text)
            elif isinstance(event, ReplyEnd):
                self.replies.append("".join(pieces))
            yield event


@dataclass(frozen=True, slots=True)
class Investigation:
    """How an incident ended, and what it took."""

    incident: Incident
    onset: Onset
    brief_s: float
    seconds: float
    repeated: int
    asked: tuple[dict[str, JsonValue], ...]
    replies: tuple[str, ...]
    plan: ProposedPlan | None

    @property
    def located(self) -> tuple[str, bool]:
        """The component in front, and whether the evidence decides."""
        first = self.incident.ranking.candidates[:1]
        return (first[0].component if first else "", not self.incident.ranking.abstained)


@dataclass(frozen=True, slots=True)
class Page:
    """What arrives: the alert that pages, and all that fire with it."""

    first: Alert
    alerts: tuple[Alert, ...]

    @classmethod
    def of(cls, bundle: RecordedBundle, answer: TruthRecord) -> "Page":
        """The page of a recorded incident; the answer gives its time where no alert is recorded."""
        first = page_of(bundle, answer)
        end = max(bundle.now(), first.starts_at)
        window = Window(start=first.starts_at - LOOKBACK_S, end=end)
        return cls(first, tuple(bundle.alerts(window)) or (first,))


def investigate(
    sources: Sources,
    clock: Clock,
    page: Page,
    *,
    model: Model | None = None,
    memory: Memory | None = None,
    onsets: Onsets = "oracle",
    language: Language = "en",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Investigation:
    """Run the graph itself; a plan is laid before nobody, which is no, and ends it."""
    listened = ListeningModel(model) if model is not None else None
    with _desk(sources, clock, listened, memory, language, limits) as deps:
        opened = _opened(deps, page)
        marks: dict[str, float] = {}
        proposed: list[ProposedPlan] = []
        nodes = {
            **NODES,
            "triage": _triage(page, onsets, marks),
            "brief": _brief(marks),
            "approve": _nobody(proposed),
        }
        began = time.perf_counter()
        ended = build(nodes=nodes).invoke(
            opened, {"recursion_limit": RECURSION_LIMIT}, context=deps
        )
        seconds = time.perf_counter() - began
        incident = deps.store.incidents.require(opened["incident_id"])
        rows = deps.store.journal.events(incident.id, limit=10_000)
    return Investigation(
        incident=incident,
        onset=ended["onset"],
        brief_s=marks["brief"] - marks["paged"],
        seconds=seconds,
        repeated=ended["diagnosis"].repeated,
        asked=tuple(row.detail for row in rows if row.kind == ASKED),
        replies=tuple(listened.replies) if listened else (),
        plan=proposed[0] if proposed else None,
    )


def _triage(page: Page, onsets: Onsets, marks: dict[str, float]) -> NodeFunction:
    """Triage as it is, but for the onset where that is handed over; the clock starts after it."""

    def node(state: IncidentState, runtime: Runtime[Deps]) -> TriageUpdate:
        began = time.perf_counter()
        found = triage(state, runtime)
        if onsets == "oracle":
            at = page.first.starts_at
            found["onset"] = Onset(at=at, confidence=0.99, reason="handed over")
        marks["paged"] = began if onsets == "detected" else time.perf_counter()
        return found

    return node


def _brief(marks: dict[str, float]) -> NodeFunction:
    """The brief, and when it was out first."""

    def node(state: IncidentState, runtime: Runtime[Deps]) -> None:
        brief(state, runtime)
        marks.setdefault("brief", time.perf_counter())

    return node


def _nobody(proposed: list[ProposedPlan]) -> NodeFunction:
    """A plan is seen, written down, and answered by nobody."""

    def node(state: IncidentState, runtime: Runtime[Deps]) -> ApproveUpdate:
        plan, deps = state["plan"], runtime.context
        assert plan is not None
        proposed.append((plan.playbook_id, plan.component, dict(plan.parameters)))
        now = deps.clock.now()
        answer = Approval(
            plan_id=plan.id,
            digest=plan.digest,
            decision="reject",
            approver="nobody",
            reason="nobody is there",
            decided_at=now,
        )
        deps.store.approvals.decide(answer, now)
        return {"approvals": [answer]}

    return node


@contextmanager
def _desk(
    sources: Sources,
    clock: Clock,
    model: Model | None,
    memory: Memory | None,
    language: Language,
    limits: Limits,
) -> Iterator[Deps]:
    with tempfile.TemporaryDirectory(prefix="evals-") as folder:
        store = Store(f"sqlite:///{Path(folder) / 'store.sqlite'}")
        store.create()
        try:
            yield Deps(
                store,
                sources,
                clock,
                DryRunRunner(clock),
                playbooks=playbooks(),
                limits=limits,
                arm="llm" if model is not None else "rules",
                model=model,
                memory=memory,
                language=language,
            )
        finally:
            store.close()


def _opened(deps: Deps, page: Page) -> IncidentState:
    """The incident as the intake leaves it."""
    now, incident_id = page.first.starts_at, "case"
    deps.store.incidents.open(
        Incident(id=incident_id, title=page.first.name, opened_at=now, updated_at=now)
    )
    stored = deps.store.alerts.accept(page.alerts, now)
    keys = [row.key for row in (*stored.new, *stored.resolved)]
    deps.store.alerts.assign(keys, incident_id, "one recorded incident", "attached", now)
    return IncidentState(incident_id=incident_id, run_id="case.1")
