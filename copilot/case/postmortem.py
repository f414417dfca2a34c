"""A closed incident as a postmortem draft: what the journal and the evidence say, for a person.

The draft has the front matter of the knowledge base, so that what a person accepts is recalled at
the next incident like it. Only what recovered it is named as its remedy.
"""

from collections.abc import Sequence

import yaml

from copilot.case.briefing import EvidenceLine, brief_evidence, evidence_line
from copilot.case.confirming import answer_of
from copilot.case.reporting import result_in, timeline
from copilot.knowledge import Library
from copilot.store import Store
from copilot.types.errors import OperatorError
from copilot.types.incident import CLOSED, Event, Incident
from copilot.types.time_format import date_of
from knowledge_base import Document, DocumentError, read_text
from prompts import Language, load, translation, word
from tools.log_retriever import redact
from tools.types import Evidence, StepResult, Timestamp

TITLE, SYMPTOMS = 160, 300
"""Longest title and symptom line, in characters; the knowledge base takes no more."""

SEEN = 4
"""Items of evidence in the symptom line: what a person would search by."""


class NotClosedError(OperatorError):
    """An incident that goes on has no postmortem yet."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(
            f"incident {incident.id!r} is {incident.status}; a postmortem is drafted once it is "
            "recovered or resolved"
        )


def document_id(incident: Incident) -> str:
    """The id its postmortem has in the knowledge base."""
    return f"postmortem-{incident.id.lower().replace('_', '-')}"


def draft(incident: Incident, events: Sequence[Event], language: Language = "en") -> str:
    """The draft as Markdown with front matter; secrets are taken out of every line."""
    if incident.status not in CLOSED:
        raise NotClosedError(incident)
    front = yaml.safe_dump(
        _front(incident), allow_unicode=True, sort_keys=False, width=1000, default_flow_style=None
    )
    return f"---\n{front}---\n\n{_body(incident, events, language)}"


def _front(incident: Incident) -> dict[str, object]:
    component, kind = _cause(incident)
    began = incident.clocks.onset or incident.opened_at
    return {
        "id": document_id(incident),
        "kind": "postmortem",
        "title": {lang: _title(component, kind, lang) for lang in ("en", "zh")},
        "symptoms": {lang: _symptoms(incident, lang) for lang in ("en", "zh")},
        "fault_kinds": [kind] if kind else [],
        "components": [],
        "services": [component] if component else list(incident.services[:6]),
        "playbooks": [incident.plan.playbook_id] if incident.plan and cured(incident) else [],
        "origin": {"url": f"incident:{incident.id}", "date": date_of(began)},
    }


def accept(
    store: Store, library: Library, incident: Incident, text: str, who: str, now: Timestamp
) -> Document:
    """Take a draft, edited or not, into the knowledge base, and write down who did.

    Raises `DocumentError` for a text that is no postmortem of this incident.
    """
    name = document_id(incident)
    document = read_text(text, f"{name}.md")
    # A draft that is edited must stand in for no other document, shipped runbooks above all.
    if (document.id, document.kind) != (name, "postmortem"):
        raise DocumentError(f"{name}.md", f"keep the lines `id: {name}` and `kind: postmortem`")
    library.take(text, f"{name}.md", replace=True)
    detail = {"reason": f"postmortem {name} accepted into the knowledge base"}
    store.journal.append(incident.id, "accepted", who, {**detail}, now)
    return document


def cured(incident: Incident) -> bool:
    """Return whether the plan really ran and verification measured a recovery."""
    return incident.outcome == "recovered" and any(map(_took_effect, incident.results))


def _took_effect(result: StepResult) -> bool:
    return result.ok and not result.dry_run


def _cause(incident: Incident) -> tuple[str, str]:
    """Component and kind: what a person says it was, else as located; empty where undecided."""
    if incident.cause is not None:
        return incident.cause.component, incident.cause.fault_kind
    return answer_of(incident)


def _title(component: str, kind: str, language: Language) -> str:
    where = component or {"en": "cause not located", "zh": "原因未定位"}[language]
    return _clean(f"{where}: {word('fault_kind', kind or 'unknown', language)}")[:TITLE]


def _symptoms(incident: Incident, language: Language) -> str:
    """The alert's title, then what was measured; the most telling first, as many as fit."""
    said = _clean(translation(incident.title, language))[:TITLE]
    for item in _evidence(incident, language)[:SEEN]:
        longer = f"{said}; {_clean(item.statement)}"
        if len(longer) > SYMPTOMS:
            break
        said = longer
    return said


def _evidence(incident: Incident, language: Language) -> list[EvidenceLine]:
    cited: Sequence[Evidence] = brief_evidence(list(incident.evidence), incident.ranking)
    return [evidence_line(one, language) for one in cited]


def _body(incident: Incident, events: Sequence[Event], language: Language) -> str:
    component, kind = _cause(incident)
    located = [one for one in incident.ranking.candidates if component]
    terms = next((one.terms for one in located if one.component == component), ())
    cites = dict.fromkeys(e for term in terms for e in term.evidence)
    text = load("postmortem", language).render(
        incident=incident.id,
        title=_clean(translation(incident.title, language)),
        lines=timeline(
            [one for one in events if one.kind != "accepted"], incident.clocks.onset, language
        ),
        component=component,
        kind=word("fault_kind", kind or "unknown", language),
        cites="".join(f"[{one}]" for one in list(cites)[:8]),
        plan=incident.plan,
        results=[result_in(one, language) for one in incident.results],
        cured=cured(incident),
        evidence=_evidence(incident, language),
    )
    return "\n".join(redact(line) for line in text.splitlines()) + "\n"


def _clean(text: str) -> str:
    return redact(" ".join(text.split()))
