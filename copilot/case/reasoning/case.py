"""One incident as a question that fits the model's window; what does not fit is said, not cut."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from copilot.case.state import GatherProgress, IncidentState
from copilot.knowledge import RecallHit
from copilot.model.fence import Fence
from copilot.model.replies import FAULT_KINDS, REPLY_TOKENS, diagnosis_schema
from copilot.model.table import LEADING, EvidenceTable, fitted
from copilot.ports import Model
from copilot.types.model_io import Message, ModelRequest, QuestionKind
from copilot.types.time_format import date_time
from prompts import Language, Prompt, load, word
from tools.types import Evidence, Owner, Ranking

PROBLEMS = 800
"""Tokens of a repair beside the reply it shows: what was wrong with it."""

CANDIDATES = 8
DOCUMENT_CHARS = 400
COMPONENTS = 60


@dataclass(frozen=True, slots=True)
class DiagnosisQuestion:
    """The question, and what may be named in its answer."""

    request: ModelRequest
    shown: tuple[Evidence, ...]
    components: tuple[str, ...]
    left_out: int
    prompts: tuple[Prompt, Prompt]


def reply_tokens(model: Model, kind: QuestionKind = "diagnosis") -> int:
    """Return the most tokens of a reply: what its kind needs, at most a fifth of the window."""
    return min(REPLY_TOKENS[kind], model.context_tokens // 5)


@cache
def fault_kinds(language: Language) -> str:
    """Every kind of fault that may be named, with its meaning: no model sees the schema."""
    return ", ".join(f"{one} ({word('fault_kind', one, language)})" for one in FAULT_KINDS)


def case_of(
    model: Model,
    state: IncidentState,
    recalled: Sequence[RecallHit],
    language: Language,
    fence: Fence,
    may_ask: int,
) -> DiagnosisQuestion | None:
    """The question for `diagnose`; None where the window is too small to ask anything."""
    system, user = load("diagnose", language), load("diagnose_case", language)
    names = components_of(state["evidence"], state["ranking"])
    sections = _sections(model, state, recalled, user, fence, names, language)
    gathered = state["gathered"]
    rest = {
        "onset": date_time(state["onset"].at),
        "decided": not state["ranking"].abstained,
        "answered": ", ".join(
            f"{one.kind} {fence.line(one.component, 80)}".strip() for one in gathered.answered
        ),
        "may_ask": may_ask,
        **sections,
    }
    instructions = system.render(kinds=fault_kinds(language))
    empty = user.render(**rest, table=fence.enclose("telemetry", []), left_out=9999)
    room = (
        model.context_tokens
        - reply_tokens(model)
        - PROBLEMS
        - model.tokens(instructions)
        - model.tokens(empty)
    )
    budget = min(room, user.budget["evidence"])
    table = fitted(state["evidence"], state["ranking"], fence, model.tokens, budget)
    if not table.shown:
        return None
    text = user.render(
        **rest, table=fence.enclose("telemetry", table.rows), left_out=table.left_out
    )
    return DiagnosisQuestion(
        request=_request(model, instructions, text, table, names, may_ask > 0),
        shown=table.shown,
        components=names,
        left_out=table.left_out,
        prompts=(system, user),
    )


def _request(
    model: Model,
    instructions: str,
    text: str,
    table: EvidenceTable,
    names: Sequence[str],
    may_ask: bool,
) -> ModelRequest:
    return ModelRequest(
        messages=(
            Message(role="system", content=instructions),
            Message(role="user", content=text),
        ),
        reply_schema=diagnosis_schema(names, [one.id for one in table.shown], may_ask=may_ask),
        max_tokens=reply_tokens(model),
        kind="diagnosis",
    )


def components_of(evidence: Sequence[Evidence], ranking: Ranking) -> tuple[str, ...]:
    """The components there are: the ranked ones first, then those with evidence of their own."""
    owners = (Owner.parse(one.subject) for one in evidence)
    named = (owner.service for owner in owners if owner.service)
    ranked = (one.component for one in ranking.candidates)
    return tuple(dict.fromkeys([*ranked, *named]))[:COMPONENTS]


def _sections(
    model: Model,
    state: IncidentState,
    recalled: Sequence[RecallHit],
    user: Prompt,
    fence: Fence,
    names: Sequence[str],
    language: Language,
) -> dict[str, str]:
    """Every section but the evidence, each within its own budget."""

    def within(name: str, lines: Sequence[str]) -> list[str]:
        return cut(model, lines, user.budget[name])

    alerting = [fence.line(name, 80) for name in state["group"].services[:20]]
    known = recollections(recalled, fence, language)
    missing = [fence.line(one, 160) for one in state.get("gathered", GatherProgress()).missing]
    ranking = within("ranking", _ranking(state["ranking"], fence))
    return {
        "alerting": fence.enclose("alerts", alerting),
        "components": fence.enclose("telemetry", [", ".join(fence.line(n, 80) for n in names)]),
        "ranking": fence.enclose("instruments", ranking),
        "recalled": fence.enclose("documents", within("recalled", known)) if known else "",
        "missing": fence.enclose("sources", within("missing", missing)) if missing else "",
    }


def _ranking(ranking: Ranking, fence: Fence) -> list[str]:
    lines: list[str] = []
    for one in ranking.candidates[:CANDIDATES]:
        items = dict.fromkeys(number for term in one.terms for number in term.evidence)
        rests = " ".join([*items][:10]) if len(lines) < LEADING else " ".join([*items][:3])
        kind = one.fault_kind or "unknown"
        lines.append(f"{fence.line(one.component, 80)} | {kind} | {rests}")
    return lines


_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*\s[^`\n]*`", re.DOTALL)
"""Commands in a document; a name between backticks is none."""


def recollections(recalled: Sequence[RecallHit], fence: Fence, language: Language) -> list[str]:
    """What was recalled, a line each: kind, trust and date, the signs, and the text of the place.

    Without commands: a diagnosis needs none, and a reply that copies one is refused.
    """
    lines = []
    for one in recalled:
        document = one.hit.document
        date = f", {document.origin.date}" if document.origin else ""
        kind, trust = (
            word("document", document.kind, language),
            word("trust", one.hit.trust, language),
        )
        agrees = word("agreement", one.agreement, language)
        title, signs = getattr(document.title, language), getattr(document.symptoms, language)
        lines.append(
            f"{kind} {document.id} ({trust}{date}; {agrees}): {fence.line(title, 120)}. "
            f"{fence.line(signs, 200)}. "
            f"{fence.line(_CODE.sub('', one.hit.section.text), DOCUMENT_CHARS)}"
        )
    return lines


def cut(model: Model, lines: Sequence[str], budget: int) -> list[str]:
    """Return the first lines that together cost at most `budget` tokens."""
    kept, spent = [], 0
    for line in lines:
        spent += model.tokens(line + "\n")
        if spent > budget:
            break
        kept.append(line)
    return kept
