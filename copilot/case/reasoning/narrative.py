"""What happened, told in sentences that cite evidence: by a model where it holds, else by rule."""

from dataclasses import dataclass

from copilot.case.reasoning.case import PROBLEMS, components_of, reply_tokens
from copilot.case.reasoning.consult import consult
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.model.claims import ClaimScope, holding
from copilot.model.fence import Fence
from copilot.model.replies import NarrativeReply, Sentence, narrative_schema
from copilot.model.table import EvidenceTable, fitted
from copilot.ports import Model
from copilot.types.model_io import Message, ModelRequest
from copilot.types.time_format import date_time
from prompts import Prompt, load


@dataclass(frozen=True, slots=True)
class Narrative:
    """Sentences with what they cite, and who tells them."""

    sentences: tuple[Sentence, ...]
    by: str


def narrate(deps: Deps, state: IncidentState) -> Narrative | None:
    """The model's account, checked; None where there is no model or its account did not hold."""
    model = deps.model
    if model is None or not state["ranking"].candidates:
        return None
    prompts = (
        load("report_narrative", deps.language),
        load("report_narrative_case", deps.language),
    )
    request, table = _question(model, state, prompts, Fence(deps.nonce()))
    if not table.shown:
        return None
    names = components_of(state["evidence"], state["ranking"])
    first = state["ranking"].candidates[0].component
    known = ClaimScope(
        table.shown,
        frozenset(names),
        deps.language,
        said=tuple(one.content for one in request.messages if one.role == "system"),
        located="" if state["ranking"].abstained else first,
    )
    asked = consult(
        deps,
        model,
        state["incident_id"],
        request,
        NarrativeReply,
        lambda reply: holding(reply, known),
        prompts,
    )
    return Narrative(asked.value.sentences, model.name) if asked.value is not None else None


def _question(
    model: Model, state: IncidentState, prompts: tuple[Prompt, Prompt], fence: Fence
) -> tuple[ModelRequest, EvidenceTable]:
    system, user = prompts
    first = state["ranking"].candidates[0]
    located = f"{fence.line(first.component, 80)} | {first.fault_kind or 'unknown'}"
    rest = {
        "onset": date_time(state["onset"].at),
        "decided": not state["ranking"].abstained,
        "located": fence.enclose("instruments", [located]),
    }
    instructions = system.render()
    empty = user.render(**rest, table=fence.enclose("telemetry", []), left_out=9999)
    free = model.context_tokens - reply_tokens(model, "narrative") - PROBLEMS
    room = free - model.tokens(instructions) - model.tokens(empty)
    budget = min(room, user.budget["evidence"])
    table = fitted(state["evidence"], state["ranking"], fence, model.tokens, budget)
    text = user.render(
        **rest, table=fence.enclose("telemetry", table.rows), left_out=table.left_out
    )
    request = ModelRequest(
        messages=(
            Message(role="system", content=instructions),
            Message(role="user", content=text),
        ),
        reply_schema=narrative_schema([one.id for one in table.shown]),
        max_tokens=reply_tokens(model, "narrative"),
        kind="narrative",
    )
    return request, table
