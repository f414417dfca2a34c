"""What is thought of an incident: documents that recall it, and a model's hypotheses that cite.

What a model may change: docs/decisions/reasoning.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from copilot.case.reasoning.case import DiagnosisQuestion, case_of
from copilot.case.reasoning.consult import consult
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.knowledge import Cause, RecallHit
from copilot.model import ReplyCheck
from copilot.model.claims import PROBLEM_CHARS, ClaimScope, problems_of, style
from copilot.model.entailment import named
from copilot.model.fence import Fence
from copilot.model.replies import FAULT_KINDS, WANTED, DiagnosisReply, HypothesisReply
from copilot.model.table import by_use
from copilot.types.incident import (
    FollowUp,
    Hypothesis,
    Opinion,
    RecalledDocument,
)
from tools.log_retriever import sanitize
from tools.playbook_executor import PlaybookSubject
from tools.topology_walker.calibration import MEASURED, MODALITY
from tools.types import Certainty, FaultKind, Ranking

_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Advice:
    """The opinion, and the new looks it asks for; `repeated` were asked for before."""

    opinion: Opinion
    wanted: tuple[FollowUp, ...] = ()
    repeated: int = 0


def advise(deps: Deps, state: IncidentState, recalled: Sequence[RecallHit]) -> Advice | None:
    """Ask the model for hypotheses and further looks; no hypotheses where its reply does not hold.

    None where there is no model, or never was a server of one. Whatever it says changes no ranking
    and no plan.
    """
    if deps.model is None:
        return None
    gathered = state["gathered"]
    left = max(0, deps.limits.follow_ups - gathered.follow_ups)
    fence = Fence(deps.nonce())
    case = case_of(deps.model, state, recalled, deps.language, fence, left)
    if case is None:
        return Advice(Opinion(model=deps.model.name, failed="too small a window"))
    asked = consult(
        deps,
        deps.model,
        state["incident_id"],
        case.request,
        DiagnosisReply,
        lambda reply: _checked(reply, case, deps, left),
        case.prompts,
    )
    if asked.fault == "absent":
        return None
    if asked.value is None:
        failed = "did not hold" if asked.calls and asked.calls[-1].done else "no reply"
        failed = "too late" if asked.fault == "timeout" else failed
        limit = deps.limits.model_s
        return Advice(Opinion(model=deps.model.name, failed=failed, limit_s=limit))
    return _advice(asked.value, deps.model.name, state)


def _advice(reply: DiagnosisReply, name: str, state: IncidentState) -> Advice:
    hypotheses = tuple(map(_hypothesis, reply.hypotheses))
    asked = dict.fromkeys(
        FollowUp(kind=one.kind, component=one.component) for one in reply.follow_ups
    )
    known = set(state["gathered"].answered)
    new = tuple(one for one in asked if one not in known)
    repeated = len(reply.follow_ups) - len(new)
    first = hypotheses[0]
    cited = [one for one in state["evidence"] if one.id in first.evidence]
    opinion = Opinion(
        model=name,
        hypotheses=hypotheses,
        agrees=first.component == _located(state["ranking"]),
        measured=any(MODALITY.get(one.kind) in MEASURED for one in cited),
    )
    return Advice(opinion, new, repeated)


def _located(ranking: Ranking) -> str:
    return ranking.candidates[0].component if ranking.candidates else ""


def _hypothesis(reply: HypothesisReply) -> Hypothesis:
    return Hypothesis(
        component=reply.component,
        fault_kind=next((kind for kind in _KINDS if kind == reply.fault_kind), None),
        statement=reply.because.strip(),
        evidence=tuple(dict.fromkeys(reply.supports)),
        contradicts=tuple(dict.fromkeys(reply.contradicts)),
        falsified_by=_worded(reply.falsified_by),
        missing=_worded(reply.missing),
        by="llm",
    )


def _worded(text: str) -> str:
    """The text, or nothing where it is only ids of evidence or a placeholder."""
    said = text.strip()
    return said if len(re.findall(r"[A-Za-z]{2,}|[\u3400-\u9fff]", said)) > 1 else ""


def _checked(
    reply: DiagnosisReply, case: DiagnosisQuestion, deps: Deps, left: int
) -> ReplyCheck[DiagnosisReply]:
    """Keep the hypotheses that hold, one per component, and the looks that are possible."""
    known = ClaimScope(
        case.shown,
        frozenset(case.components),
        deps.language,
        said=tuple(one.content for one in case.request.messages if one.role == "system"),
    )
    kept: dict[str, HypothesisReply] = {}
    found = []
    for place, one in enumerate(reply.hypotheses, start=1):
        flaws = _flaws(one, known)
        if one.component in kept:
            flaws = ["one hypothesis per component"]
        found += [f"hypothesis {place}: {said}" for said in flaws]
        if not flaws:
            kept[one.component] = one
    looks = reply.follow_ups[: WANTED if left else 0]
    if len(looks) < len(reply.follow_ups):
        found.append("no further looks are possible; leave follow_ups empty")
    possible = tuple(
        one for one in looks if one.kind == "wider_window" or one.component in known.components
    )
    found += [
        f"follow-up: there is no component {one.component!r}"
        for one in looks
        if one not in possible
    ]
    held = {"hypotheses": tuple(kept.values()), "follow_ups": possible}
    return ReplyCheck(
        reply.model_copy(update=held) if kept else None,
        tuple(said[:PROBLEM_CHARS] for said in found),
    )


def _flaws(one: HypothesisReply, known: ClaimScope) -> list[str]:
    found = []
    if one.component not in known.components:
        found.append(f"there is no component {one.component!r}")
    if one.fault_kind not in FAULT_KINDS:
        found.append(f"there is no fault kind {one.fault_kind!r}")
    both = set(one.supports) & set(one.contradicts)
    if both:
        found.append(f"{', '.join(sorted(both))} cannot speak for and against it")
    if not named(one.because, frozenset({one.component})):
        found.append(f"because names {one.component!r}, the component it is about")
    found += problems_of(one.because, (*one.supports, *one.contradicts), known)
    name = frozenset({one.component})
    about = [item for item in known.evidence if item.id in one.supports and item.kind != "note"]
    if one.component in known.components and not any(named(item.subject, name) for item in about):
        found.append(f"no item it cites in supports, notes apart, is about {one.component}")
    for text in (_worded(one.falsified_by), _worded(one.missing)):
        found += style(text, known)
    return found


def agreed(ranking: Ranking, opinion: Opinion | None) -> Certainty:
    """Return the certainty of the leading candidate, given what the model holds.

    A model that holds another component for the cause, and cites something measured there, is one
    that contradicts: then nothing is proven. Its agreement is no measurement, and lifts nothing.
    """
    dissents = opinion is not None and opinion.hypotheses and not opinion.agrees
    if ranking.certainty == "proven" and dissents and opinion is not None and opinion.measured:
        return "likely"
    return ranking.certainty


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
            elsewhere=one.elsewhere,
        )
        for one in recalled
    )
