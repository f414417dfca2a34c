"""knowledge: what runbooks and postmortems say, whole enough to act on, and where to read on."""

from collections.abc import Sequence

from pydantic import Field

from copilot.case.briefing import plain
from copilot.knowledge import Cause, DocumentHit
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted
from copilot.surfaces.chat.tools.tool import Tool, ToolArguments
from knowledge_base import Document, Section
from prompts import Language, word
from tools.log_retriever import sanitize
from tools.playbook_executor import PlaybookSubject
from tools.types import Finding

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


def knowledge(given: KnowledgeArguments, scope: ToolContext) -> ToolResult:
    """Documents that answer, with their source and how far each is to be trusted."""
    if scope.knowledge is None:
        return ToolResult(missing=("knowledge base: not at hand",))
    base = scope.knowledge()
    hits = base.search(given.question, 3) if given.question else _recalled(scope)
    if not hits:
        asked = plain(given.question, 120) or "the located cause"
        return ToolResult(missing=(f"knowledge base: nothing answers “{asked}”",))
    if given.fix and _actions(hits[0].document):
        return _remedy(hits, scope)
    return ToolResult(rows=tuple(_document(hit, scope) for hit in hits))


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


def _document(hit: DocumentHit, scope: ToolContext) -> Statement:
    document, section = hit.document, hit.section
    passage = f"{plain(section.heading, 80)}: {plain(' '.join(section.text.split()), PASSAGE)}"
    books = ", ".join(document.playbooks)
    offers = f" Playbooks: {books}." if books else ""
    offers_zh = f" 预案:{books}。" if books else ""
    return Statement(
        f"{_named(document, 'en')}. {passage}{offers}",
        f"{_named(document, 'zh')}。{passage}{offers_zh}",
        (_fact(hit, scope),),
    )


TOOLS = (Tool("knowledge", "Search runbooks and postmortems.", KnowledgeArguments, knowledge),)
