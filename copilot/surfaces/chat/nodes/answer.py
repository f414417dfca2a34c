"""answer: the model writes claims over what was found; without one the statements stand."""

from typing import TypedDict

from langgraph.runtime import Runtime

from copilot.surfaces.chat.nodes.understand import asks_model
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.writing import write


class AnswerUpdate(TypedDict):
    written: str
    note: str


def answer(state: ChatState, runtime: Runtime[Session]) -> AnswerUpdate:
    """One reply, checked, repaired once; what does not hold is not shown, only counted."""
    session, known = runtime.context, state["understanding"]
    session.heed()
    if not asks_model(session, known) or session.model is None:
        return AnswerUpdate(written="", note="")
    if not any(part.said for part in state.get("parts", [])):
        return AnswerUpdate(written="", note=state.get("trouble", ""))
    session.tell(Progress(step="model", name=session.model.name, said="answer"))
    text, trouble = write(
        session, state["turn"].question, known.language, state["parts"], state["ledger"]
    )
    session.heed()
    return AnswerUpdate(written=text, note=trouble)
