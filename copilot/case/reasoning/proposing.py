"""Ask a model which playbook it would take for a located cause; what comes back is only data.

`tools.playbook_executor.choose` holds it against the catalogue, the evidence and the documents.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from copilot.case.reasoning.case import PROBLEMS, cut, recollections, reply_tokens
from copilot.case.reasoning.consult import consult
from copilot.case.reasoning.opinion import cause_of, symptoms_of
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.knowledge import RecallHit
from copilot.model import all_or_nothing
from copilot.model.claims import ClaimScope, problems_of
from copilot.model.fence import Fence
from copilot.model.replies import PlanReply, plan_schema
from copilot.model.table import fitted
from copilot.ports import Model
from copilot.types.model_io import Message, ModelRequest
from prompts import Language, Prompt, load, word
from tools.playbook_executor import Offer, ProposalContext, offers_for
from tools.types import Evidence, Fact, Owner, Playbook, Proposal

_BLANK = re.compile(r"\$\{(\w+)\}")

DOCUMENTS = 8
"""Recalled documents that may speak for a playbook; those about the cause come first."""


@dataclass(frozen=True, slots=True)
class PlaybookQuestion:
    """What the model is asked, and what it may name in its answer."""

    request: ModelRequest
    shown: tuple[Evidence, ...]
    offered: frozenset[str]
    prompts: tuple[Prompt, Prompt]


def propose(deps: Deps, state: IncidentState, facts: Mapping[str, Fact]) -> ProposalContext | None:
    """The model's proposal with what it is held against; None where there is none."""
    ranking = state["ranking"]
    if deps.arm != "llm" or deps.model is None or ranking.abstained or not ranking.candidates:
        return None
    offered = offers_for(deps.playbooks, ranking.candidates[0], facts)
    if not _matters(offered):
        return None
    recalled = _recalled(deps, state)
    question = _question(deps, deps.model, state, offered, recalled)
    if question is None:
        return None
    asked = consult(
        deps,
        deps.model,
        state["incident_id"],
        question.request,
        PlanReply,
        all_or_nothing(lambda reply: _problems(reply, question, deps)),
        question.prompts,
    )
    if asked.value is None:
        return None
    return ProposalContext(
        proposal=_proposal(asked.value),
        evidence=tuple(state["evidence"]),
        recalled=_speaking(recalled),
    )


def _matters(offered: Sequence[Offer]) -> bool:
    """Whether an answer could change anything: a value is lacking, or there is a choice.

    Of playbooks that cannot be run a model has nothing to say, and one whose values are all known
    is what the rules take.
    """
    ready = [one for one in offered if not one.barred]
    return len(ready) > 1 or any(one.underived for one in ready)


def _recalled(deps: Deps, state: IncidentState) -> tuple[RecallHit, ...]:
    """Documents about the located cause that somebody vouches for."""
    if deps.memory is None:
        return ()
    found = deps.memory.recall(symptoms_of(state), cause_of(deps, state), DOCUMENTS)
    return tuple(one for one in found if one.playbooks and one.hit.trust != "unreviewed")


def _speaking(recalled: Sequence[RecallHit]) -> dict[str, str]:
    """Each playbook with the first document that names it for this cause."""
    found: dict[str, str] = {}
    for one in recalled:
        for playbook in one.playbooks:
            found.setdefault(playbook, one.hit.document.id)
    return found


def _proposal(reply: PlanReply) -> Proposal:
    return Proposal(
        playbook_id=reply.playbook,
        parameters={one.name: one.value for one in reply.parameters},
        evidence=tuple(dict.fromkeys(reply.cites)),
        reason=reply.reason.strip(),
    )


def _question(
    deps: Deps,
    model: Model,
    state: IncidentState,
    offered: Sequence[Offer],
    recalled: Sequence[RecallHit],
) -> PlaybookQuestion | None:
    fence, first = Fence(deps.nonce()), state["ranking"].candidates[0]
    system, user = load("plan", deps.language), load("plan_case", deps.language)
    documents = cut(model, recollections(recalled, fence, deps.language), user.budget["recalled"])
    rows = cut(
        model, [_row(one, fence, deps.language) for one in offered], user.budget["playbooks"]
    )
    rest = {
        "component": fence.enclose("instruments", [fence.line(first.component, 80)]),
        "kind": word("fault_kind", first.fault_kind or "unknown", deps.language),
        "playbooks": fence.enclose("catalogue", rows),
        "recalled": fence.enclose("documents", documents) if documents else "",
    }
    instructions = system.render()
    empty = user.render(**rest, table=fence.enclose("telemetry", []), left_out=9999)
    room = model.context_tokens - reply_tokens(model, "plan") - PROBLEMS
    room -= model.tokens(instructions) + model.tokens(empty)
    budget = min(room, user.budget["evidence"])
    table = fitted(state["evidence"], state["ranking"], fence, model.tokens, budget)
    if not table.shown:
        return None
    text = user.render(
        **rest, table=fence.enclose("telemetry", table.rows), left_out=table.left_out
    )
    ids = tuple(one.playbook.id for one in offered)
    request = ModelRequest(
        messages=(
            Message(role="system", content=instructions),
            Message(role="user", content=text),
        ),
        reply_schema=plan_schema(ids, [one.id for one in table.shown]),
        max_tokens=reply_tokens(model, "plan"),
        kind="plan",
    )
    return PlaybookQuestion(request, table.shown, frozenset(ids), (system, user))


def _row(offer: Offer, fence: Fence, language: Language) -> str:
    playbook: Playbook = offer.playbook
    given = ", ".join(f"{name}={value}" for name, value in offer.parameters.items())
    factors = {one.name: one.factor for one in playbook.parameters}
    called = {"en": "factor", "zh": "系数"}[language]
    lacking = ", ".join(
        f"{name} ({called} {factors[name]:g})" if factors[name] != 1 else name
        for name in offer.underived
    )
    title = getattr(playbook.title, language)
    # `${size}` stands for a value that is given or lacking in this row: a model copies it else.
    filled = _BLANK.sub(lambda found: str(offer.parameters.get(found[1], found[1])), title)
    effect = fence.line(filled, 120)
    return f"{playbook.id} | {effect} | {fence.line(given, 160)} | {lacking} | " + fence.line(
        offer.barred, 160
    )


def _problems(reply: PlanReply, question: PlaybookQuestion, deps: Deps) -> list[str]:
    """What a repair could mend; whether the proposal counts at all is decided elsewhere."""
    found = []
    if reply.playbook and reply.playbook not in question.offered:
        found.append(f"there is no playbook {reply.playbook[:60]!r} for this cause")
    ids = {item.id for item in question.shown}
    found += [f"there is no item {one[:20]!r}" for one in reply.cites if one not in ids]
    if reply.playbook:
        owners = (Owner.parse(item.subject) for item in question.shown)
        names = frozenset(owner.service for owner in owners if owner.service)
        found += problems_of(
            reply.reason, reply.cites, ClaimScope(question.shown, names, deps.language)
        )
    return found
