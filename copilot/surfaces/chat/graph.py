"""The state machine of an answer: understand, look, answer, check; bounded by its session."""

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from copilot.surfaces.chat.nodes.answer import answer, check
from copilot.surfaces.chat.nodes.understand import asks_model, look, understand
from copilot.surfaces.chat.session import ChatState, Session

ChatGraph = CompiledStateGraph[ChatState, Session, ChatState, ChatState]

RECURSION_LIMIT = 24
"""Above the longest way: a round is two steps."""


def build() -> ChatGraph:
    """The compiled graph; it keeps nothing: questions and answers are in the store."""
    graph = StateGraph(ChatState, context_schema=Session)
    graph.add_node("understand", understand)
    graph.add_node("look", look)
    graph.add_node("answer", answer)
    graph.add_node("check", check)
    graph.add_edge(START, "understand")
    graph.add_conditional_edges("understand", after_understand)
    graph.add_conditional_edges("look", after_look)
    graph.add_edge("answer", "check")
    graph.add_edge("check", END)
    return graph.compile()


def after_understand(state: ChatState) -> Literal["look", "answer"]:
    """Look where anything is wanted."""
    return "look" if state["waiting"] else "answer"


def after_look(state: ChatState, runtime: Runtime[Session]) -> Literal["understand", "answer"]:
    """The model may ask for more, a bounded number of times, and not for the same again."""
    session = runtime.context
    if not asks_model(session, state["understanding"]) or session.model is None:
        return "answer"
    spent = (
        state["rounds"] >= session.limits.rounds
        or state["repeats"] >= session.limits.repeats
        or len(state["made"]) >= session.limits.calls
        or bool(state["trouble"])
        or bool(session.model.spent())
    )
    return "answer" if spent else "understand"
