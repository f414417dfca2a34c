"""knowledge, playbooks, plan: what is written down, what could be done, what waits for a person."""

import re
from collections.abc import Sequence

from pydantic import Field

from copilot.case.briefing import plain
from copilot.case.guards import Objection, PlanCase, objection_to_proposing
from copilot.knowledge import Cause, DocumentHit
from copilot.store import ApprovalRequest
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult, capped, noted
from copilot.surfaces.chat.tools.tool import MOST_ROWS, Tool, ToolArguments
from copilot.types.incident import Incident
from knowledge_base import Document, Section
from prompts import Language, word
from tools.log_retriever import sanitize
from tools.playbook_executor import PlaybookSubject
from tools.types import FaultKind, Finding, Plan, Playbook

_HAN = re.compile(r"[\u4e00-\u9fff]")

PASSAGE = 420
"""Characters of a section where several documents answer."""

ACTION = 600
"""Characters of one action; a command that is cut cannot be run."""

TO_ACT_ON = ("Safe actions", "Do not")
"""The headings of a runbook below which it says what to do and what not."""


class KnowledgeArguments(ToolArguments):
    """What to look for in runbooks and postmortems."""

    question: str = Field(
        default="", max_length=500, description="In any words; empty: by the located cause."
    )
    fix: bool = Field(
        default=False, description="What to do against the first, not what fits the words best."
    )
    titles: bool = Field(default=False, description="Which documents these are, and no more.")


class FaultArguments(ToolArguments):
    """For which kind of fault."""

    fault: FaultKind | None = Field(default=None, description="Empty: the whole catalogue.")


def knowledge(given: KnowledgeArguments, scope: ToolContext) -> ToolResult:
    """Documents that answer, with their source and how far each is to be trusted."""
    if scope.knowledge is None:
        return ToolResult(missing=("knowledge base: not at hand",))
    base = scope.knowledge()
    hits = base.search(given.question, 3) if given.question else _recalled(scope)
    if not given.question:
        hits = _for_the_kind(hits, scope)
    if not hits:
        asked = plain(given.question, 120) or "the located cause"
        return ToolResult(missing=(f"knowledge base: nothing answers “{asked}”",))
    if given.fix and _actions(hits[0].document):
        return _remedy(hits, scope)
    if given.titles:
        same = Statement("Documents that share words with it:", "含有其中词语的文档:")
        return ToolResult(lead=(same,), rows=tuple(_titled(hit, scope) for hit in hits))
    return ToolResult(rows=tuple(_document(hit, scope) for hit in hits))


def playbooks(given: FaultArguments, scope: ToolContext) -> ToolResult:
    """The catalogue: id, risk, title; nothing is chosen by listing it."""
    fitting = [
        one
        for one in scope.playbooks
        if given.fault is None or any(given.fault in case.faults for case in one.applies)
    ]
    if not fitting:
        return ToolResult(missing=("playbooks: none is for this kind of fault",))
    rows, more = capped([_playbook(one, scope) for one in fitting], MOST_ROWS)
    return ToolResult(rows=rows, more=more)


def plan(_: ToolArguments, scope: ToolContext) -> ToolResult:
    """The plan that waits, or what the catalogue would choose now; approving is done elsewhere."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    laid = _laid(scope, incident)
    if laid is not None and laid.status in ("approved", "consumed"):
        return ToolResult(lead=(_was_run(laid.plan, incident.status),))
    return plan_or_why_none(scope, incident)


def _laid(scope: ToolContext, incident: Incident) -> ApprovalRequest | None:
    """The incident's plan, and what people have said to it so far."""
    return scope.store.approvals.get(incident.plan.id) if incident.plan is not None else None


def plan_or_why_none(scope: ToolContext, incident: Incident) -> ToolResult:
    """Return the plan that stands, or what the catalogue would propose, or why it proposes none."""
    laid = _laid(scope, incident)
    if laid is not None and laid.status in ("pending", "approved", "consumed"):
        waits = laid.status == "pending"
        return ToolResult(plan=laid.plan, waits=waits, lead=(_waiting(laid.plan),))
    return _proposed(scope, incident)


def _for_the_kind(hits: Sequence[DocumentHit], scope: ToolContext) -> tuple[DocumentHit, ...]:
    """Those about the located kind of fault before the others."""
    first = scope.incident.ranking.candidates[:1] if scope.incident is not None else ()
    kind = first[0].fault_kind if first else None
    return tuple(sorted(hits, key=lambda hit: kind not in hit.document.fault_kinds))


def _recalled(scope: ToolContext) -> tuple[DocumentHit, ...]:
    incident = scope.incident
    if incident is None or scope.knowledge is None or not incident.ranking.candidates:
        return ()
    first = incident.ranking.candidates[0]
    facts = scope.sources.facts(scope.onset or scope.now)
    about = Cause(
        fault_kind=None if incident.ranking.abstained else first.fault_kind,
        component=first.component,
        component_kind=PlaybookSubject.of(first.component, facts).kind,
    )
    symptoms = " ".join(item.statement for item in incident.evidence[:6])
    return tuple(one.hit for one in scope.knowledge().recall(symptoms, about, 3))


def _actions(document: Document) -> list[str]:
    """What to do and what not, a line each; none of a document that nobody vouches for."""
    if document.trust == "unreviewed":
        return []
    sections = [one for one in document.sections if one.heading in TO_ACT_ON]
    return [line for section in sections for line in _points(section)]


def _points(section: Section) -> list[str]:
    points = f"\n{section.text}".split("\n- ")[1:]
    return [" ".join(point.split()) for point in points]


def _remedy(hits: Sequence[DocumentHit], scope: ToolContext) -> ToolResult:
    """What the first document says is to be done, line by line, and which others are near."""
    first, *others = [(hit.document, _fact(hit, scope)) for hit in hits]
    document, fact = first
    lead = Statement(f"{_named(document, 'en')}.", f"{_named(document, 'zh')}。", (fact,))
    actions = map(_with_commands, _actions(document))
    rows = [Statement(action, action, (fact,)) for action in actions]
    rows += [
        Statement(f"Near: {_named(one, 'en')}.", f"相近:{_named(one, 'zh')}。", (its,))
        for one, its in others
    ]
    return ToolResult(lead=(lead,), rows=tuple(rows))


def _with_commands(text: str) -> str:
    """A line of a document as it can be shown: words as text, commands as they are written."""
    shown = sanitize(text, ACTION).split("`")
    if len(shown) % 2 == 0:
        return plain(text, ACTION)
    return "`".join(
        part if place % 2 or not part.strip() else _inert(part) for place, part in enumerate(shown)
    )


def _inert(part: str) -> str:
    """Text between two commands, with the blanks around it."""
    before, after = " " * part.startswith(" "), " " * part.endswith(" ")
    return f"{before}{plain(part, ACTION)}{after}"


def _named(document: Document, language: Language) -> str:
    """Title, kind, trust and day of a document, and the command that shows it whole."""
    kind, trust = word("document", document.kind, language), word("trust", document.trust, language)
    day = [document.origin.date.isoformat()] if document.origin else []
    show = f"`copilot kb show {document.id}`"
    if language == "zh":
        return f"{document.title.zh}({','.join([kind, trust, *day])};{show})"
    return f"{document.title.en} ({', '.join([kind, trust, *day])}; {show})"


def _fact(hit: DocumentHit, scope: ToolContext) -> Finding:
    document = hit.document
    origin = f", {document.origin.date.isoformat()}" if document.origin else ""
    return noted(
        document.id,
        document.kind,
        f"{document.kind} {document.id} ({document.trust}{origin}): {document.title.en}",
        scope.now,
        source="knowledge base",
        query=f"{document.kind}={document.id}",
        excerpt=hit.section.text,
    )


def _titled(hit: DocumentHit, scope: ToolContext) -> Statement:
    document = hit.document
    return Statement(_named(document, "en"), _named(document, "zh"), (_fact(hit, scope),))


def _document(hit: DocumentHit, scope: ToolContext) -> Statement:
    document, section = hit.document, hit.section
    passage = f"{plain(section.heading, 80)}: {plain(' '.join(section.text.split()), PASSAGE)}"
    books = ", ".join(document.playbooks)
    offers = f" Playbooks: {books}." if books else ""
    offers_zh = f" 预案:{books}。" if books else ""
    return Statement(
        f"{_named(document, 'en')}. {passage}{offers}",
        f"{_named(document, 'zh')}。{passage if _HAN.search(passage) else ''}{offers_zh}",
        (_fact(hit, scope),),
    )


def _playbook(one: Playbook, scope: ToolContext) -> Statement:
    return Statement(
        f"{one.id}, risk {one.risk}: {one.title.en}",
        f"{one.id},风险 {one.risk}:{one.title.zh}",
        (_catalogued(one, scope),),
    )


def _catalogued(one: Playbook, scope: ToolContext) -> Finding:
    return noted(
        one.id,
        "playbook",
        f"playbook {one.id}, risk {one.risk}: {one.title.en}",
        scope.now,
        source="playbooks",
        query=f"playbook={one.id}",
    )


def _waiting(proposed: Plan) -> Statement:
    fact = noted(
        proposed.component,
        "plan",
        f"plan {proposed.id} waits for approval: {proposed.title}",
        proposed.created_at,
        source="store",
        query=f"plan={proposed.id}",
    )
    return Statement(
        f"A plan waits for a person: {proposed.title}.",
        f"有方案等待批准:{proposed.title_zh or proposed.title}。",
        (fact,),
    )


def _was_run(made: Plan, status: str) -> Statement:
    fact = noted(
        made.component,
        "plan",
        f"plan {made.id} was approved: {made.title}; now {status}",
        made.created_at,
        source="store",
        query=f"plan={made.id}",
    )
    en, zh = word("status", status, "en"), word("status", status, "zh")
    left, left_zh = (
        (
            " Left to do: see that it stays so, then `copilot postmortem`.",
            "接下来:确认保持稳定,再执行 `copilot postmortem` 起草复盘。",
        )
        if status == "recovered"
        else ("", "")
    )
    return Statement(
        f"The plan “{made.title}” was approved; the incident is now {en}.{left}",
        f"方案“{made.title_zh or made.title}”已获批准;事件现状:{zh}。{left_zh}",
        (fact,),
    )


def _proposed(scope: ToolContext, incident: Incident) -> ToolResult:
    """What the graph would lay before a person now, by the same guards; nothing is asked for."""
    runs = scope.store.runs.of(incident.id)
    case = PlanCase(
        scope.deps,
        incident.id,
        runs[-1].id if runs else "",
        incident.ranking,
        incident.evidence,
        scope.onset or scope.now,
    )
    no = objection_to_proposing(case)
    if no is not None:
        return ToolResult(lead=(_objected(no, incident, scope),))
    playbook = next(one for one in scope.playbooks if one.id == case.choice.playbook_id)
    component, made = case.choice.component, case.plan
    lead = Statement(
        f"The catalogue offers {playbook.id} on {component}: {made.title}.",
        f"预案库建议对 {component} 执行 {playbook.id}:{made.title_zh or made.title}。",
        (_catalogued(playbook, scope),),
    )
    return ToolResult(lead=(lead,), plan=made, services=(component,))


def _objected(no: Objection, incident: Incident, scope: ToolContext) -> Statement:
    check = no.check if no.check != no.reason else None
    fact = noted(
        incident.id,
        "no plan",
        f"no plan is proposed: {no.reason.en}",
        scope.now,
        source="playbooks",
        query="choose",
    )
    en, zh = (check.en, check.zh) if check is not None else ("", "")
    return Statement(
        f"No plan is proposed: {plain(no.reason.en, 200)}. {en}".strip(),
        f"没有可提出的方案:{plain(no.reason.zh, 200)}。{zh}".strip(),
        (fact,),
    )


TOOLS = (
    Tool("knowledge", "Search runbooks and postmortems.", KnowledgeArguments, knowledge),
    Tool(
        "playbooks", "The playbooks of the catalogue, by kind of fault.", FaultArguments, playbooks
    ),
    Tool(
        "plan",
        "The plan that waits for a person, or what the catalogue would choose. Runs nothing.",
        ToolArguments,
        plan,
    ),
)
