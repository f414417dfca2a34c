"""The report of an incident: its timeline from the journal, and a postmortem draft."""

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.case.briefing import (
    brief_evidence,
    commit_lines,
    evidence_line,
    in_language,
    plain,
)
from copilot.case.reasoning.narrative import Narrative
from copilot.case.state import IncidentState
from copilot.types.incident import Event, Incident, certainty_of, clock_lines
from copilot.types.time_format import clock_time, date_time, duration
from prompts import Language, load, translation, word
from tools.log_retriever import sanitize
from tools.types import StepResult, Timestamp


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One event as a reader sees it, `name` its kind in words; `after` counts from the onset."""

    at: str
    after: str
    kind: str
    name: str
    by: str
    reason: str
    moment: Timestamp


TOLD = 6
"""Items of evidence that the rules tell a story with."""


def render(
    incident: Incident,
    events: Sequence[Event],
    state: IncidentState,
    language: Language,
    narrative: Narrative | None = None,
) -> str:
    """Render the report in one language as Markdown; every claim cites its evidence."""
    onset = incident.clocks.onset
    first = incident.hypotheses[0] if incident.hypotheses else None
    return load("report", language).render(
        id=incident.id,
        title=translation(incident.title, language),
        status=word("status", incident.status, language),
        severity=word("severity", incident.severity, language),
        services=", ".join(incident.services),
        started=date_time(onset) if onset is not None else "–",
        lasted=duration(incident.clocks.recovered - onset)
        if onset is not None
        and incident.clocks.recovered is not None
        and incident.clocks.measurable
        else "",
        clocks=clock_lines(incident.clocks),
        measured_from=word("measured_from", incident.clocks.measured_from, language),
        story=_by_rule(state, language),
        told=_story(narrative) if narrative else [],
        told_by=plain(narrative.by, 60) if narrative else "",
        cause=first,
        kind=word("fault_kind", (first and first.fault_kind) or "unknown", language),
        certainty=incident.ranking.certainty,
        sure=word("certainty", certainty_of(incident, incident.ranking), language),
        why=in_language(incident.ranking.why, language),
        look=in_language(incident.ranking.look, language),
        cites="".join(f"[{one}]" for one in first.evidence[:8]) if first else "",
        commit=commit_lines(incident.commit, language, everything=True),
        plan=incident.plan,
        results=[result_in(one, language) for one in incident.results],
        outcome=word("outcome", incident.outcome or "unknown", language),
        timeline=timeline(events, onset, language),
        evidence=[
            evidence_line(one, language)
            for one in brief_evidence(state["evidence"], incident.ranking)
        ],
    )


def _story(told: Narrative) -> list[str]:
    return [
        f"{plain(one.text, 400)} {''.join(f'[{number}]' for number in one.cites)}"
        for one in told.sentences
    ]


def _by_rule(state: IncidentState, language: Language) -> list[str]:
    """What the leading candidate rests on, in the order in which it began."""
    cited = {
        number
        for candidate in state["ranking"].candidates[:1]
        for term in candidate.terms
        for number in term.evidence
    }
    began = [one for one in state["evidence"] if one.id in cited and one.onset is not None]
    began.sort(key=lambda one: (one.onset, int(one.id[1:])))
    return [
        f"{clock_time(one.onset)}: {evidence_line(one, language).statement} [{one.id}]"
        for one in began[:TOLD]
        if one.onset is not None
    ]


def timeline(
    events: Sequence[Event], onset: float | None, language: Language
) -> list[TimelineLine]:
    """The journal's rows in order; a node that ran again after a crash shows its last run."""
    last: dict[tuple[str, str], Event] = {}
    for event in events:
        last[(event.kind, reason_of(event, "en"))] = event
    return [
        TimelineLine(
            at=clock_time(event.at),
            after=duration(event.at - onset) if onset is not None else "",
            kind=event.kind,
            name=word("event", event.kind, language),
            by=event.by,
            reason=sanitize(reason_of(event, language), 240),
            moment=event.at,
        )
        for event in sorted(last.values(), key=lambda one: one.seq)
    ]


def reason_of(event: Event, language: Language) -> str:
    """What the journal says of it: what people wrote as they did, what we wrote in `language`."""
    chinese = event.detail.get("reason_zh") if language == "zh" else None
    return str(chinese or translation(str(event.detail.get("reason", "")), language))


def result_in(result: StepResult, language: Language) -> StepResult:
    """A result in the reader's language."""
    said = {"output": translation(result.output, language)}
    return result.model_copy(update=said | {"error": translation(result.error, language)})
