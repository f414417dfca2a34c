"""What a model is shown: the conversation so far, and the evidence as data, within a budget."""

from collections.abc import Sequence

from copilot.model.fence import Fence
from copilot.model.table import row
from copilot.ports import Model
from copilot.store.conversations import folded_line
from copilot.surfaces.chat.ledger import Ledger
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.session import Session
from copilot.types.conversation import MOST_QUESTION, Conversation, Turn
from copilot.types.model_io import Message, ModelRequest
from prompts import Language, load

MOST_OF_AN_ANSWER = 500
MOST_FOLDED = 2_000


def conversation_prompt(
    conversation: Conversation, turns: Sequence[Turn], remembered: int, fence: Fence
) -> str:
    """By rule: the last turns with their answers' first lines, older ones as question and ids."""
    answered = [turn for turn in turns if turn.answer is not None]
    older, latest = answered[:-remembered], answered[-remembered:]
    lines = conversation.summary.splitlines() + [folded_line(turn) for turn in older]
    folded = "\n".join(lines)[-MOST_FOLDED:]
    parts = [fence.line(line, 300) for line in folded.splitlines()]
    for turn in latest:
        said = fence.line(turn.answer.text if turn.answer else "", MOST_OF_AN_ANSWER)
        parts.append(f"Q: {fence.line(turn.question, 400)}\nA: {said}")
    return fence.enclose("conversation", parts) if parts else ""


def evidence_prompt(
    parts: Sequence[AnswerPart], ledger: Ledger, language: Language, fence: Fence
) -> list[str]:
    """What the tools say first, then a row for each item they cite, then the rest they say."""
    leads = [fence.line(said.cited(language)) for part in parts for said in part.lead]
    rest = [said for part in parts for said in part.rows if not said.own]
    absent = [f"{part.tool}: {fence.line(line, 200)}" for part in parts for line in part.missing]
    numbers = dict.fromkeys(n for part in parts for said in part.said for n in said.ids)
    items = [item for number in numbers if (item := ledger.find(number)) is not None]
    rows = [row(item, fence) for item in items]
    return [*leads, *absent, *rows, *(fence.line(said.cited(language)) for said in rest)]


def fitting(lines: Sequence[str], model: Model, room: int) -> list[str]:
    """As many lines as fit; what does not is left out from the end, and that is said."""
    kept: list[str] = []
    for line in lines:
        room -= model.tokens(line) + 2
        if room < 40:
            return [*kept, f"({len(lines) - len(kept)} lines left out)"]
        kept.append(line)
    return kept


def answer_request(
    session: Session,
    question: str,
    parts: Sequence[AnswerPart],
    ledger: Ledger,
    language: Language,
    system: str,
) -> ModelRequest:
    """One request: what to do, the conversation and the evidence as data, the question last."""
    model, limits = session.model, session.limits
    assert model is not None
    fence = Fence(session.nonce)
    history = conversation_prompt(session.conversation, session.turns, limits.remembered, fence)
    taken = model.tokens(system) + model.tokens(history) + model.tokens(question)
    lines = evidence_prompt(parts, ledger, language, fence)
    shown = fitting(lines, model, model.context_tokens - limits.reply_tokens - taken - 200)
    user = load("chat_question", language).render(
        history=history,
        question=fence.line(question, MOST_QUESTION),
        evidence=fence.enclose("evidence", shown),
    )
    return ModelRequest(
        messages=(Message(role="system", content=system), Message(role="user", content=user)),
        max_tokens=limits.reply_tokens,
        priority="chat",
        kind="chat",
    )
