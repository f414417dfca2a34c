"""A tool: a name, what it is for, typed arguments, and a look that reads and never writes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import ToolResult
from tools.types import FrozenModel

MOST_ROWS = 20
"""Rows of one answer of a tool; who needs more asks more precisely."""


class ToolArguments(FrozenModel):
    """What a tool may be given; the base takes nothing."""


class ServiceArguments(ToolArguments):
    """One service, or none for all that matter."""

    service: str = Field(default="", max_length=200, description="Name of a service; empty: all.")


A = TypeVar("A", bound=ToolArguments)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """`purpose` is what a model or another program reads to decide whether to call it."""

    name: str
    purpose: str
    arguments: type[A]
    look: Callable[[A, ToolContext], ToolResult]


AnyTool = Tool[Any]
