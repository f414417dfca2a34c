"""The tools of a conversation: typed, bounded, reading only."""

from copilot.surfaces.chat.tools import (
    advice,
    certainty,
    felt,
    history,
    logs,
    measured,
    people,
    summary,
    suspects,
    system,
)
from copilot.surfaces.chat.tools.tool import AnyTool, Tool, ToolArguments

TOOLS: dict[str, AnyTool] = {
    tool.name: tool
    for module in (
        summary,
        suspects,
        measured,
        logs,
        system,
        history,
        advice,
        felt,
        people,
        certainty,
    )
    for tool in module.TOOLS
}
"""Every tool by its name: the closed list a model may ask from."""

__all__ = ["TOOLS", "AnyTool", "ToolArguments", "Tool"]
