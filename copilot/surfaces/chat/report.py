"""The deterministic answer: what the tools found, the answer first, the evidence under it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from copilot.case.briefing import evidence_line, plain
from copilot.surfaces.chat.ledger import CitedStatement, Ledger
from copilot.surfaces.chat.understand import Understood
from copilot.types.time_format import date_time
from prompts import Language, load, word
from tools.evidence import cited
from tools.types import Evidence, Plan

SHOWN_SOURCES = 8
BESIDE_A_MODEL = 5
"""Rows of a tool that are shown where a model has written more about them."""


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

    What the tools say first always stands first: a model adds to it and cannot take it away.
    `before` are the numbers that the incident's evidence has: those are spelled out.
    """
    language = understanding.language
    planned = next((part for part in parts if part.plan is not None), None)
    shown = [_rendered_part(part, language, bool(written)) for part in parts if part.said]
    body = "\n".join(line for part in shown for line in (*part.lead, *part.rows))
    stated = {said.ids[0] for part in parts for said in part.said if said.own and said.ids}
    wanted = dict.fromkeys((*cited(written), *(n for n in cited(body) if n not in stated)))
    sources = [item for n in wanted if (item := ledger.find(n)) is not None]
    # What a sentence here was made from says no more than the sentence: only where it stands.
    quoted = {*before, *cited(written)}
    records = [item for item in sources if item.id not in quoted]
    measured = [item for item in sources if item.id in quoted]
    missing = [_missing(line, language) for part in parts for line in part.missing]
    told = load("chat_answer", language).render(
        about=plain(about, 160) if about else "",
        written=written,
        parts=shown,
        plan=_card(planned, language) if planned is not None else None,
        near=list(understanding.near) if not written else [],
        refuses="approve" in understanding.intents,
        helps="help" in understanding.intents,
        missing=[] if understanding.near else missing,
        sources=[_source(item, language) for item in measured[:SHOWN_SOURCES]],
        hidden=max(0, len(measured) - SHOWN_SOURCES),
        records=[_record(item) for item in records[: 2 * SHOWN_SOURCES]],
        note=note,
    )
    return told.strip() + "\n"


def _rendered_part(part: AnswerPart, language: Language, written: bool) -> RenderedPart:
    rows = part.rows[:BESIDE_A_MODEL] if written else part.rows
    return RenderedPart(
        lead=tuple(said.cited(language) for said in part.lead),
        rows=tuple(said.cited(language) for said in rows),
        more=part.more + len(part.rows) - len(rows),
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
        "digest": plan.digest,
        "until": date_time(plan.expires_at),
        "evidence": "".join(f"[{number}]" for number in plan.evidence),
        "steps": [(step.title_zh if chinese else "") or step.title for step in plan.steps],
        "parameters": ", ".join(f"{k}={plain(str(v), 60)}" for k, v in plan.parameters.items()),
    }


def _missing(line: str, language: Language) -> str:
    name, colon, problem = line.partition(": ")
    if not colon:
        return plain(line, 200)
    return f"{word('source', name, language)}: {plain(word('absence', problem, language), 200)}"
