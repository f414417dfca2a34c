"""What the pages show of the store: chosen here, set by the templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import JsonValue

from copilot.case.briefing import (
    EvidenceLine,
    brief_evidence,
    evidence_line,
)
from copilot.case.reporting import TimelineLine, timeline
from copilot.store import ApprovalRequest, StoredAlert
from copilot.surfaces.console.answer import AnswerRow, Audience, answer_rows, status_update
from copilot.surfaces.console.chart import TimeMark
from copilot.types.conversation import Turn
from copilot.types.incident import (
    CLOSED,
    ClockLine,
    Event,
    Incident,
    PlanTerms,
    certainty_of,
    clock_lines,
    percent,
)
from prompts import Language, word
from tools.playbook_executor.parameters import text as filled_text
from tools.topology_walker import is_forecast
from tools.types import Candidate, Parameter, Playbook, Severity, Timestamp, Window

DRAWN = 4
"""Series in a chart: the symptom's and those the first suspect rests on."""

AROUND_S, DRAWN_S = 600.0, 10_800.0
"""Seconds before the onset that are drawn, and at most after it."""

SUSPECTS = 6
"""Candidates that are shown; whoever is less likely distracts."""

CLOSE_S = 120.0
"""Seconds drawn at least after the onset, and after the end."""

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
class PlanValue:
    """A value of a plan, what is declared of it, and what it is called."""

    parameter: Parameter
    value: JsonValue
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A plan as a person decides on it, where its approval stands, and what it was filled from."""

    request: ApprovalRequest
    terms: PlanTerms
    playbook: Playbook | None = None

    @property
    def values(self) -> Sequence[PlanValue]:
        """What a person may change; that of the component itself stays."""
        given, book = self.request.plan.parameters, self.playbook
        return [
            PlanValue(
                one,
                given[one.name],
                filled_text(one.title.en, given),
                filled_text(one.title.zh, given),
            )
            for one in (book.parameters if book else ())
            if one.source != "component" and one.name in given
        ]


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
    updates: tuple[tuple[Audience, str], ...]


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """A question and its answer; `found` names the incident whose page shows an item of evidence,
    by the item's number.
    """

    turn: Turn
    evidence: tuple[EvidenceLine, ...]
    found: Mapping[str, str]


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
        timeline=timeline(events, incident.clocks.onset, language),
        alerts=alerts,
        updates=tuple((one, status_update(incident, language, one)) for one in get_args(Audience)),
    )


def deciding_series(incident: Incident, page: IncidentPage) -> tuple[str, ...]:
    """Names of the series that decide: what users feel, then what speaks for the first suspect."""
    known = {one.id: one for one in incident.evidence if one.kind in ("metric", "edge")}
    first = incident.ranking.candidates[:1]
    cited = [one.id for one in page.cited]
    cited += [number for one in first for term in one.terms for number in term.evidence]
    # The query of such an item is its series' own name; the item may be named after what it means.
    names = (known[one].query for one in cited if one in known)
    return tuple(dict.fromkeys(names))[:DRAWN]


def drawn_window(incident: Incident, onset: Timestamp, now: Timestamp) -> Window:
    """What a chart shows of an incident: until now, or a little after its end."""
    end = incident.updated_at + CLOSE_S if incident.status in CLOSED else now
    return Window(start=onset - AROUND_S, end=min(max(end, onset + CLOSE_S), onset + DRAWN_S))


def time_marks(incident: Incident, page: IncidentPage, onset: Timestamp) -> list[TimeMark]:
    """Onset, alerts, changes and steps as moments of one axis."""
    changes = [one.onset for one in incident.evidence if one.kind == "change"]
    return [
        TimeMark("onset", onset),
        *(TimeMark("alert", one.alert.starts_at) for one in page.alerts),
        *(TimeMark("change", at) for at in changes if at is not None),
        *(TimeMark("step", one.started_at) for one in incident.results),
    ]


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
