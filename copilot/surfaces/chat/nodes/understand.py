"""understand: by rules what a question needs; then what more the model wants to see."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.ledger import opened
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.tool_requests import requested_tools
from copilot.surfaces.chat.understand import Understanding, understood


class UnderstandUpdate(TypedDict):
    understanding: Understanding
    waiting: list[ToolRequest]
    rounds: int
    trouble: str


def understand(state: ChatState, runtime: Runtime[Session]) -> UnderstandUpdate:
    """The rules' calls first; a model sees what they found before it asks for more."""
    session = runtime.context
    session.heed()
    known = state.get("understanding")
    if known is None:
        recent = next(
            (t.answer.services for t in reversed(session.turns) if t.answer and t.answer.services),
            (),
        )
        known = understood(state["turn"].question, session.scope, session.language, recent)
        if known.calls or not asks_model(session, known):
            return UnderstandUpdate(
                understanding=known, waiting=[*known.calls], rounds=0, trouble=""
            )
    assert session.model is not None
    session.tell(Progress(step="model", name=session.model.name, said="tools"))
    ledger = state.get("ledger") or opened(session.scope.incident, session.turns)
    wanted, trouble = requested_tools(
        session, state["turn"].question, known.language, state.get("parts", []), ledger
    )
    return UnderstandUpdate(
        understanding=known,
        waiting=wanted,
        rounds=state.get("rounds", 0) + 1,
        trouble=trouble,
    )


def asks_model(session: Session, known: Understanding) -> bool:
    """Whether a model has anything to add: not to a greeting, and never to a wish to act."""
    return session.model is not None and not {"help", "approve"} & {*known.intents}
