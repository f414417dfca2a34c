"""What the knowledge base remembers of such an incident; it works without a model as well."""

from collections.abc import Sequence

from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.knowledge import Cause, RecallHit
from copilot.model.table import by_use
from copilot.types.incident import RecalledDocument
from tools.log_retriever import sanitize
from tools.playbook_executor import PlaybookSubject

ITEMS = 12
"""Items of evidence that make up the question; more of them only blur it."""

LIMIT = 4


def recollect(deps: Deps, state: IncidentState) -> tuple[RecallHit, ...]:
    """Documents for these symptoms and this cause; none where no memory is wired."""
    if deps.memory is None:
        return ()
    return deps.memory.recall(symptoms_of(state), cause_of(deps, state), LIMIT)


def symptoms_of(state: IncidentState) -> str:
    """What was seen, in the words of the alerts, metrics and log templates."""
    measured = [one for one in state["evidence"] if one.kind != "note"]
    items = by_use(measured, state["ranking"])[:ITEMS]
    return " ".join([state["group"].title, *(f"{one.name} {one.statement}" for one in items)])


def cause_of(deps: Deps, state: IncidentState) -> Cause:
    """What the instruments located; without a kind where they abstain."""
    ranking = state["ranking"]
    if not ranking.candidates:
        return Cause(fault_kind=None)
    first = ranking.candidates[0]
    subject = PlaybookSubject.of(first.component, deps.sources.facts(state["onset"].at))
    kind = None if ranking.abstained else first.fault_kind
    return Cause(fault_kind=kind, component=subject.service, component_kind=subject.kind)


def remembered(recalled: Sequence[RecallHit]) -> tuple[RecalledDocument, ...]:
    """What every surface shows of it; a fix only from a document that somebody vouches for."""
    return tuple(
        RecalledDocument(
            document=one.hit.document.id,
            kind=one.hit.document.kind,
            title=one.hit.document.title,
            trust=one.hit.trust,
            agreement=one.agreement,
            source=sanitize(one.hit.document.origin.url, 200) if one.hit.document.origin else "",
            date=str(one.hit.document.origin.date) if one.hit.document.origin else "",
            playbooks=one.playbooks if one.hit.trust != "unreviewed" else (),
        )
        for one in recalled
    )
