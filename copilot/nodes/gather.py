"""gather: ask every source for the incident, run the instruments, number what they find."""

from dataclasses import replace
from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.deps import Deps
from copilot.judging import WIDER
from copilot.state import Gathered, IncidentState
from tools.evidence import number
from tools.log_retriever import novelty
from tools.topology_walker import observe
from tools.types import Evidence, Window


class Collected(TypedDict):
    evidence: list[Evidence]
    gathered: Gathered


def gather(state: IncidentState, runtime: Runtime[Deps]) -> Collected:
    """Measure around the onset; what a source could not tell is kept for the brief."""
    deps, incident_id, onset = runtime.context, state["incident_id"], state["onset"].at
    rounds = state.get("gathered", Gathered()).rounds
    lookback = deps.limits.lookback_s * WIDER**rounds
    now = max(deps.clock.now(), onset)
    window = Window(start=onset - lookback, end=now)
    look = deps.sources.look(window, normal_before=onset)
    missing = list(look.missing)
    telemetry = replace(look.telemetry, alerts=deps.store.alerts.of(incident_id))
    findings = [
        *observe(telemetry, onset),
        *novelty(telemetry.logs, telemetry.baseline_logs, onset),
        *deps.sources.inspect(window, missing),
    ]
    evidence = list(number(findings)[: deps.limits.evidence])
    deps.note(
        incident_id,
        "gathered",
        f"{len(findings)} findings from {len(telemetry.series)} series, {len(telemetry.logs)} log "
        f"lines, {len(telemetry.spans)} spans, {len(telemetry.changes)} changes",
        kept=float(len(evidence)),
    )
    return {
        "evidence": evidence,
        "gathered": Gathered(rounds=rounds + 1, lookback_s=lookback, missing=tuple(missing)),
    }
