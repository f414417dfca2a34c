"""What the pages show of the store: chosen here, set by the templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from copilot.case.briefing import (
    EvidenceLine,
    brief_evidence,
    evidence_line,
)
from copilot.case.reporting import TimelineLine, timeline
from copilot.store import ApprovalRequest, StoredAlert
from copilot.surfaces.console.answer import AnswerRow, answer_rows
from copilot.types.incident import (
    ClockLine,
    Event,
    Incident,
    PlanTerms,
    certainty_of,
    clock_lines,
    percent,
)
from prompts import Language, word
from tools.topology_walker import is_forecast
from tools.types import Candidate, Severity, Timestamp

SUSPECTS = 6
"""Candidates that are shown; whoever is less likely distracts."""

SHOWN_FIRST = ("what", "who", "since", "cause", "before", "commit", "next", "unknown", "model")
"""Rows of the answer, what decides first; clocks and documents have places of their own."""

_URGENCY: Mapping[str, int] = {name: place for place, name in enumerate(get_args(Severity))}


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """A component that may be the cause: what speaks for it, and what the first has and it lacks.

    `terms` are (name, weight, evidence); `lacks` is empty for the first.
    """

    component: str
    kind: str
    percent: str
    terms: tuple[tuple[str, float, tuple[str, ...]], ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident in the list of those that are open, or that ended."""

    incident: Incident
    cause: str
    kind: str
    chance: str
    certainty: str
    impact: AnswerRow | None
    clocks: Sequence[ClockLine]


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A plan as a person decides on it, and where its approval stands."""

    request: ApprovalRequest
    terms: PlanTerms


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Everything one incident's page shows."""

    row: IncidentRow
    answer: tuple[AnswerRow, ...]
    cited: tuple[EvidenceLine, ...]
    evidence: tuple[EvidenceLine, ...]
    weaker: tuple[EvidenceLine, ...]
    suspects: tuple[SuspectRow, ...]
    card: PlanCard | None
    timeline: Sequence[TimelineLine]
    alerts: Sequence[StoredAlert]


def incident_row(incident: Incident, language: Language) -> IncidentRow:
    """The incident in one row, its cause in words."""
    ranking = incident.ranking
    first = ranking.candidates[0] if ranking.candidates else None
    rows = answer_rows(incident.brief.get(language, ""), language)
    return IncidentRow(
        incident=incident,
        cause=first.component if first else "",
        kind=word("fault_kind", (first and first.fault_kind) or "unknown", language),
        chance=percent(ranking, first.probability) if first and not ranking.abstained else "",
        certainty=certainty_of(incident, ranking),
        impact=next((one for one in rows if one.key == "who"), None),
        clocks=clock_lines(incident.clocks),
    )


def by_urgency(incidents: Sequence[Incident]) -> list[Incident]:
    """The most severe first; of one severity the newest."""
    return sorted(
        incidents,
        key=lambda one: (_URGENCY.get(one.severity, len(_URGENCY)), -one.opened_at),
    )


def foretold(incident: Incident) -> bool:
    """Whether all that alerts is a forecast: nothing is broken yet."""
    alerts = [one for one in incident.evidence if one.kind == "alert"]
    return bool(alerts) and all(is_forecast(one.name) for one in alerts)


def quiet_since(ended: Sequence[Incident]) -> Timestamp | None:
    """When the last incident ended; None where there never was one."""
    return max((one.updated_at for one in ended), default=None)


def incident_page(
    incident: Incident,
    events: Sequence[Event],
    card: PlanCard | None,
    alerts: Sequence[StoredAlert],
    language: Language,
) -> IncidentPage:
    """The incident as its page shows it."""
    rows = answer_rows(incident.brief.get(language, ""), language)
    rows = tuple(one for one in rows if one.key in SHOWN_FIRST or not one.key)
    wanted = {number for row in rows for number in row.cites}
    strong = {one.id for one in brief_evidence([*incident.evidence], incident.ranking)} | wanted
    shown = tuple(evidence_line(one, language) for one in incident.evidence)
    return IncidentPage(
        row=incident_row(incident, language),
        answer=tuple(sorted(rows, key=lambda one: (*SHOWN_FIRST, "").index(one.key))),
        cited=tuple(one for one in shown if one.id in wanted),
        evidence=tuple(one for one in shown if one.id in strong),
        weaker=tuple(one for one in shown if one.id not in strong),
        suspects=_suspects(incident, language),
        card=card,
        timeline=timeline(events, incident.clocks.onset),
        alerts=alerts,
    )


def _suspects(incident: Incident, language: Language) -> tuple[SuspectRow, ...]:
    candidates = [one for one in incident.ranking.candidates if one.terms][:SUSPECTS]
    if not candidates:
        return ()
    first = candidates[0]
    return tuple(_suspect(one, first, incident, language) for one in candidates)


def _suspect(
    one: Candidate, first: Candidate, incident: Incident, language: Language
) -> SuspectRow:
    own = {term.name for term in one.terms}
    return SuspectRow(
        component=one.component,
        kind=word("fault_kind", one.fault_kind or "unknown", language),
        percent=percent(incident.ranking, one.probability),
        terms=tuple(
            (word("term", term.name, language), term.weight, term.evidence[:5])
            for term in one.terms
        ),
        lacks=tuple(
            word("term", term.name, language) for term in first.terms if term.name not in own
        ),
    )
