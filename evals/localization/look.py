"""Locate the cause in one bundle by the graph's own nodes, and time it up to the brief."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Literal

from langgraph.runtime import Runtime

from copilot.case.nodes.brief import brief
from copilot.case.nodes.gather import gather
from copilot.case.nodes.locate import locate
from copilot.case.nodes.triage import triage
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources, TelemetrySnapshot
from copilot.sources.recorded import RecordedBundle
from copilot.store import Store
from copilot.types.incident import CommitAnswer, Incident
from copilot.wiring import recorded_sources
from evals.localization.cases import TruthRecord
from tools.detector import Onset
from tools.types import Alert, Evidence, Ranking, Subject, Telemetry, Timestamp, Topology, Window

LOOKBACK_S = 3600.0
HANDED_OVER = "evals"

Perturber = Callable[[Telemetry], Telemetry]


@dataclass(frozen=True, slots=True)
class LocalizationResult:
    """What the instruments said of one bundle, and how long they took."""

    evidence: tuple[Evidence, ...]
    ranking: Ranking
    onset: Timestamp
    paged_at: Timestamp
    seconds: float
    telemetry: Telemetry
    stages: dict[str, float]
    brief: dict[str, str]
    commit: CommitAnswer | None
    page_recorded: bool
    """The page was recorded with the incident, not made of the handed-over onset."""


def page_of(bundle: RecordedBundle, answer: TruthRecord) -> Alert:
    """The recorded page, or one made of the handed-over onset where nothing was recorded."""
    recorded = bundle.alerts(bundle.window)
    if recorded:
        return min(recorded, key=lambda alert: alert.starts_at)
    return handed_over(bundle, answer.alert_ts or answer.inject_ts or bundle.window.start)


def handed_over(bundle: RecordedBundle, at: Timestamp) -> Alert:
    """A page of the front door that says nothing but when."""
    return Alert(
        fingerprint=f"page-{bundle.id}",
        name="paged",
        service=bundle.entry,
        starts_at=at,
        source=HANDED_OVER,
    )


@dataclass(frozen=True, slots=True)
class _Seen(Sources):
    """A bundle as the sources of the nodes, made worse where a perturbation is asked for."""

    worse: Perturber = lambda seen: seen

    def look(
        self, window: Window, normal_before: Timestamp, first: Sequence[Subject] | None = None
    ) -> TelemetrySnapshot:
        look = Sources.look(self, window, normal_before, first)
        return replace(look, telemetry=self.worse(look.telemetry))

    def topology(self) -> Topology:
        moment = Window(start=0.0, end=0.0)
        return self.worse(Telemetry(window=moment, topology=Sources.topology(self))).topology


def locate_bundle(
    bundle: RecordedBundle,
    answer: TruthRecord,
    arm: Literal["rules", "ml"] = "rules",
    mode: Literal["oracle", "detected"] = "oracle",
    perturb: Perturber | None = None,
) -> LocalizationResult:
    """Run the graph's own nodes over the bundle, from the page to the published brief.

    `oracle` hands the time of the page over; `detected` lets `triage` search for the onset.
    The answer is used for nothing but that handed-over time.
    """
    page = page_of(bundle, answer)
    window = Window(start=page.starts_at - LOOKBACK_S, end=max(bundle.now(), page.starts_at))
    recorded = bundle.alerts(window)
    worse = perturb or (lambda seen: seen)
    left = worse(Telemetry(window=window, alerts=tuple(recorded))).alerts
    pages = left or (handed_over(bundle, page.starts_at),)
    whole = recorded_sources(bundle)
    given = {field.name: getattr(whole, field.name) for field in fields(Sources)}
    sources = _Seen(**given, worse=worse)
    with _desk(sources, bundle, arm) as deps:
        state = _opened(deps, page, pages)
        runtime = Runtime(context=deps)
        marks = [("", time.perf_counter())]
        if mode == "detected":
            state["onset"] = triage(state, runtime)["onset"]
            marks.append(("triage", time.perf_counter()))
        collected = gather(state, runtime)
        state["evidence"], state["gathered"] = collected["evidence"], collected["gathered"]
        marks.append(("gather", time.perf_counter()))
        state["ranking"] = locate(state, runtime)["ranking"]
        marks.append(("locate", time.perf_counter()))
        brief(state, runtime)
        marks.append(("brief", time.perf_counter()))
        published = deps.store.incidents.require(state["incident_id"])
    began = state["onset"].at
    seen = replace(sources.look(window, began).telemetry, alerts=pages)
    return LocalizationResult(
        evidence=tuple(state["evidence"]),
        ranking=state["ranking"],
        onset=began,
        paged_at=page.starts_at,
        seconds=marks[-1][1] - marks[0][1],
        telemetry=seen,
        stages={name: at - before for (_, before), (name, at) in pairwise(marks)},
        brief=published.brief,
        commit=published.commit,
        page_recorded=page.source != HANDED_OVER,
    )


@contextmanager
def _desk(sources: Sources, bundle: RecordedBundle, arm: Literal["rules", "ml"]) -> Iterator[Deps]:
    """What the nodes work with: a throw-away store, the bundle's clock, a runner never asked."""
    with TemporaryDirectory(prefix="evals-") as folder:
        store = Store(f"sqlite:///{folder}/store.sqlite")
        store.create()
        try:
            yield Deps(store, sources, bundle, DryRunRunner(bundle), playbooks=(), arm=arm)
        finally:
            store.close()


def _opened(deps: Deps, page: Alert, pages: Sequence[Alert]) -> IncidentState:
    """The incident as the intake leaves it, its onset handed over."""
    now, incident_id = page.starts_at, "case"
    deps.store.incidents.open(
        Incident(id=incident_id, title=page.name, opened_at=now, updated_at=now)
    )
    stored = deps.store.alerts.accept(pages, now)
    keys = [row.key for row in (*stored.new, *stored.resolved)]
    deps.store.alerts.assign(keys, incident_id, "one recorded incident", "attached", now)
    onset = Onset(at=now, confidence=0.99, reason="handed over")
    return IncidentState(incident_id=incident_id, run_id="case.1", onset=onset)
