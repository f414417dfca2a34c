"""The report of an incident: its timeline from the journal, and a postmortem draft."""

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.briefing import clock_lines, evidence_line, shown
from copilot.incident import Event, Incident
from copilot.moments import clock_time, date_time, duration
from copilot.state import IncidentState
from prompts import Language, load, word
from tools.log_retriever import sanitize


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One event as a reader sees it; `after` counts from the onset."""

    at: str
    after: str
    kind: str
    by: str
    reason: str


def render(
    incident: Incident, events: Sequence[Event], state: IncidentState, language: Language
) -> str:
    """The report in one language, as Markdown; every cause cites its evidence."""
    onset = incident.clocks.onset
    first = incident.hypotheses[0] if incident.hypotheses else None
    return load("report", language).render(
        id=incident.id,
        title=incident.title,
        status=word("status", incident.status, language),
        severity=incident.severity,
        services=", ".join(incident.services),
        started=date_time(onset) if onset is not None else "–",
        lasted=duration(incident.clocks.recovered - onset)
        if onset is not None and incident.clocks.recovered is not None
        else "",
        clocks=clock_lines(incident.clocks),
        cause=first,
        kind=word("fault_kind", (first and first.fault_kind) or "unknown", language),
        confidence=word("confidence", first.confidence if first else "low", language),
        cites="".join(f"[{one}]" for one in first.evidence[:8]) if first else "",
        abstained=incident.ranking.abstained,
        plan=incident.plan,
        results=incident.results,
        verdict=word("verdict", incident.verdict or "unknown", language),
        timeline=timeline(events, onset),
        evidence=[
            evidence_line(one, language) for one in shown(state["evidence"], incident.ranking)
        ],
    )


def timeline(events: Sequence[Event], onset: float | None) -> list[TimelineLine]:
    """The journal's rows in order; a node that ran again after a crash shows its last run."""
    last: dict[tuple[str, str], Event] = {}
    for event in events:
        last[(event.kind, _reason(event))] = event
    return [
        TimelineLine(
            at=clock_time(event.at),
            after=duration(event.at - onset) if onset is not None else "",
            kind=event.kind,
            by=event.by,
            reason=sanitize(_reason(event), 240),
        )
        for event in sorted(last.values(), key=lambda one: one.seq)
    ]


def _reason(event: Event) -> str:
    return str(event.detail.get("reason", ""))
