"""Put one question to the model within the budget of its incident, and write down how it went."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel

from copilot.deps import Deps
from copilot.model import ModelResult, ReplyCheck, ask
from copilot.model.budget import BudgetedModel
from copilot.ports import Model
from copilot.types.model_io import ModelRequest
from prompts import Prompt
from tools.log_retriever import sanitize

ConsultReplyT = TypeVar("ConsultReplyT", bound=BaseModel)

ASKED = "asked"
"""Kind of the journal's rows that say what was asked of a model, and what it cost."""


@dataclass(frozen=True, slots=True)
class ModelSpend:
    """What an incident has cost of the model so far, over all its runs."""

    calls: int = 0
    seconds: float = 0.0


def spent(deps: Deps, incident_id: str) -> ModelSpend:
    """Sum what the model has cost this incident, from the journal, over all processes."""
    rows = [
        row.detail
        for row in deps.store.journal.events(incident_id, limit=10_000)
        if row.kind == ASKED
    ]
    return ModelSpend(
        calls=sum(int(float(str(row.get("calls", 0)))) for row in rows),
        seconds=sum(float(str(row.get("seconds", 0.0))) for row in rows),
    )


def consult(
    deps: Deps,
    model: Model,
    incident_id: str,
    request: ModelRequest,
    shape: type[ConsultReplyT],
    check: Callable[[ConsultReplyT], ReplyCheck[ConsultReplyT]],
    prompts: Sequence[Prompt],
) -> ModelResult[ConsultReplyT]:
    """What held of the reply, or None with the reason; either way it is in the journal."""
    before, began = spent(deps, incident_id), deps.stopwatch()
    bounded = BudgetedModel(
        model,
        calls_left=deps.limits.model_calls - before.calls,
        deadline=began + deps.limits.model_s - before.seconds,
        stopwatch=deps.stopwatch,
        allowance=f"{deps.limits.model_s:g} s (COPILOT_MODEL_S)",
    )
    if bounded.calls_left <= 0 or bounded.deadline <= began:
        used = (
            f"{before.calls} of {deps.limits.model_calls} calls (COPILOT_MODEL_CALLS), "
            f"{before.seconds:.0f} of {deps.limits.model_s:g} s (COPILOT_MODEL_S)"
        )
        asked: ModelResult[ConsultReplyT] = ModelResult(
            None, f"the incident's budget is used up ({used})", ()
        )
    else:
        asked = ask(bounded, request, shape, check, deps.language)
    deps.note(
        incident_id,
        ASKED,
        f"{prompts[0].name}: {_how(asked)}",
        prompt=" ".join(f"{one.name}.{one.language}@{one.fingerprint}" for one in prompts),
        outcome=_outcome(asked),
        model=model.name,
        calls=float(bounded.calls),
        seconds=round(deps.stopwatch() - began, 3),
        tokens=float(_tokens(asked)),
        problems=sanitize("; ".join(_problems(asked)), 600),
    )
    return asked


ConsultOutcome = Literal["held", "repaired", "fell back", "not asked"]


def _outcome(asked: ModelResult[ConsultReplyT]) -> ConsultOutcome:
    if asked.value is not None:
        return "repaired" if asked.repaired else "held"
    return "fell back" if asked.calls and asked.fault != "absent" else "not asked"


def _how(asked: ModelResult[ConsultReplyT]) -> str:
    """What came of it, in our own words: what the model said does not belong in a timeline."""
    if asked.value is not None:
        how = "a second reply held" if asked.repaired else "the reply held"
        return f"{how} in part" if asked.calls[-1].problems else how
    if not asked.calls:
        return "not asked, " + asked.reason
    if asked.fault == "absent":
        return "not asked, there is no model"
    if asked.calls[-1].done is None:
        why = asked.calls[-1].problems[0] if asked.fault == "timeout" else "no whole reply"
        return f"{why}; the rules answer"
    return "nothing of the reply held, nor of a second one; the rules answer"


def _problems(asked: ModelResult[ConsultReplyT]) -> list[str]:
    return [problem for call in asked.calls for problem in call.problems]


def _tokens(asked: ModelResult[ConsultReplyT]) -> int:
    dones = [call.done for call in asked.calls if call.done is not None]
    return sum((done.prompt_tokens or 0) + (done.reply_tokens or 0) for done in dones)
