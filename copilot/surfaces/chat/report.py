"""The deterministic answer: what the tools found, the answer first, the evidence under it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from copilot.case.briefing import evidence_line, plain
from copilot.surfaces.chat.ledger import CitedStatement, Ledger
from copilot.surfaces.chat.understand import Understood
from copilot.types.time_format import date_time
from prompts import Language, load, translation, word
from tools.evidence import cited
from tools.types import Evidence, Plan

SHOWN_SOURCES = 8
ADDED_PARTS, ADDED_ROWS = 3, 5
"""Looks of a model that are shown, and rows of each, where the rules found nothing to look at: a
dozen lines and their leads, as of any answer (issue 18, section 5)."""


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """What one tool found, with numbered evidence."""

    tool: str
    lead: tuple[CitedStatement, ...]
    rows: tuple[CitedStatement, ...]
    more: int = 0
    missing: tuple[str, ...] = ()
    plan: Plan | None = None
    waits: bool = False
    services: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[CitedStatement, ...]:
        """Every statement."""
        return self.lead + self.rows


@dataclass(frozen=True, slots=True)
class RenderedPart:
    """A part in one language, as the template takes it."""

    lead: tuple[str, ...]
    rows: tuple[str, ...]
    more: int


def rendered(
    parts: Sequence[AnswerPart],
    understanding: Understood,
    ledger: Ledger,
    *,
    about: str,
    note: str,
    before: Collection[str] = (),
    written: str = "",
) -> str:
    """The answer as Markdown. `written` is what the model wrote, where it held.

    What is said without a model stands as it would without one, its sources first: a model adds to
    it and cannot take it away. `before` are the numbers that the incident's evidence has: those are
    spelled out.
    """
    language = understanding.language
    parts = shown_parts(parts, understanding, written=bool(written))
    planned = next((part for part in parts if part.plan is not None), None)
    shown = [_rendered_part(part, language) for part in parts if part.said]
    body = "\n".join(line for part in shown for line in (*part.lead, *part.rows))
    stated = {said.ids[0] for part in parts for said in part.said if said.own and said.ids}
    ours = dict.fromkeys(n for n in cited(body) if n not in stated)
    theirs = [n for n in cited(written) if n not in ours]
    # What a sentence here was made from says no more than the sentence: only where it stands.
    measured, records = _sources(ours, before, ledger)
    missing = [in_words(line, language) for part in parts for line in part.missing]
    told = load("chat_answer", language).render(
        about=plain(about, 160) if about else "",
        written=written,
        parts=shown,
        plan=_card(planned, language) if planned is not None else None,
        near=list(understanding.near),
        refuses="approve" in understanding.intents,
        helps="help" in understanding.intents,
        missing=[] if understanding.near else missing,
        sources=[_source(item, language) for item in measured[:SHOWN_SOURCES]],
        hidden=max(0, len(measured) - SHOWN_SOURCES),
        cited=[_source(item, language) for item in _sources(theirs, theirs, ledger)[0]],
        records=[_record(item) for item in records[: 2 * SHOWN_SOURCES]],
        note=note,
    )
    return told.strip() + "\n"


def shown_parts(
    parts: Sequence[AnswerPart], understanding: Understood, *, written: bool
) -> Sequence[AnswerPart]:
    """The looks of the question itself; what a model looked at besides where these found nothing.

    What it wrote from its looks has its sources; looks that it wrote nothing from help nobody.
    """
    asked = len(understanding.calls)
    ours, added = parts[:asked], parts[asked:]
    known = bool(understanding.intents)
    if written or any(part.said for part in ours if known or part.tool != "knowledge"):
        return ours
    return (*ours, *(_shortened(part) for part in [p for p in added if p.said][:ADDED_PARTS]))


def _shortened(part: AnswerPart) -> AnswerPart:
    left_out = max(0, len(part.rows) - ADDED_ROWS)
    return replace(part, rows=part.rows[:ADDED_ROWS], more=part.more + left_out, missing=())


def _sources(
    numbers: Iterable[str], quoted: Collection[str], ledger: Ledger
) -> tuple[list[Evidence], list[Evidence]]:
    """The items of these numbers: those that are spelled out, and the records of the others."""
    items = [item for n in numbers if (item := ledger.find(n)) is not None]
    return [i for i in items if i.id in quoted], [i for i in items if i.id not in quoted]


def _rendered_part(part: AnswerPart, language: Language) -> RenderedPart:
    return RenderedPart(
        lead=tuple(said.cited(language) for said in part.lead),
        rows=tuple(said.cited(language) for said in part.rows),
        more=part.more,
    )


def _source(item: Evidence, language: Language) -> str:
    line = evidence_line(item, language)
    return f"**{item.id}** {line.kind}: {line.statement} ({evidence_reference(item, language)})"


def evidence_reference(item: Evidence, language: Language) -> str:
    """Where to look it up again: source, query, window."""
    line = evidence_line(item, language)
    same_moment = item.window.start == item.window.end
    when = date_time(item.window.end) if same_moment else line.window
    return f"`{line.source} {line.query}`, {when}"


def _record(item: Evidence) -> str:
    return f"{item.id} `{plain(item.source, 40)} {plain(item.query, 100)}`"


def _card(part: AnswerPart, language: Language) -> dict[str, object]:
    """What an approver needs to see, from the plan itself and from nothing else."""
    plan = part.plan
    assert plan is not None
    chinese = language == "zh"
    return {
        "id": plan.id,
        "waits": part.waits,
        "incident": plan.incident_id,
        "playbook": plan.playbook_id,
        "component": plan.component,
        "title": (plan.title_zh if chinese else "") or plan.title,
        "risk": word("risk", plan.risk, language),
        "effect": (plan.expected_effect_zh if chinese else "") or plan.expected_effect,
        "touches": (plan.blast_radius_zh if chinese else "") or plan.blast_radius,
        "another": plan.another
        and {
            "playbook": plan.another.playbook_id,
            "title": getattr(plan.another.title, language),
            "why": getattr(plan.another.why, language),
        },
        "digest": plan.digest,
        "until": date_time(plan.expires_at),
        "evidence": "".join(f"[{number}]" for number in plan.evidence),
        "steps": [(step.title_zh if chinese else "") or step.title for step in plan.steps],
        "parameters": ", ".join(f"{k}={plain(str(v), 60)}" for k, v in plan.parameters.items()),
    }


def in_words(line: str, language: Language) -> str:
    """What is not known, as `source: why`, for a reader of this language."""
    name, colon, problem = line.partition(": ")
    if not colon:
        return plain(line, 200)
    said = translation(word("absence", problem, language), language)
    return f"{word('source', name, language)}: {plain(said, 200)}"
