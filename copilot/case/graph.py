"""The state machine: nodes and routes, wired; no judgement lives here."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime

from copilot.case import routes
from copilot.case.nodes.act import act
from copilot.case.nodes.approve import approve
from copilot.case.nodes.brief import brief
from copilot.case.nodes.diagnose import diagnose
from copilot.case.nodes.gather import gather
from copilot.case.nodes.locate import locate
from copilot.case.nodes.plan import plan
from copilot.case.nodes.report import report
from copilot.case.nodes.triage import triage
from copilot.case.nodes.verify import verify
from copilot.case.state import IncidentState
from copilot.deps import Deps

NodeFunction = Callable[..., Any]
IncidentGraph = CompiledStateGraph[IncidentState, Deps, IncidentState, IncidentState]

NODES: Mapping[str, NodeFunction] = {
    "triage": triage,
    "gather": gather,
    "locate": locate,
    "brief": brief,
    "diagnose": diagnose,
    "plan": plan,
    "approve": approve,
    "act": act,
    "verify": verify,
    "report": report,
}

RECURSION_LIMIT = 120
"""Supersteps of one run: three plans of a dozen steps each, with their verifications, fit."""


def build(
    checkpointer: BaseCheckpointSaver[str] | None = None, nodes: Mapping[str, NodeFunction] = NODES
) -> IncidentGraph:
    """Compile the graph; `nodes` may be wrapped ones, under the same names."""
    graph: StateGraph[IncidentState, Deps, IncidentState, IncidentState] = StateGraph(
        IncidentState, context_schema=Deps
    )
    for name, node in nodes.items():
        graph.add_node(name, _traced(name, node))
    graph.add_edge(START, "triage")
    graph.add_edge("triage", "gather")
    graph.add_edge("gather", "locate")
    graph.add_edge("locate", "brief")
    graph.add_edge("brief", "diagnose")
    graph.add_conditional_edges("diagnose", routes.after_diagnose)
    graph.add_conditional_edges("plan", routes.after_plan)
    graph.add_conditional_edges("approve", routes.after_approve)
    graph.add_conditional_edges("act", routes.after_act)
    graph.add_conditional_edges("verify", routes.after_verify)
    graph.add_edge("report", END)
    return graph.compile(checkpointer=checkpointer)


def _traced(name: str, node: NodeFunction) -> NodeFunction:
    @wraps(node)
    def traced(*given: Any, **named: Any) -> Any:
        with get_runtime(Deps).context.span(name):
            return node(*given, **named)

    return traced


def drawing() -> str:
    """The graph as Mermaid, drawn from the compiled graph itself."""
    return build().get_graph().draw_mermaid()
