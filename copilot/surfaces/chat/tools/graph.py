"""topology: who calls a service, what it depends on, and what breaks with it."""

from pydantic import Field

from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult, noted
from copilot.surfaces.chat.tools.tool import Tool, ToolArguments
from tools.topology_walker import blast_radius, downstream, upstream

SHOWN = 15


class ComponentArguments(ToolArguments):
    """One component of the service graph."""

    service: str = Field(min_length=1, max_length=200, description="Name of a service.")


def topology(given: ComponentArguments, scope: ToolContext) -> ToolResult:
    """Callers, callees and blast radius, nearest first."""
    graph, name = scope.topology, given.service
    if not graph.edges:
        return ToolResult(missing=("topology: not configured",))
    if name not in {end for edge in graph.edges for end in (edge.caller, edge.callee)}:
        return ToolResult(missing=(f"topology: {name} is not in the service graph",))
    touched = tuple(one for one in blast_radius(graph, name) if one != name)
    rows = (
        _listed(scope, name, "callers", upstream(graph, name), "Called by", "调用它的服务"),
        _listed(scope, name, "callees", downstream(graph, name), "Depends on", "它依赖的服务"),
    )
    lead = _listed(
        scope,
        name,
        "blast radius",
        touched,
        f"If {name} breaks, so may",
        f"若 {name} 故障,可能波及",
    )
    return ToolResult(lead=(lead,), rows=rows, services=(name,))


def _listed(
    scope: ToolContext, name: str, what: str, them: tuple[str, ...], en: str, zh: str
) -> Statement:
    shown = ", ".join(them[:SHOWN]) + (f" +{len(them) - SHOWN}" if len(them) > SHOWN else "")
    fact = noted(
        name,
        what,
        f"{what} of {name}: {shown or 'none known'}",
        scope.now,
        source="topology",
        query=f"component={name} {what}",
        kind="topology",
        figures={"count": float(len(them)), "more": float(max(0, len(them) - SHOWN))},
    )
    return Statement(f"{en}: {shown or 'none known'}.", f"{zh}:{shown or '未知'}。", (fact,))


TOOLS = (
    Tool(
        "topology",
        "Callers, dependencies, blast radius of a service.",
        ComponentArguments,
        topology,
    ),
)
