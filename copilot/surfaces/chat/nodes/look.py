"""look: make the calls that wait, each once, within the budget; number what they find."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.surfaces.chat.calls import ToolExecution, ToolRequest, execute_request
from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.types.conversation import ToolUse


class ToolsUpdate(TypedDict):
    parts: list[AnswerPart]
    uses: list[ToolUse]
    made: list[str]
    repeats: int
    ledger: Ledger


def look(state: ChatState, runtime: Runtime[Session]) -> ToolsUpdate:
    """What was asked for before is not looked up again: it is there already."""
    session = runtime.context
    parts, uses = [*state.get("parts", [])], [*state.get("uses", [])]
    made, repeats = [*state.get("made", [])], state.get("repeats", 0)
    ledger = state.get("ledger") or opened(session.scope.incident, session.turns)
    for call in state["waiting"]:
        session.heed()
        if call.key in made:
            repeats += 1
            session.tell(Progress(step="tool", state="repeated", name=call.tool))
            continue
        if len(made) >= session.limits.calls or session.left() <= 0:
            break
        made.append(call.key)
        result = _made(session, call)
        uses.append(result.use)
        ledger, part = numbered(result, ledger)
        parts.append(part)
    return ToolsUpdate(parts=parts, uses=uses, made=made, repeats=repeats, ledger=ledger)


def numbered(result: ToolExecution, ledger: Ledger) -> tuple[Ledger, AnswerPart]:
    """What a tool found, with evidence numbers."""
    found = result.found
    ledger, lead = ledger.written(found.lead)
    ledger, rows = ledger.written(found.rows)
    part = AnswerPart(
        result.call.tool, lead, rows, found.more, found.missing, found.plan, found.waits,
        found.services,
    )  # fmt: skip
    return ledger, part


def _made(session: Session, call: ToolRequest) -> ToolExecution:
    shown = ", ".join(f"{k}={v}" for k, v in call.arguments.items())[:120]
    session.tell(Progress(step="tool", name=call.tool, said=shown))
    result = execute_request(call, session.scope, session.left())
    nothing = result.use.problem and not result.use.rows
    said = result.use.problem if nothing else f"{result.use.rows} rows, {result.use.seconds:.2f} s"
    state = "failed" if nothing else "done"
    session.tell(Progress(step="tool", state=state, name=call.tool, said=said))
    return result
