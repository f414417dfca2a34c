"""Locate the cause in one bundle with the verbs the graph's nodes use, and time each stage."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from copilot.adapters.recorded import RecordedBundle
from copilot.sources import Sources
from evals.localization.cases import Answer
from tools.detector import onset
from tools.evidence import number
from tools.log_retriever import novelty
from tools.topology_walker import observe, rank
from tools.types import Alert, Evidence, Ranking, Telemetry, Timestamp, Window

LOOKBACK_S = 3600.0
EVIDENCE = 400

Perturb = Callable[[Telemetry], Telemetry]


@dataclass(frozen=True, slots=True)
class Located:
    """What the instruments said of one bundle, and how long they took."""

    evidence: tuple[Evidence, ...]
    ranking: Ranking
    onset: Timestamp
    paged_at: Timestamp
    seconds: float
    telemetry: Telemetry


def page_of(bundle: RecordedBundle, answer: Answer) -> Alert:
    """The recorded page, or one made of the handed-over onset where nothing was recorded."""
    recorded = bundle.alerts(bundle.window)
    if recorded:
        return min(recorded, key=lambda alert: alert.starts_at)
    at = answer.alert_ts or answer.inject_ts or bundle.window.start
    return Alert(
        fingerprint=f"page-{bundle.id}",
        name="paged",
        service=bundle.entry,
        starts_at=at,
        source="evals",
    )


def locate_bundle(
    bundle: RecordedBundle,
    answer: Answer,
    arm: Literal["rules", "ml"] = "rules",
    mode: Literal["oracle", "detected"] = "oracle",
    perturb: Perturb | None = None,
) -> Located:
    """Look at the bundle as the graph would at its end, and rank.

    `oracle` hands the time of the page over; `detected` searches for the onset in the metrics.
    The answer is used for nothing but that handed-over time.
    """
    started = time.perf_counter()
    page = page_of(bundle, answer)
    sources = Sources(metrics=bundle, logs=bundle, traces=bundle, graph=bundle, changes=bundle)
    window = Window(start=page.starts_at - LOOKBACK_S, end=max(bundle.now(), page.starts_at))
    pages = tuple(bundle.alerts(window)) or (page,)

    def look(normal_before: Timestamp) -> Telemetry:
        seen = replace(sources.look(window, normal_before).telemetry, alerts=pages)
        return seen if perturb is None else perturb(seen)

    seen, began = look(page.starts_at), page.starts_at
    if mode == "detected":
        began = onset(seen.series, seen.baseline, page.starts_at).at
        seen = look(began)
    findings = [*observe(seen, began), *novelty(seen.logs, seen.baseline_logs, began)]
    evidence = number(findings)[:EVIDENCE]
    ranking = rank(evidence, seen.topology, began, arm)
    seconds = time.perf_counter() - started
    return Located(evidence, ranking, began, page.starts_at, seconds, seen)
